"""Writers: single records in, batches out, and everything stored exactly once."""

import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduct_async import Bucket, Client, ConflictError, ReductError, WriteReport
from tests.flavours import to_blocking
from tests.recording import HANG_SECONDS, Recorder, until
from tests.stored import (
    BINARY,
    Stored,
    contents,
    label_names,
    label_values,
    payloads,
    times,
    timestamps,
    write_all,
)


async def test_records_are_stored_as_given(bucket: Bucket) -> None:
    async with bucket.writer() as writer:
        await writer.write("a", b"bytes", 1, labels={"n": 1, "ok": True}, content_type="text/x")
        await writer.write("b/c", "téxt", timestamp="1970-01-01T00:00:02Z")
        await writer.write("a", memoryview(b"view"), timestamp=3.0)
        await writer.write("a", b"", 4)
    assert await contents(bucket.query("a")) == [
        Stored("a", 1, b"bytes", {"n": "1", "ok": "true"}, "text/x"),
        Stored("a", 4, b"", {}, BINARY),
        Stored("a", 3_000_000, b"view", {}, BINARY),
    ]
    assert await payloads(bucket.query("b/c")) == {2_000_000: "téxt".encode()}
    assert writer.report == WriteReport(stored=4)


@pytest.mark.parametrize("entries", [1, 8, 50])
async def test_many_records(bucket: Bucket, entries: int) -> None:
    """More than one batch to each entry, or many entries with few records."""
    async with bucket.writer(parallel=4) as writer:
        for us in range(1000):
            await writer.write(f"e{us % entries}", b"%d" % us, us, labels={"n": us})
    assert writer.report == WriteReport(stored=1000)
    for number in range(entries):
        found = await contents(bucket.query(f"e{number}"))
        assert [(one.timestamp, one.data, one.labels) for one in found] == [
            (us, b"%d" % us, {"n": str(us)}) for us in range(number, 1000, entries)
        ]


@given(
    records=st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "a/b", "batch"]),
            timestamps,
            st.binary(max_size=40),
            st.dictionaries(label_names, label_values, max_size=3),
        ),
        max_size=30,
        unique_by=lambda record: record[:2],
    ),
    batch_records=st.integers(1, 80),
    batch_bytes=st.integers(1, 1000),
    buffer_bytes=st.integers(1, 10_000),
)
@settings(max_examples=25)
async def test_whatever_is_written_comes_back(
    bucket: Bucket, records: list[Any], batch_records: int, batch_bytes: int, buffer_bytes: int
) -> None:
    folder = uuid.uuid4().hex
    expected, refused = [], 0
    async with bucket.writer(
        batch_records=batch_records, batch_bytes=batch_bytes, buffer_bytes=buffer_bytes
    ) as writer:
        for entry, us, data, labels in records:
            try:
                await writer.write(f"{folder}/{entry}", data, us, labels=labels)
            except ValueError:
                # Quotes that no header can carry; `write` refuses the same.
                refused += 1
                with pytest.raises(ValueError, match="label"):
                    await bucket.write(f"{folder}/{entry}", data, us, labels=labels)
                continue
            expected.append(Stored(f"{folder}/{entry}", us, data, labels, BINARY))
    assert writer.report == WriteReport(stored=len(records) - refused)
    for entry in {one.entry for one in expected}:
        found = await contents(bucket.query(entry))
        assert found == sorted((one for one in expected if one.entry == entry), key=by_time)


def by_time(record: Stored) -> int:
    return record.timestamp


async def test_default_timestamps_are_unique(bucket: Bucket) -> None:
    begin = time.time_ns() // 1000
    async with bucket.writer() as writer:
        for _ in range(200):
            await writer.write("a", b"")
    found = await times(bucket.query("a"))
    assert len(set(found)) == 200
    assert begin <= min(found) <= max(found) <= time.time_ns() // 1000 + 200


async def test_labels_that_only_a_single_call_carries(bucket: Bucket) -> None:
    labels = {"meta": '{"a": 1, "b": 2}'}
    async with bucket.writer() as writer:
        for us in range(5):
            await writer.write("a", b"%d" % us, us, labels=labels if us == 2 else None)
    found = await contents(bucket.query("a"))
    assert [one.labels for one in found] == [{}, {}, labels, {}, {}]


