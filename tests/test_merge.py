"""Several exact entries are read by queries of their own, merged: the same records, in order."""

import uuid
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduct_async import Bucket, Client, NotFoundError
from reduct_core import query
from reduct_core.headers import RecordHead
from reduct_core.merge import take_ready
from reduct_core.query import make_plan
from reduct_core.record_info import RecordInfo
from reduct_core.records import by_time
from tests.flavours import Flavour
from tests.servers import Server
from tests.stored import contents, keys, write_all

# --- merging -------------------------------------------------------------------------------


def info(entry: str, timestamp: int) -> RecordInfo:
    return RecordInfo(RecordHead(timestamp, entry, 0, "", {}, {}), False)


@given(st.lists(st.lists(st.integers(0, 30), unique=True).map(sorted), max_size=5), st.data())
def test_any_answers_give_the_order_of_time(times: list[list[int]], data: st.DataObject) -> None:
    coming = [[info(f"e{n}", us) for us in found] for n, found in enumerate(times)]
    expected = sorted((record for found in coming for record in found), key=by_time)
    waiting: list[list[RecordInfo]] = [[] for _ in coming]
    merged: list[RecordInfo] = []
    while True:
        for found, rest in zip(waiting, coming, strict=True):
            if not found and rest:
                size = data.draw(st.integers(1, len(rest)))
                found += rest[:size]
                del rest[:size]
        ready = take_ready(waiting)
        if not ready:
            break
        merged += ready
    assert merged == expected
    assert not any(waiting)


def test_nothing_is_handed_out_that_another_query_may_precede() -> None:
    waiting = [[info("a", 1), info("a", 5)], [info("b", 2), info("b", 3)], []]
    assert [record.timestamp for record in take_ready(waiting)] == [1, 2, 3]
    assert [[record.timestamp for record in found] for found in waiting] == [[5], [], []]


# --- which queries are merged --------------------------------------------------------------


def parts(entries: Any, **arguments: Any) -> list[list[str]]:
    given: dict[str, Any] = {"strict": None, "ext": None, "when": None, **arguments}
    when = given.pop("when")
    plan = make_plan("bucket", entries, 5, 9, None, when, **given)
    found = query.parts(plan)
    assert all((part.body.start, part.body.stop) == (5, 9) for part in found)
    return [list(part.body.entries or ()) for part in found]


def test_exact_names_are_merged() -> None:
    assert parts(["a", "b", "a"]) == [["a"], ["b"]]
    assert len(parts([f"e{n}" for n in range(query.MERGED_ENTRIES)])) == query.MERGED_ENTRIES


@pytest.mark.parametrize(
    ("entries", "arguments"),
    [
        ("a", {}),
        (["a", "a"], {}),
        ([], {}),
        (["a", "b*"], {}),
        (["a", "!b"], {}),
        ([f"e{n}" for n in range(query.MERGED_ENTRIES + 1)], {}),
        (["a", "b"], {"ext": {"select": {}}}),
        (["a", "b"], {"when": "&label"}),
    ],
    ids=str,
)
def test_all_else_is_one_query(entries: Any, arguments: dict[str, Any]) -> None:
    assert parts(entries, **arguments) == []


def test_merged_queries_share_one_budget() -> None:
    plan = make_plan("bucket", ["a", "b", "c", "d"], None, None, None, None, strict=None, ext=None)
    for part in query.parts(plan):
        when = query.create(part).json["when"]
        assert when["#batch_size"] == query.BATCH_BYTES // 4


# --- on a server ---------------------------------------------------------------------------

PLACES = st.sets(st.tuples(st.sampled_from("abc"), st.integers(0, 8)), max_size=20)


@given(places=PLACES, start=st.integers(0, 4), size=st.sampled_from([1, 2, 3, 100]))
@settings(max_examples=15)
async def test_the_same_records_come_by_one_query_and_merged(
    bucket: Bucket,
    flavour: Flavour,
    server: Server,
    places: set[tuple[str, int]],
    start: int,
    size: int,
) -> None:
    mark = uuid.uuid4().hex
    names = {letter: f"{mark}-{letter}" for letter in "abc"}
    batch = flavour.package.RecordBatch()
    for letter, us in places:
        batch.add(names[letter], us, f"{letter}{us}", labels={"n": us})
    assert await bucket.write_record_batch(batch) == {}
    stock = flavour.client(server.url, transport=flavour.stock_transport())
    asked: dict[str, Any] = {"start": start, "when": {"#batch_records": size}}
    merged = await contents(bucket.query([*names.values(), mark], **asked))
    single = await contents(stock.bucket(bucket.name).query([*names.values(), mark], **asked))
    places_found = [(record.timestamp, record.entry) for record in merged]
    assert places_found == sorted(places_found)
    assert merged == sorted(single, key=lambda record: (record.timestamp, record.entry))
    assert len(merged) == sum(us >= start for _, us in places)


async def test_missing_entries(bucket: Bucket, client: Client) -> None:
    await write_all(bucket, "a", 1)
    assert await keys(bucket.query(["a", "none"])) == [("a", 1)]
    with pytest.warns(UserWarning, match="has no entry 'none'"):
        assert await keys(bucket.query(["a", "none"], missing="warn")) == [("a", 1)]
    with pytest.raises(NotFoundError, match="has no entry 'none'"):
        await keys(bucket.query(["a", "none"], missing="raise"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert await keys(bucket.query(["none", "gone"])) == []
    with pytest.raises(NotFoundError, match="no-such-bucket"):
        await keys(client.bucket("no-such-bucket").query(["a", "b"]))


@pytest.mark.parametrize("head", [True, False])
async def test_only_the_last_of_all_is_the_last(bucket: Bucket, head: bool) -> None:
    await write_all(bucket, "a", 1, 4)
    await write_all(bucket, "b", 2, 3)
    found = [(r.timestamp, r.last) async for r in bucket.query(["a", "b"], head=head)]
    assert found == [(1, False), (2, False), (3, False), (4, True)]


async def test_filters_count_the_merged_records(bucket: Bucket) -> None:
    await write_all(bucket, "a", *range(0, 20, 2))
    await write_all(bucket, "b", *range(1, 20, 2))
    found = await keys(bucket.query(["a", "b"], limit=5, each_n=2))
    assert found == [("a", 0), ("b", 1), ("a", 4), ("b", 5), ("a", 8)]


async def test_large_payloads_are_streamed_in_turn(bucket: Bucket) -> None:
    large = bytes(9 * 1024 * 1024)
    for us in (1, 3):
        await bucket.write("a", large, us)
    for us in (2, 4):
        await bucket.write("b", large, us)
    seen = []
    async for record in bucket.query(["a", "b"]):
        seen.append((record.entry, record.timestamp, len(await record.read_all())))
    assert seen == [
        ("a", 1, len(large)),
        ("b", 2, len(large)),
        ("a", 3, len(large)),
        ("b", 4, len(large)),
    ]
