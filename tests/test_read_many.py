"""Many single records by entry and timestamp: side by side, in the order asked."""

import itertools
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduct_async import Bucket, NotFoundError, Record, ReductError, TransportError
from reduct_core import errors, many
from reduct_core.headers import RecordHead
from reduct_core.many import Round
from reduct_core.record_info import RecordInfo
from tests.flavours import Flavour
from tests.recording import HANG_SECONDS, Recorder
from tests.scripted_server import REQUEST, RESET, Request, ScriptedServer, answer
from tests.stored import BINARY, Stored, content, write_all


async def test_records_come_in_the_order_asked(bucket: Bucket) -> None:
    await write_all(bucket, "a", *range(100), labels={"x": 1}, content_type="text/x")
    await write_all(bucket, "b/c", *range(100))
    wanted = [(("a", "b/c")[us % 2], us * 37 % 100) for us in range(100)]
    found = [await content(record) async for record in bucket.read_many(wanted)]
    assert [(one.entry, one.timestamp, one.data) for one in found] == [
        (entry, us, b"%d" % us) for entry, us in wanted
    ]
    assert found[0] == Stored("a", 0, b"0", {"x": "1"}, "text/x")


@given(
    places=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), max_size=40),
    concurrency=st.integers(1, 20),
)
@settings(max_examples=20)
async def test_any_places(bucket: Bucket, places: list[tuple[str, int]], concurrency: int) -> None:
    folder = uuid.uuid4().hex
    await bucket.write_many((f"{folder}/{e}", b"%d" % us, us) for e in "ab" for us in range(10))
    wanted = [(f"{folder}/{entry}", us) for entry, us in places]
    found = [r async for r in bucket.read_many(iter(wanted), concurrency=concurrency)]
    assert [(record.entry, record.timestamp) for record in found] == wanted
    # Also after the loop: they are complete in memory.
    assert [await record.read_all() for record in found] == [b"%d" % us for _, us in places]


async def test_nothing_to_read(recorded: Bucket, recorder: Recorder) -> None:
    assert [record async for record in recorded.read_many([])] == []
    assert recorder.requests == []


async def test_latest_records_and_times_of_any_kind(bucket: Bucket) -> None:
    await write_all(bucket, "a", 1, 2_000_000, 3_000_000)
    wanted: list[Any] = [("a", None), ("a", "1970-01-01T00:00:02Z"), ("a", 3.0), ("a", 1)]
    found = [record.timestamp async for record in bucket.read_many(wanted)]
    assert found == [3_000_000, 2_000_000, 3_000_000, 1]


async def test_large_records_are_complete(bucket: Bucket) -> None:
    data = bytes(range(256)) * 40_000
    await bucket.write("a", data, 1)
    await bucket.write("a", b"small", 2)
    found = [record async for record in bucket.read_many([("a", 1), ("a", 2), ("a", 1)])]
    assert [await record.read_all() for record in found] == [data, b"small", data]
    assert [len(piece) async for piece in found[0].read(10_000_000)] == [10_000_000, 240_000]


async def test_names_that_the_routes_claim(bucket: Bucket) -> None:
    await write_all(bucket, "a/q", 1)
    (found,) = [await content(record) async for record in bucket.read_many([("a/q", 1)])]
    assert found == Stored("a/q", 1, b"1", {}, BINARY)


async def collect(records: AsyncIterator[Record], found: list[int]) -> None:
    """Add the timestamps of `records` to `found`, up to an error."""
    async for record in records:
        assert await record.read_all() == b"%d" % record.timestamp
        found.append(record.timestamp)


# --- what is not there ---------------------------------------------------------------------


async def test_a_missing_record_is_an_error_in_its_place(bucket: Bucket) -> None:
    await write_all(bucket, "a", 1, 2, 3)
    found: list[int] = []
    wanted = [("a", 1), ("a", 2), ("a", 9), ("a", 3)]
    with pytest.raises(
        NotFoundError, match=r"^Status 404: .* \(record 9 of entry 'a'\)$"
    ) as caught:
        await collect(bucket.read_many(wanted), found)
    assert found == [1, 2]
    assert (caught.value.method, caught.value.path) == ("GET", f"/api/v1/b/{bucket.name}/a")
    assert isinstance(caught.value.__cause__, NotFoundError)


async def test_missing_records_are_left_out(bucket: Bucket) -> None:
    await write_all(bucket, "a", 1, 3)
    wanted = [("a", 1), ("a", 2), ("b", 1), ("a", 3), ("a", 4)]
    found = [r.timestamp async for r in bucket.read_many(wanted, missing="ignore")]
    assert found == [1, 3]
    with pytest.warns(UserWarning, match=r"record \d of entry") as warnings:
        found = [r.timestamp async for r in bucket.read_many(wanted, missing="warn")]
    assert found == [1, 3]
    assert len(warnings) == 3
    assert str(warnings[0].message).endswith("(record 2 of entry 'a')")