async def test_large_records(bucket: Bucket) -> None:
    """Larger than a batch, and larger than all that may be held."""
    data = bytes(range(256)) * 40_000
    async with bucket.writer(buffer_bytes=1_000_000) as writer:
        for us in range(3):
            await writer.write("a", data, us)
            await writer.write("b", b"small", us)
    assert await payloads(bucket.query("a")) == dict.fromkeys(range(3), data)
    assert await payloads(bucket.query("b")) == dict.fromkeys(range(3), b"small")


async def test_several_writers_and_writes_of_one_client(client: Client, bucket: Bucket) -> None:
    async def work(number: int) -> None:
        async with bucket.writer(batch_records=5) as writer:
            for us in range(number * 100, number * 100 + 50):
                await writer.write("shared", b"%d" % us, us)
                if us % 10 == 0:
                    await bucket.write("shared", b"x", us + 50_000)
        assert writer.report == WriteReport(stored=50)

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(work, number)
    assert len(await times(bucket.query("shared", stop=50_000))) == 200
    assert len(await times(bucket.query("shared", 50_000))) == 20
    gates: Any = client._io._gates
    assert len(gates) == 0


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize("flavour", ["async"], indirect=True)
async def test_another_event_loop(bucket: Bucket, tmp_path: Path) -> None:
    """Everything that works beside its caller works under trio, too."""
    async with bucket.writer(batch_records=10, batch_age=0.01) as writer:
        for us in range(105):
            await writer.write(f"e{us % 4}", b"%d" % us, us)
        await writer.flush()
        await writer.write("e0", b"1000", 1000)
        await until(lambda: writer.report.stored == 106)
    wanted = [(f"e{us % 4}", us) for us in range(105)]
    found = [await record.read_all() async for record in bucket.read_many(wanted)]
    assert found == [b"%d" % us for us in range(105)]
    await bucket.download("e0", None, tmp_path / "latest")
    assert await bucket.upload("file", tmp_path / "latest", 1) == 1
    assert await payloads(bucket.query("file")) == {1: b"1000"}


async def test_one_writer_shared(bucket: Bucket) -> None:
    async with bucket.writer(buffer_bytes=20_000, batch_records=7) as writer:
        async with anyio.create_task_group() as group:

            async def work(number: int) -> None:
                for us in range(number * 100, number * 100 + 50):
                    await writer.write(f"e{us % 3}", b"%d" % us, us)
                    if us % 20 == 0:
                        await writer.flush()

            for number in range(4):
                group.start_soon(work, number)
    assert writer.report == WriteReport(stored=200)
    found = [us for n in range(3) for us in await times(bucket.query(f"e{n}"))]
    assert sorted(found) == [n * 100 + us for n in range(4) for us in range(50)]


# --- when batches are sent -----------------------------------------------------------------


async def test_batches_per_entry(recorded: Bucket, recorder: Recorder) -> None:
    async with recorded.writer() as writer:
        for us in range(240):
            await writer.write(f"e{us % 2}", b"", us)
    assert sorted(recorder.sent) == [f"POST /b/{recorded.name}/e{n // 2}/batch" for n in range(4)]
    counts = sorted(
        sum(name.startswith("x-reduct-time-") for name in request.headers)
        for request in recorder.requests
    )
    assert counts == [40, 40, 80, 80]
    assert not recorder.clashes


async def test_an_entry_has_one_request_at_a_time(recorded: Bucket, recorder: Recorder) -> None:
    async with recorded.writer(batch_records=1, parallel=8) as writer:
        for us in range(60):
            await writer.write(f"e{us % 3}", b"", us)
    assert len(recorder.requests) == 60
    assert not recorder.clashes


async def test_a_batch_is_full_by_its_bytes(recorded: Bucket, recorder: Recorder) -> None:
    async with recorded.writer(batch_bytes=1000, batch_age=3600) as writer:
        for us in range(8):
            await writer.write("a", bytes(500), us)
    assert [len(request.read()) for request in recorder.requests] == [1000] * 4


async def test_old_records_are_sent_by_themselves(bucket: Bucket) -> None:
    async with bucket.writer(batch_age=0.1) as writer:
        await writer.write("a", b"1", 1)
        await writer.write("b", b"2", 2)
        with anyio.fail_after(HANG_SECONDS):
            while writer.report.pending:
                await anyio.sleep(0.01)
        assert writer.report == WriteReport(stored=2)
        assert await payloads(bucket.query("a")) == {1: b"1"}
        await writer.write("a", b"3", 3)
        with anyio.fail_after(HANG_SECONDS):
            while writer.report.stored < 3:
                await anyio.sleep(0.01)


