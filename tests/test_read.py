"""Reading single records from a server: which one, its metadata, its payload."""

import io
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduct_async import ApiError, Bucket, Client, NotFoundError, Record, ReductError
from tests.flavours import Flavour
from tests.recording import Recorder
from tests.servers import Server
from tests.stored import BINARY, content, timestamps, write_all

LARGE = 9 * 1024 * 1024 + 5
"""Above the 8 MiB up to which payloads are complete in memory."""


def large_payload() -> bytes:
    """Return a payload that is streamed, in which every piece differs."""
    return np.arange(LARGE, dtype="u4").tobytes()[:LARGE]


@pytest.fixture
async def large(bucket: Bucket) -> Bucket:
    """A bucket with one large record at 1 and a small one at 2."""
    await bucket.write("large", large_payload(), 1)
    await bucket.write("large", b"small", 2)
    return bucket


# --- which record --------------------------------------------------------------------------


async def test_the_latest_record(bucket: Bucket) -> None:
    await write_all(bucket, "entry", 5, 3, 4)
    async with bucket.read("entry") as record:
        assert (record.timestamp, await record.read_all()) == (5, b"5")


async def test_a_record_by_its_time(bucket: Bucket) -> None:
    await write_all(bucket, "entry", 0, 1, 2)
    for timestamp in (0, 1, 2):
        async with bucket.read("entry", timestamp) as record:
            assert (record.timestamp, await record.read_all()) == (timestamp, b"%d" % timestamp)


@given(timestamp=timestamps)
@settings(max_examples=25)
async def test_any_time_of_a_record(bucket: Bucket, timestamp: int) -> None:
    entry = uuid.uuid4().hex
    await bucket.write(entry, b"data", timestamp)
    async with bucket.read(entry, timestamp) as record:
        assert record.timestamp == timestamp
    assert [r.timestamp async for r in bucket.query(entry)] == [timestamp]
    assert [r.timestamp async for r in bucket.query(entry, timestamp)] == [timestamp]
    assert [r.timestamp async for r in bucket.query(entry, stop=timestamp)] == []


@pytest.mark.parametrize(
    "moment",
    [
        1_700_000_000_250_001,
        np.int64(1_700_000_000_250_001),
        1_700_000_000.250001,
        Decimal("1700000000.250001"),
        Fraction(1_700_000_000_250_001, 1_000_000),
        datetime(2023, 11, 14, 22, 13, 20, 250_001, UTC),
        "2023-11-14T22:13:20.250001Z",
        "2023-11-15T00:13:20.250001+02:00",
        np.datetime64("2023-11-14T22:13:20.250001"),
        1_700_000_000_250_001.0,
    ],
    ids=lambda moment: type(moment).__name__,
)
async def test_forms_of_a_time(bucket: Bucket, moment: Any) -> None:
    await bucket.write("entry", b"data", moment)
    async with bucket.read("entry", moment) as record:
        assert record.timestamp == 1_700_000_000_250_001
    start_and_stop = [r.timestamp async for r in bucket.query("entry", moment, moment)]
    assert start_and_stop == []
    assert [r.timestamp async for r in bucket.query("entry", moment)] == [1_700_000_000_250_001]


async def test_what_does_not_exist(bucket: Bucket, client: Client) -> None:
    await write_all(bucket, "entry", 1)
    with pytest.raises(NotFoundError, match="2") as caught:
        async with bucket.read("entry", 2):
            pytest.fail("there is no such record")
    assert (caught.value.status_code, caught.value.method) == (404, "GET")
    with pytest.raises(NotFoundError, match="'other'"):
        async with bucket.read("other"):
            pytest.fail("there is no such entry")
    with pytest.raises(NotFoundError, match="'no-such'"):
        async with client.bucket("no-such").read("entry"):
            pytest.fail("there is no such bucket")
    with pytest.raises(NotFoundError):
        async with bucket.read("entry", 2, head=True):
            pytest.fail("there is no such record")


