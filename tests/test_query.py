"""Queries on a server: which records come, in which order, with which payload."""

import asyncio
import uuid
import warnings
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduct_async import ApiError, Bucket, Client, NotFoundError, Record, ReductError
from tests.flavours import Flavour
from tests.recording import Recorder
from tests.servers import Server
from tests.stored import contents, keys, payloads, times, write_all

MAX = 2**64 - 1


@pytest.fixture
def unasked(flavour: Flavour, server: Server, recorder: Recorder) -> Bucket:
    """A bucket that does not exist, for what is refused before anything is sent."""
    return flavour.client(server.url, transport=recorder.transport).bucket("no-such")


async def fill(bucket: Bucket, flavour: Flavour, *records: tuple[str, int]) -> None:
    """Write records whose payload names entry and time."""
    batch = flavour.package.RecordBatch()
    for entry, timestamp in records:
        batch.add(entry, timestamp, f"{entry}@{timestamp}", labels={"n": timestamp})
    assert await bucket.write_record_batch(batch) == {}


# --- intervals -----------------------------------------------------------------------------

bound = st.none() | st.integers(0, 12) | st.sampled_from([MAX, MAX - 1])


@given(
    times=st.sets(st.integers(0, 10), max_size=6), start=bound, stop=bound, several=st.booleans()
)
@settings(max_examples=40)
async def test_intervals(
    bucket: Bucket,
    flavour: Flavour,
    times: set[int],
    start: int | None,
    stop: int | None,
    several: bool,
) -> None:
    """`start` is included and `stop` is not, whichever protocol carries the query."""
    entry = uuid.uuid4().hex
    await fill(bucket, flavour, *((entry, time) for time in times), (f"{entry}-end", 5))
    entries = [entry, "none"] if several else entry
    begin, end = 0 if start is None else start, MAX if stop is None else stop
    if begin > end:
        with pytest.raises(ValueError, match="start="):
            bucket.query(entries, start, stop)
        return
    expected = sorted(time for time in times if begin <= time < end)
    assert await keys(bucket.query(entries, start, stop)) == [(entry, t) for t in expected]


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (1.0, 3.0),
        (np.float32(1.0), np.float64(3.0)),
        ("1970-01-01T00:00:01Z", "1970-01-01T01:00:03+01:00"),
        (datetime.fromtimestamp(1), datetime.fromtimestamp(3, UTC)),
        (np.datetime64(1, "s"), np.datetime64(3000, "ms")),
        (np.int32(1_000_000), np.uint64(3_000_000)),
        (0.9999999, 2.9999999),
    ],
)
async def test_forms_of_bounds(bucket: Bucket, start: Any, stop: Any) -> None:
    await write_all(bucket, "entry", 999_999, 1_000_000, 2_999_999, 3_000_000)
    assert await times(bucket.query("entry", start, stop)) == [1_000_000, 2_999_999]


@pytest.mark.parametrize("name", ["start", "stop"])
@pytest.mark.parametrize(
    ("value", "error"), [(True, TypeError), (b"", TypeError), (-1, ValueError), ("x", ValueError)]
)
async def test_bounds_that_are_not_sent(
    unasked: Bucket, recorder: Recorder, name: str, value: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match=name):
        unasked.query("entry", **{name: value})
    assert recorder.sent == []


# --- entries -------------------------------------------------------------------------------

NAMES = ["a", "a/b", "a/b/c", "ab", "cam-1", "cam-1/left", "cam-2", "x/left", "x/y/left"]


@pytest.fixture
async def named(bucket: Bucket, flavour: Flavour) -> Bucket:
    """A bucket with a record in every entry of NAMES, and attachments."""
    await fill(bucket, flavour, *((name, n) for n, name in enumerate(NAMES)))
    await bucket.write_attachments("a", {"key": 1})
    return bucket


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ("*", NAMES),
        (["*"], NAMES),
        ("a*", ["a", "a/b", "a/b/c", "ab"]),
        ("cam-*", ["cam-1", "cam-1/left", "cam-2"]),
        (["a", "ab"], ["a", "ab"]),
        (["a", "a"], ["a"]),
        (["a", "a*", "*"], NAMES),
        (["ab", "no-such"], ["ab"]),
        (("a", "cam-2"), ["a", "cam-2"]),
    ],
)
async def test_names_and_prefixes(
    named: Bucket, entries: str | list[str], expected: list[str]
) -> None:
    assert sorted(entry for entry, _ in await keys(named.query(entries))) == expected