async def test_young_records_wait(recorded: Bucket, recorder: Recorder) -> None:
    async with recorded.writer(batch_age=3600) as writer:
        for us in range(79):
            await writer.write("a", b"", us)
        await anyio.sleep(0.2)
        assert recorder.requests == []
        assert writer.report == WriteReport(pending=79)
        await writer.write("a", b"", 79)
        with anyio.fail_after(HANG_SECONDS):
            while writer.report.pending:
                await anyio.sleep(0.01)
    assert len(recorder.requests) == 1


async def test_flush(bucket: Bucket) -> None:
    async with bucket.writer(batch_age=3600) as writer:
        await writer.flush()
        for us in range(100):
            await writer.write(f"e{us % 3}", b"", us)
        await writer.flush()
        assert writer.report == WriteReport(stored=100)
        assert len([1 async for _ in bucket.query("e*")]) == 100
        await writer.write("a", b"", 1)
        await writer.flush()
        await writer.flush()
        assert writer.report == WriteReport(stored=101)


async def test_a_full_buffer_makes_room_by_itself(bucket: Bucket) -> None:
    """No batch is full, none is old: without that, `write` would wait for an hour."""
    async with bucket.writer(buffer_bytes=20_000, batch_age=3600) as writer:
        with anyio.fail_after(HANG_SECONDS):
            for us in range(200):
                await writer.write(f"e{us}", b"", us)
    assert writer.report == WriteReport(stored=200)


# --- duplicates ----------------------------------------------------------------------------


async def test_duplicates_are_errors(bucket: Bucket) -> None:
    async with bucket.writer() as writer:
        await writer.write("a", b"first", 1)
        with pytest.raises(ValueError, match=r"^timestamp 1 of entry 'a' was given to this writer"):
            await writer.write("a", b"second", 1)
        await writer.flush()
        with pytest.raises(ValueError, match=r"^timestamp 1 "):
            await writer.write("a", b"third", 1)
        await writer.write("b", b"other", 1)
    assert writer.report == WriteReport(stored=2)
    assert await payloads(bucket.query("a")) == {1: b"first"}


async def test_duplicates_are_replaced(bucket: Bucket) -> None:
    async with bucket.writer(on_duplicate="replace", batch_age=3600) as writer:
        for data in (b"first", b"second", b"third"):
            await writer.write("a", data, 1)
    assert writer.report == WriteReport(stored=1, replaced=2)
    assert await payloads(bucket.query("a")) == {1: b"third"}


async def test_duplicates_that_were_sent_are_not_replaced(bucket: Bucket) -> None:
    found: list[Any] = []
    async with bucket.writer(on_duplicate="replace", on_error=found.append) as writer:
        await writer.write("a", b"first", 1)
        await writer.flush()
        await writer.write("a", b"second", 1)
    assert [(one.entry, one.timestamp, type(one.error)) for one in found] == [
        ("a", 1, ConflictError)
    ]
    assert writer.report == WriteReport(stored=1, handled=1)


async def test_duplicates_are_shifted(bucket: Bucket) -> None:
    """Also behind those that were sent before."""
    async with bucket.writer(on_duplicate="shift") as writer:
        for n in range(50):
            await writer.write("a", b"%d" % n, 1)
            if n % 20 == 0:
                await writer.flush()
    assert await payloads(bucket.query("a")) == {1 + n: b"%d" % n for n in range(50)}


# --- arguments -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_records": 81}, "batch_records=81 must be at most 80"),
        ({"batch_records": 0}, "batch_records=0 must be an int of at least 1"),
        ({"batch_bytes": 8_000_001}, "batch_bytes=8000001 must be at most 8000000"),
        ({"batch_bytes": True}, "batch_bytes=True must be an int"),
        ({"buffer_bytes": 0.5}, "buffer_bytes=0.5 must be an int"),
        ({"parallel": 0}, "parallel=0 must be an int of at least 1"),
        ({"batch_age": -1}, "batch_age=-1 must be seconds"),
        ({"batch_age": float("nan")}, "batch_age=nan must be seconds"),
        ({"batch_age": float("inf")}, "batch_age=inf must be seconds"),
        ({"batch_age": None}, "batch_age=None must be seconds"),
        ({"batch_age": True}, "batch_age=True must be seconds"),
        ({"on_duplicate": "drop"}, "on_duplicate='drop' must be 'raise', 'replace' or 'shift'"),
    ],
)
async def test_bad_settings(bucket: Bucket, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bucket.writer(**arguments)


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (ValueError, {"entry_name": "a b"}),
        (ValueError, {"timestamp": -1}),
        (ValueError, {"labels": {"a": None}}),
        (ValueError, {"labels": {"ä": 1}}),
        (ValueError, {"content_type": "a,b"}),
        # No call carries these together.
        (ValueError, {"labels": {"Upper": "1", "quoted": '"'}}),
        (TypeError, {"timestamp": True}),
        (TypeError, {"data": 5}),
        (TypeError, {"data": iter([b"x"])}),
        (TypeError, {"unknown": 5}),
    ],
)
async def test_bad_records_are_refused_at_once(
    recorded: Bucket, recorder: Recorder, error: type[Exception], arguments: dict[str, Any]
) -> None:
    async with recorded.writer() as writer:
        with pytest.raises(error):
            await writer.write(**{"entry_name": "a", "data": b"", **arguments})
    assert writer.report == WriteReport()
    assert recorder.requests == []