@pytest.mark.parametrize("name", ["entry?x", "entry#x", "entry%2Fx", "entry x", "eñtry", "*", "!a"])
async def test_odd_names_are_asked_for_as_they_are(bucket: Bucket, name: str) -> None:
    await write_all(bucket, "entry", 1)
    with pytest.raises(NotFoundError):
        async with bucket.read(name):
            pytest.fail("there is no such entry")


@pytest.mark.parametrize("name", ["", "/", "entry/", "/entry", "a//b", ".", "..", "../x", "a\x00"])
async def test_names_that_are_not_sent(flavour: Flavour, server: Server, name: str) -> None:
    recorder = Recorder(flavour)
    bucket = flavour.client(server.url, transport=recorder.transport).bucket("bucket")
    with pytest.raises(ValueError, match="entry name"):
        async with bucket.read(name):
            pytest.fail("the name must be refused")
    assert recorder.requests == []


@pytest.mark.parametrize(
    ("timestamp", "error"),
    [
        (True, TypeError),
        ([1], TypeError),
        (-1, ValueError),
        (2**64, ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        ("yesterday", ValueError),
        (datetime(1969, 12, 31, tzinfo=UTC), ValueError),
        (np.datetime64("NaT"), ValueError),
    ],
)
async def test_times_that_are_not_sent(
    bucket: Bucket, timestamp: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="timestamp"):
        async with bucket.read("entry", timestamp):
            pytest.fail("the time must be refused")


# --- metadata ------------------------------------------------------------------------------


async def test_metadata(bucket: Bucket) -> None:
    moment = datetime(2031, 5, 17, 3, 4, 5, 678_901, UTC)
    await bucket.write(
        "a/b", b"12345", moment, labels={"x": 1, "y": "z"}, content_type="text/csv; header=present"
    )
    async with bucket.read("a/b") as record:
        assert record.timestamp == round(moment.timestamp() * 1_000_000)
        assert record.time == moment
        assert record.time.tzinfo is UTC
        assert record.get_datetime() == moment.astimezone().replace(tzinfo=None)
        assert (record.entry, record.size, record.content_type) == (
            "a/b",
            5,
            "text/csv; header=present",
        )
        assert (record.labels, record.computed) == ({"x": "1", "y": "z"}, {})
        assert record.last is True
        assert "'a/b'" in repr(record)
        assert "timestamp=" in repr(record)


async def test_defaults_of_metadata(bucket: Bucket) -> None:
    await bucket.write("entry", b"", 1)
    async with bucket.read("entry") as record:
        assert (record.size, record.content_type, record.labels) == (0, BINARY, {})
        assert await record.read_all() == b""
        assert [piece async for piece in record.read(5)] == []


async def test_beyond_the_year_9999(bucket: Bucket) -> None:
    await bucket.write("entry", b"", 2**64 - 2)
    async with bucket.read("entry", 2**64 - 2) as record:
        assert record.timestamp == 2**64 - 2
        with pytest.raises(ValueError, match="beyond the year 9999"):
            _ = record.time
        with pytest.raises(ValueError, match="beyond the year 9999"):
            record.get_datetime()


async def test_head_gives_metadata_alone(flavour: Flavour, server: Server) -> None:
    recorder = Recorder(flavour)
    client = flavour.client(server.url, transport=recorder.transport)
    bucket = await client.create_bucket(f"head-{uuid.uuid4().hex}")
    await bucket.write("entry", b"12345", 1, labels={"a": 1})
    async with bucket.read("entry", head=True) as record:
        assert (record.timestamp, record.size, record.labels) == (1, 5, {"a": "1"})
        with pytest.raises(ReductError, match="head=True"):
            await record.read_all()
        with pytest.raises(ReductError, match="head=True"):
            _ = [piece async for piece in record.read()]
    assert recorder.requests[-1].method == "HEAD"


async def test_a_record_that_is_still_written(bucket: Bucket) -> None:
    """It can be asked for, but neither read nor queried before it is whole."""
    begun, finish = anyio.Event(), anyio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield bytes(100_000)
        begun.set()
        await finish.wait()
        yield bytes(100_000)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: bucket.write("entry", slow(), 1, content_length=200_000))
            await begun.wait()
            while (await status(bucket)) == 404:
                await anyio.sleep(0.01)
            assert await status(bucket) == 425
            assert [record async for record in bucket.query("entry")] == []
            finish.set()
    assert await status(bucket) == 200