@pytest.mark.since_1_21
@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ("a/*", ["a/b"]),
        ("a/**", ["a", "a/b", "a/b/c"]),
        ("*/left", ["cam-1/left", "x/left"]),
        ("**/left", ["cam-1/left", "x/left", "x/y/left"]),
        ("cam-*/left", ["cam-1/left"]),
        ("x/**/left", ["x/left", "x/y/left"]),
        (["*", "!a*"], ["cam-1", "cam-1/left", "cam-2", "x/left", "x/y/left"]),
        (["cam-*", "!cam-2"], ["cam-1", "cam-1/left"]),
        ("!**/left", ["a", "a/b", "a/b/c", "ab", "cam-1", "cam-2"]),
        ("/a", ["a"]),
    ],
)
async def test_patterns(named: Bucket, entries: str | list[str], expected: list[str]) -> None:
    assert sorted(entry for entry, _ in await keys(named.query(entries))) == expected


async def test_no_entries_yield_nothing(recorded: Bucket, recorder: Recorder) -> None:
    await write_all(recorded, "entry", 1)
    before = len(recorder.sent)
    assert await contents(recorded.query([])) == []
    assert len(recorder.sent) == before


@pytest.mark.parametrize(
    ("entries", "error"),
    [
        (None, TypeError),
        (5, TypeError),
        (b"entry", TypeError),
        ([b"entry"], TypeError),
        ([None], TypeError),
        ({"entry"}, TypeError),
        ("", ValueError),
        (["a", ""], ValueError),
        ("..", ValueError),
        ("../other", ValueError),
        (["a", "b//c"], ValueError),
        ("a\n", ValueError),
    ],
)
async def test_entries_that_are_not_sent(
    unasked: Bucket, recorder: Recorder, entries: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="entr"):
        unasked.query(entries)
    assert recorder.sent == []