async def test_a_writer_is_used_once_and_inside_its_block(bucket: Bucket) -> None:
    writer = bucket.writer()
    with pytest.raises(ReductError, match="inside its block"):
        await writer.write("a", b"", 1)
    with pytest.raises(ReductError, match="inside its block"):
        await writer.flush()
    async with writer:
        await writer.write("a", b"", 1)
        with pytest.raises(ReductError, match="used once"):
            await writer.__aenter__()
    with pytest.raises(ReductError, match="inside its block"):
        await writer.write("a", b"", 2)
    with pytest.raises(ReductError, match="used once"):
        await writer.__aenter__()
    assert writer.report == WriteReport(stored=1)
    assert await times(bucket.query("a")) == [1]


# --- write_many ----------------------------------------------------------------------------


async def test_write_many(bucket: Bucket) -> None:
    report = await bucket.write_many(
        [
            ("a", b"now"),
            ("b", b"1", 1),
            ("b", "2", 2, {"n": 2}),
            ("b", b"3", 3, None, "text/plain"),
        ]
    )
    assert report == WriteReport(stored=4)
    assert (await contents(bucket.query("a")))[0].data == b"now"
    assert await contents(bucket.query("b")) == [
        Stored("b", 1, b"1", {}, BINARY),
        Stored("b", 2, b"2", {"n": "2"}, BINARY),
        Stored("b", 3, b"3", {}, "text/plain"),
    ]


async def test_write_many_from_iterators(bucket: Bucket) -> None:
    def plain() -> Iterator[Any]:
        yield from (("a", b"%d" % us, us) for us in range(100))

    async def asynchronous() -> AsyncIterator[Any]:
        for us in range(100, 200):
            yield "a", b"%d" % us, us

    assert (await bucket.write_many(plain())).stored == 100
    assert (await bucket.write_many(asynchronous())).stored == 100
    assert (await bucket.write_many([])).stored == 0
    assert await payloads(bucket.query("a")) == {us: b"%d" % us for us in range(200)}


async def test_write_many_copies_records(bucket: Bucket, client: Client) -> None:
    await write_all(bucket, "a", *range(100), labels={"x": 1}, content_type="text/x")
    await bucket.write("large", bytes(9_000_000), 1)
    copy = await client.create_bucket(f"{bucket.name}-copy")
    assert (await copy.write_many(bucket.query("*"))).stored == 101
    assert await contents(copy.query("a")) == await contents(bucket.query("a"))
    assert await contents(copy.query("large")) == await contents(bucket.query("large"))
    await copy.remove()


@pytest.mark.parametrize(
    "record", [b"data", "entry", ("a",), ("a", b"", 1, {}, "b/c", "more"), None]
)
async def test_write_many_refuses_other_things(bucket: Bucket, record: Any) -> None:
    with pytest.raises(TypeError, match="a record to write must be"):
        await bucket.write_many([record])
    with pytest.raises(TypeError):
        await bucket.write_many(record)


async def test_write_many_stores_what_came_before_an_error(bucket: Bucket) -> None:
    def source() -> Iterator[Any]:
        yield "a", b"1", 1
        raise KeyError("source")

    with pytest.raises(KeyError, match="source"):
        await bucket.write_many(source())
    assert await payloads(bucket.query("a")) == {1: b"1"}


async def test_metadata_alone_is_no_record_to_write(bucket: Bucket) -> None:
    await write_all(bucket, "a", 1)
    (record,) = [record async for record in bucket.query("a", head=True)]
    with pytest.raises(ReductError, match="only metadata"):
        await bucket.write_many([to_blocking(record)])