async def status(bucket: Bucket) -> int:
    """Return what an attempt to read the latest record is answered."""
    try:
        async with bucket.read("entry") as record:
            assert (await content(record)).data == bytes(200_000)
    except ApiError as error:
        return error.status_code
    return 200


# --- payload -------------------------------------------------------------------------------


@given(data=st.binary(max_size=200), n=st.integers(1, 64))
@settings(max_examples=30)
async def test_pieces(bucket: Bucket, data: bytes, n: int) -> None:
    entry = uuid.uuid4().hex
    await bucket.write(entry, data, 1)
    async with bucket.read(entry) as record:
        expected = [data[begin : begin + n] for begin in range(0, len(data), n)]
        assert [piece async for piece in record.read(n)] == expected
        assert await record.read_all() == data


async def test_a_payload_in_memory_stays_readable(bucket: Bucket) -> None:
    await bucket.write("entry", b"data", 1)
    kept: list[Record] = []
    async with bucket.read("entry") as record:
        kept.append(record)
    (record,) = kept
    assert await record.read_all() == b"data"
    assert await record.read_all() == b"data"
    assert [piece async for piece in record.read(3)] == [b"dat", b"a"]


@pytest.mark.parametrize("n", [0, -1, True, 1.5, None])
async def test_sizes_of_pieces_that_are_none(bucket: Bucket, n: Any) -> None:
    await bucket.write("entry", b"data", 1)
    async with bucket.read("entry") as record:
        with pytest.raises(ValueError, match="n="):
            _ = [piece async for piece in record.read(n)]


async def test_a_large_payload_at_once(large: Bucket) -> None:
    async with large.read("large", 1) as record:
        assert record.size == LARGE
        assert await record.read_all() == large_payload()


async def test_a_large_payload_in_pieces(large: Bucket) -> None:
    received = io.BytesIO()
    sizes = set()
    async with large.read("large", 1) as record:
        async for piece in record.read(100_000):
            sizes.add(len(piece))
            received.write(piece)
    assert received.getvalue() == large_payload()
    assert sizes == {100_000, LARGE % 100_000}


async def test_a_large_payload_is_read_once(large: Bucket) -> None:
    async with large.read("large", 1) as record:
        await record.read_all()
        with pytest.raises(ReductError, match="read before"):
            await record.read_all()
        with pytest.raises(ReductError, match="read before"):
            _ = [piece async for piece in record.read()]


async def test_a_large_payload_is_not_read_late(large: Bucket) -> None:
    async with large.read("large", 1) as record:
        pass
    with pytest.raises(ReductError, match="moved on"):
        await record.read_all()


async def test_a_large_payload_may_be_left_half_read(large: Bucket) -> None:
    async with large.read("large", 1) as record:
        pieces = record.read(1000)
        assert await anext(pieces) == large_payload()[:1000]
    with pytest.raises(ReductError, match="moved on"):
        async for _ in pieces:
            pass
    async with large.read("large") as record:
        assert (await content(record)).data == b"small"


async def test_errors_of_the_block_come_out(bucket: Bucket) -> None:
    await bucket.write("entry", b"data", 1)
    with pytest.raises(ConnectionRefusedError, match="somewhere else"):
        async with bucket.read("entry"):
            raise ConnectionRefusedError("somewhere else")


async def test_time_is_exact_and_local_time_agrees(bucket: Bucket) -> None:
    # 2041-02-17T17:59:58.304269 is one that floats get wrong.
    us = 2_244_736_798_304_269
    await bucket.write("entry", b"", us)
    async with bucket.read("entry") as record:
        assert record.time == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
        assert record.time.microsecond == 304_269
        assert record.get_datetime().microsecond == 304_269