async def test_the_latest_record_of_nothing(bucket: Bucket) -> None:
    with pytest.raises(NotFoundError, match="the latest record of entry 'a'"):
        _ = [record async for record in bucket.read_many([("a", None)])]


@pytest.mark.parametrize(
    ("wanted", "arguments", "error"),
    [
        ([("a", -1)], {}, ValueError),
        ([("a", True)], {}, TypeError),
        ([("../a", 1)], {}, ValueError),
        ([(5, 1)], {}, TypeError),
        ([("a",)], {}, ValueError),
        (5, {}, TypeError),
        ([], {"concurrency": 0}, ValueError),
        ([], {"concurrency": True}, ValueError),
        ([], {"missing": "drop"}, ValueError),
    ],
)
async def test_bad_arguments_are_refused_by_the_call(
    bucket: Bucket, wanted: Any, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        bucket.read_many(wanted, **arguments)


# --- trouble -------------------------------------------------------------------------------


def record_answer(request: Request) -> bytes:
    us = request.target.rpartition("=")[2]
    return answer(us.encode(), headers={"x-reduct-time": us, "content-type": "text/x"})


async def test_an_error_comes_in_its_place(flavour: Flavour) -> None:
    """With one reader, which reads one record after the other."""
    script = [record_answer] * 3 + [REQUEST, RESET]
    with ScriptedServer(script) as server:
        bucket = flavour.client(server.url).bucket("b")
        found: list[int] = []
        with pytest.raises(TransportError) as caught:
            await collect(bucket.read_many([("a", us) for us in range(10)], concurrency=1), found)
        assert found == [0, 1, 2]
        assert caught.value.__notes__ == ["It came when reading record 3 of entry 'a'."]
        await bucket._io.close()


async def test_as_many_at_once_as_asked(flavour: Flavour) -> None:
    together: list[int] = []
    most = 0
    lock = threading.Lock()
    enough = threading.Event()

    def slow(request: Request) -> bytes:
        nonlocal most
        with lock:
            together.append(1)
            most = max(most, len(together))
            if most == 5:
                enough.set()
        assert enough.wait(HANG_SECONDS)
        with lock:
            together.pop()
        return record_answer(request)

    with ScriptedServer([slow] * 50) as server:
        bucket = flavour.client(server.url).bucket("b")
        wanted = [("a", us) for us in range(20)]
        found = [r.timestamp async for r in bucket.read_many(wanted, concurrency=5)]
        assert found == list(range(20))
        assert most == 5
        await bucket._io.close()


async def test_leaving_the_loop_reads_no_further(recorded: Bucket, recorder: Recorder) -> None:
    await write_all(recorded, "a", *range(100))
    recorder.requests.clear()
    found: Any = recorded.read_many([("a", us) for us in range(100)], concurrency=4)
    assert (await anext(found)).timestamp == 0
    await found.aclose()
    assert len(recorder.requests) == 4


# --- rounds --------------------------------------------------------------------------------


def info(size: int) -> RecordInfo:
    return RecordInfo(RecordHead(0, "a", size, "", {}, {}), False)


def test_a_round_ends_at_its_budget() -> None:
    found: Round[RecordInfo] = Round([("a", us) for us in range(10)], "raise")
    numbers = []
    while (place := found.next()) is not None:
        numbers.append(place[0])
        found.put(place[0], info(many.ROUND_BYTES // 2))
    assert numbers == [0, 1]
    assert found.taken == len(list(found.records())) == 2


@pytest.mark.parametrize(
    ("missing", "error", "taken"),
    [
        ("raise", errors.NotFoundError(404, ""), 3),
        ("ignore", errors.NotFoundError(404, ""), 5),
        ("ignore", ReductError(500, ""), 3),
        ("ignore", KeyError(), 3),
    ],
)
def test_a_round_ends_at_an_error_that_will_be_raised(
    missing: Any, error: Exception, taken: int
) -> None:
    found: Round[RecordInfo] = Round([("a", us) for us in range(5)], missing)
    for number in itertools.count():
        if found.next() is None:
            break
        found.put(number, error if number == 2 else info(1))
    assert found.taken == taken
    handed: Iterator[RecordInfo] = found.records()
    if taken == 5:
        assert len(list(handed)) == 4
    else:
        assert [next(handed), next(handed)] != []
        with pytest.raises(type(error)):
            next(handed)


# --- records of write_many -----------------------------------------------------------------


@given(st.lists(st.integers(), max_size=7))
def test_tuples_of_two_to_five(values: list[int]) -> None:
    if 2 <= len(values) <= 5:
        one = many.given(tuple(values))
        found = [one.entry, one.data, one.timestamp, one.labels, one.content_type]
        assert found == [*values, *[None] * (5 - len(values))]
    else:
        with pytest.raises(TypeError, match="a record to write must be"):
            many.given(tuple(values))
    with pytest.raises(TypeError, match="not list"):
        many.given(values)  # type: ignore[arg-type]