@pytest.mark.parametrize("entries", ["no-such", ["no-such", "entry"], ["*", "no-such"]])
async def test_missing_entries(bucket: Bucket, entries: str | list[str]) -> None:
    await write_all(bucket, "entry", 1)
    expected = [] if entries == "no-such" else [1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert await times(bucket.query(entries)) == expected
        assert await times(bucket.query(entries, missing="ignore")) == expected
    with pytest.warns(UserWarning, match="'no-such'"):
        assert await times(bucket.query(entries, missing="warn")) == expected
    with pytest.raises(NotFoundError, match="'no-such'") as caught:
        await times(bucket.query(entries, missing="raise"))
    assert caught.value.status_code == 404


async def test_nothing_is_missing(bucket: Bucket) -> None:
    await write_all(bucket, "entry", 1)
    await bucket.write_attachments("entry", {"key": 1})
    for entries in ("entry", "*", "e*", "x*", "entry/$meta"):
        await contents(bucket.query(entries, missing="raise"))


@pytest.mark.since_1_21
async def test_exclusions_are_not_missing(bucket: Bucket) -> None:
    await write_all(bucket, "entry", 1)
    for entries in (["entry", "!no-such"], ["*", "!no-such"], "!no-such"):
        assert await times(bucket.query(entries, missing="raise")) == [1]


async def test_missing_is_checked(bucket: Bucket) -> None:
    missing: Any = "skip"
    with pytest.raises(ValueError, match="missing='skip'"):
        bucket.query("entry", missing=missing)


@pytest.mark.parametrize("entries", ["entry", ["a", "b"], "*"])
async def test_a_missing_bucket(client: Client, entries: str | list[str]) -> None:
    for missing in ("ignore", "raise"):
        with pytest.raises(NotFoundError, match=r"(?i)bucket 'no-such'"):
            await contents(client.bucket("no-such").query(entries, missing=missing))


# --- order and answers ---------------------------------------------------------------------


@pytest.mark.parametrize("count", [85, 86, 1001])
async def test_many_records_of_one_entry(bucket: Bucket, flavour: Flavour, count: int) -> None:
    await fill(bucket, flavour, *(("entry", n) for n in range(count)))
    for entries in ("entry", ["entry", "none"]):
        found = await contents(bucket.query(entries))
        assert [record.timestamp for record in found] == list(range(count))
        assert all(r.data == f"entry@{r.timestamp}".encode() for r in found)
        assert all(r.labels == {"n": str(r.timestamp)} for r in found)


async def test_payloads_belong_to_their_records(bucket: Bucket, flavour: Flavour) -> None:
    """The server sends bodies entry by entry; the sizes differ, so a wrong cut would show."""
    wanted = [("zaq"[n % 3] + "x" * (n % 5), n) for n in range(300)]
    await fill(bucket, flavour, *wanted)
    found = await contents(bucket.query("*"))
    assert sorted((r.entry, r.timestamp) for r in found) == sorted(wanted)
    assert all(r.data == f"{r.entry}@{r.timestamp}".encode() for r in found)
    for name in {entry for entry, _ in wanted}:
        own = [r.timestamp for r in found if r.entry == name]
        assert own == sorted(own)


async def test_order_within_an_answer_is_that_of_time(bucket: Bucket, flavour: Flavour) -> None:
    await fill(bucket, flavour, *(("zab"[n % 3], n) for n in range(60)))
    assert await times(bucket.query(["a", "b", "z"])) == list(range(60))


async def test_records_that_were_written_late(bucket: Bucket) -> None:
    await write_all(bucket, "entry", 5, 1, 9, 3, 0)
    for entries in ("entry", "*"):
        assert await payloads(bucket.query(entries)) == {n: b"%d" % n for n in (0, 1, 3, 5, 9)}
        assert await times(bucket.query(entries)) == [0, 1, 3, 5, 9]


async def test_last_marks_the_end(bucket: Bucket) -> None:
    await write_all(bucket, "entry", 1, 2, 3)
    for entries in ("entry", ["entry", "none"]):
        marks = [record.last async for record in bucket.query(entries)]
        assert marks == [False, False, True]


async def test_records_may_be_read_after_the_loop(bucket: Bucket, flavour: Flavour) -> None:
    await fill(bucket, flavour, *(("entry", n) for n in range(200)))
    kept: list[Record] = [record async for record in bucket.query("entry")]
    for n in (199, 0, 84, 85, 199):
        assert await kept[n].read_all() == f"entry@{n}".encode()
        assert await anext(kept[n].read(4)) == b"entr"


async def test_head_gives_metadata_alone(
    recorded: Bucket, recorder: Recorder, flavour: Flavour
) -> None:
    await fill(recorded, flavour, *((name, n) for n in range(100) for name in ("a", "b")))
    for entries in ("a", ["a", "b"]):
        before = len(recorder.requests)
        found = [record async for record in recorded.query(entries, head=True)]
        assert len(found) == (100 if entries == "a" else 200)
        assert all(r.size == len(f"a@{r.timestamp}") for r in found)
        assert all(r.labels == {"n": str(r.timestamp)} for r in found)
        with pytest.raises(ReductError, match="head=True"):
            await found[0].read_all()
        methods = {request.method for request in recorder.requests[before:]}
        assert methods == {"POST", "HEAD"}


# --- conditions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"&n": {"$gte": 3}}, [3, 4, 5]),
        ({"$and": [{"&n": {"$gt": 1}}, {"&n": {"$lt": 4}}]}, [2, 3]),
        ({"$in": ["&n", 0, 5]}, [0, 5]),
        ({"$limit": 2}, [0, 1]),
        ({"$each_n": 2}, [1, 3, 5]),
        ({"$eq": [{"$rem": ["&n", 2]}, 1]}, [1, 3, 5]),
        ({"$timestamp": {"$lt": 2}}, [0, 1]),
        ({"#ctx_before": 1, "&n": {"$eq": 3}}, [2, 3]),
        ({"#batch_records": 1}, [0, 1, 2, 3, 4, 5]),
        ({}, [0, 1, 2, 3, 4, 5]),
        (True, [0, 1, 2, 3, 4, 5]),
        (False, []),
        ("&n", [1, 2, 3, 4, 5]),
        ({"&none": {"$eq": 1}}, []),
        ({"$has": "none"}, []),
    ],
)
async def test_conditions(bucket: Bucket, flavour: Flavour, when: Any, expected: list[int]) -> None:
    await fill(bucket, flavour, *(("entry", n) for n in range(6)))
    for entries in ("entry", ["entry", "none"]):
        assert await times(bucket.query(entries, when=when)) == expected


async def test_labels_may_be_selected(bucket: Bucket) -> None:
    await bucket.write("entry", b"1", 1, labels={"a": 1, "b": 2})
    (record,) = await contents(bucket.query("entry", when={"#select_labels": ["b"]}))
    assert record.labels == {"b": "2"}


@pytest.mark.parametrize("entries", ["entry", ["entry", "none"]])
async def test_strict(bucket: Bucket, entries: str | list[str]) -> None:
    await write_all(bucket, "entry", 1)
    when = {"&none": {"$eq": 1}}
    assert await times(bucket.query(entries, when=when, strict=False)) == []
    with pytest.raises(NotFoundError, match="'none'"):
        await times(bucket.query(entries, when=when, strict=True))


@pytest.mark.parametrize("entries", ["entry", ["entry", "none"], "*"])
async def test_what_the_server_refuses(bucket: Bucket, entries: str | list[str]) -> None:
    await write_all(bucket, "entry", 1)
    with pytest.raises(ApiError, match=r"\$nonsense") as caught:
        await times(bucket.query(entries, when={"$nonsense": 1}))
    assert caught.value.status_code == 422
    with pytest.raises(ApiError, match="Unknown extension 'select'") as caught:
        await times(bucket.query(entries, ext={"select": {}}))
    assert caught.value.status_code == 422
    with pytest.raises(ApiError, match="Unknown extension"):
        await times(bucket.query(entries, ext=[{"one": {}}, {"two": {}}]))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"when": ["$eq"]}, TypeError),
        ({"when": '{"&a": {"$eq": 1}}'}, ValueError),
        ({"when": "a"}, ValueError),
        ({"when": {"&a": {"$eq": object()}}}, TypeError),
        ({"when": {"&a": {"$eq": float("nan")}}}, ValueError),
        ({"when": {"&a": {"$eq": 2**63}}}, ValueError),
        ({"when": {"$rem": ["&a", 0]}}, ValueError),
        ({"when": {"&a": {"$rem": "&b"}}}, ValueError),
        ({"when": {"$div_num": [-(2**63), -1]}}, ValueError),
        ({"ext": "select"}, TypeError),
        ({"ext": {"select": {"a": b""}}}, TypeError),
        ({"strict": "yes"}, TypeError),
        ({"ttl": "60"}, TypeError),
        ({"ttl": True}, TypeError),
        ({"ttl": 0}, ValueError),
        ({"ttl": -1}, ValueError),
        ({"ttl": float("nan")}, ValueError),
    ],
)
async def test_what_is_not_sent(
    unasked: Bucket, recorder: Recorder, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=next(iter(arguments))):
        unasked.query("entry", **arguments)
    assert recorder.sent == []


@pytest.mark.parametrize("ttl", [1, 1.5, np.float64(2.5), 3600])
async def test_ttl(bucket: Bucket, ttl: Any) -> None:
    await write_all(bucket, "entry", 1)
    assert await times(bucket.query("entry", ttl=ttl)) == [1]


async def test_a_query_that_the_server_forgot_goes_on(
    recorded: Bucket, recorder: Recorder, flavour: Flavour
) -> None:
    """One entry has one order, so the rest can be asked for anew."""
    await fill(recorded, flavour, *(("entry", n) for n in range(6)))
    before = len(recorder.sent)
    found = recorded.query("entry", ttl=1, when={"#batch_records": 2}, each_n=2)
    assert (await anext(found)).timestamp == 0
    await asyncio.sleep(1.1)
    assert await times(found) == [2, 4]
    assert [line.split()[0] for line in recorder.sent[before:]].count("POST") == 2


@pytest.mark.parametrize(
    ("entries", "when"),
    [(["entry", "n*"], {"#batch_records": 2}), ("entry", {"$limit": 9, "#batch_records": 2})],
)
async def test_a_query_that_the_server_forgot_tells_the_cure(
    bucket: Bucket, flavour: Flavour, entries: str | list[str], when: dict[str, Any]
) -> None:
    await fill(bucket, flavour, *(("entry", n) for n in range(4)))
    found = bucket.query(entries, ttl=1, when=when, prefetch=False)
    assert (await anext(found)).timestamp == 0
    await asyncio.sleep(1.1)
    assert (await anext(found)).timestamp == 1
    with pytest.raises(NotFoundError, match="larger ttl="):
        await anext(found)


# --- loops ---------------------------------------------------------------------------------


async def test_a_loop_may_change_its_own_entry(bucket: Bucket, flavour: Flavour) -> None:
    await fill(bucket, flavour, *(("entry", n) for n in range(60)))
    seen = 0
    async for record in bucket.query("entry"):
        seen += 1
        await bucket.write("copy", await record.read_all(), record.timestamp)
        await bucket.update("entry", record.timestamp, {"seen": True})
        if record.timestamp % 2:
            await bucket.remove_record("entry", record.timestamp)
        await bucket.write("entry", b"new", 1000 + record.timestamp)
    assert seen == 60
    assert len(await times(bucket.query("copy"))) == 60
    left = await times(bucket.query("entry", include={"seen": True}))
    assert left == list(range(0, 60, 2))


async def test_two_queries_side_by_side(bucket: Bucket, flavour: Flavour) -> None:
    await fill(bucket, flavour, *(("entry", n) for n in range(200)))
    one, two = bucket.query("entry"), bucket.query(["entry", "none"])
    for n in range(200):
        assert ((await anext(one)).timestamp, (await anext(two)).timestamp) == (n, n)
    assert [record async for record in one] == [record async for record in two] == []


async def test_a_query_may_be_left(bucket: Bucket, flavour: Flavour) -> None:
    await fill(bucket, flavour, *(("entry", n) for n in range(100)))
    for _ in range(10):
        async for record in bucket.query("entry"):
            assert record.timestamp == 0
            break
    found = bucket.query("entry")
    await anext(found)
    await found.aclose()
    assert [record async for record in found] == []
    assert len(await times(bucket.query("entry"))) == 100


async def test_a_query_starts_with_its_loop(recorded: Bucket, recorder: Recorder) -> None:
    found = recorded.query("entry")
    assert recorder.sent == []
    await write_all(recorded, "entry", 1)
    assert await times(found) == [1]


# --- large records -------------------------------------------------------------------------

LARGE = 9 * 1024 * 1024


def large(seed: int) -> bytes:
    """Return a payload that is streamed."""
    return np.arange(seed, seed + LARGE // 4, dtype="u4").tobytes()


@pytest.fixture
async def heavy(bucket: Bucket) -> Bucket:
    """A bucket with large and small records of two entries in turn."""
    for n in range(4):
        await bucket.write("ab"[n % 2], large(n), n)
        await bucket.write("ab"[n % 2], b"small", 10 + n)
    return bucket


@pytest.mark.parametrize("entries", ["a", ["a", "b"], ["a", "none"], "*"])
async def test_large_records(heavy: Bucket, entries: str | list[str]) -> None:
    seen = []
    async for record in heavy.query(entries):
        data = await record.read_all()
        expected = b"small" if record.timestamp >= 10 else large(record.timestamp)
        assert data == expected
        seen.append(record.timestamp)
    both = entries in ("*", ["a", "b"])
    assert sorted(seen) == ([0, 1, 2, 3, 10, 11, 12, 13] if both else [0, 2, 10, 12])


@pytest.mark.parametrize("entries", ["a", ["a", "b"]])
async def test_large_records_may_be_passed_over(heavy: Bucket, entries: str | list[str]) -> None:
    found: dict[int, Record] = {}
    async for record in heavy.query(entries):
        found[record.timestamp] = record
        if record.timestamp == 0:
            pieces = record.read(1000)
            assert await anext(pieces) == large(0)[:1000]
    assert await found[10].read_all() == b"small"
    with pytest.raises(ReductError, match="moved on"):
        await found[2].read_all()


async def test_a_large_record_may_be_left(heavy: Bucket) -> None:
    for _ in range(3):
        async for record in heavy.query("a"):
            async for piece in record.read(10):
                assert piece == large(0)[:10]
                break
            break
    assert await times(heavy.query("a", head=True)) == [0, 2, 10, 12]


async def test_one_answer_may_hold_several_large_records(heavy: Bucket) -> None:
    when = {"#batch_size": 100_000_000}
    for entries in ("a", ["a", "b"]):
        async for record in heavy.query(entries, when=when):
            data = await record.read_all()
            assert data == (b"small" if record.timestamp >= 10 else large(record.timestamp))


@pytest.mark.parametrize("entries", ["entry", ["entry", "none"]])
async def test_a_loop_may_write_ahead_of_itself(
    bucket: Bucket, flavour: Flavour, entries: Any
) -> None:
    """A query reads what was there when it began, also where removals make it begin anew."""
    await fill(bucket, flavour, *(("entry", n) for n in range(200)))
    seen = []
    async for record in bucket.query(entries, when={"#batch_records": 40}):
        seen.append(record.timestamp)
        assert len(seen) <= 200
        await bucket.write("entry", b"moved", 1000 + record.timestamp)
        await bucket.remove_record("entry", record.timestamp)
    assert seen == list(range(200))
    assert await times(bucket.query("entry")) == list(range(1000, 1200))
