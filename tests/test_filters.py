"""The older filters of a query on a server: they select exactly what they say.

Labels are text: `10`, `010`, `true`, `5s`, `m1` and `&x` are equal to themselves and to nothing
else, though the server's conditions take them for numbers, durations and references. A condition
that is sent ahead may only save bandwidth, so everything here holds with and without it.
"""

import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduct_async import Bucket
from reduct_core import query as core
from tests.flavours import Flavour
from tests.recording import Recorder
from tests.servers import Server
from tests.stored import keys, times, write_all

LOOKALIKES = ["10", "010", "1e1", "10.0", "true", "1", "5s", "5000ms", "m1", "&x", "@x", "$eq"]
"""Values of which the server takes some for others' equals."""


@pytest.fixture(params=["ahead", "alone"])
def ahead(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """With the condition that is sent ahead of the filters, and without it."""
    if request.param == "alone":
        monkeypatch.setattr(core, "superset", lambda include: None)
    return bool(request.param == "ahead")


# --- the same rules, written down once more ------------------------------------------------


class Rules(NamedTuple):
    """Filters as a user gives them."""

    include: Mapping[str, str] | None = None
    exclude: Mapping[str, str] | None = None
    each_s: float | None = None
    each_n: int | None = None
    limit: int | None = None


def expected(records: Mapping[int, Mapping[str, str]], rules: Rules) -> list[int]:
    """Return the times of the records of one entry that pass `rules`."""
    kept = sorted(records)
    if rules.include:
        kept = [t for t in kept if rules.include.items() <= records[t].items()]
    if rules.exclude:
        kept = [t for t in kept if not rules.exclude.items() <= records[t].items()]
    if rules.each_s is not None:
        spaced: list[int] = []
        for t in kept:
            if not spaced or t >= spaced[-1] + round(rules.each_s * 1_000_000):
                spaced.append(t)
        kept = spaced
    return kept[:: rules.each_n][: rules.limit]


def test_the_rules_reject() -> None:
    records = {1: {"a": "1"}, 2: {"a": "01"}, 3: {}, 2_000_001: {"a": "1", "b": "2"}}
    assert expected(records, Rules(include={"a": "1"})) == [1, 2_000_001]
    assert expected(records, Rules(exclude={"a": "1"})) == [2, 3]
    assert expected(records, Rules(exclude={"a": "1", "b": "2"})) == [1, 2, 3]
    assert expected(records, Rules(each_s=2)) == [1, 2_000_001]
    assert expected(records, Rules(each_n=3)) == [1, 2_000_001]
    assert expected(records, Rules(limit=2)) == [1, 2]


# --- properties ----------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "C", "x-1"])
values = st.sampled_from([*LOOKALIKES, "plain", "Plain", "two words", "a,b", "nan", "inf", ""])
labels = st.dictionaries(names, values, max_size=3)


@given(
    records=st.lists(labels, max_size=8),
    include=st.none() | labels,
    exclude=st.none() | labels,
    each_s=st.none() | st.sampled_from([0.000001, 0.000002, 1e-6 * 3, 1.0]),
    each_n=st.none() | st.integers(1, 4),
    limit=st.none() | st.integers(1, 4),
)
@settings(max_examples=40)
async def test_filters_select_exactly_what_they_say(
    bucket: Bucket,
    flavour: Flavour,
    ahead: bool,
    records: list[dict[str, str]],
    include: dict[str, str] | None,
    exclude: dict[str, str] | None,
    each_s: float | None,
    each_n: int | None,
    limit: int | None,
) -> None:
    entry = uuid.uuid4().hex
    batch = flavour.package.Batch()
    for n, record in enumerate(records):
        batch.add(n, b"%d" % n, labels=record)
    assert await bucket.write_batch(entry, batch) == {}
    rules = Rules(include, exclude, each_s, each_n, limit)
    found = [
        (record.timestamp, await record.read_all())
        async for record in bucket.query(entry, **rules._asdict())
    ]
    wanted = expected(dict(enumerate(records)), rules)
    assert found == [(n, b"%d" % n) for n in wanted]


@given(include=labels.filter(lambda chosen: "" not in chosen.values()))
@settings(max_examples=15)
async def test_filters_of_several_entries(
    bucket: Bucket, flavour: Flavour, ahead: bool, include: dict[str, str]
) -> None:
    """The protocol for several entries selects the same records, entry by entry."""
    prefix = uuid.uuid4().hex
    batch = flavour.package.RecordBatch()
    wanted = []
    for n, value in enumerate([*LOOKALIKES, "plain"]):
        for entry in ("a", "b"):
            record = dict.fromkeys(include, value) | ({"other": "1"} if n % 2 else {})
            batch.add(f"{prefix}/{entry}", n, labels=record)
            if include.items() <= record.items():
                wanted.append((f"{prefix}/{entry}", n))
    assert await bucket.write_record_batch(batch) == {}
    for entries in (f"{prefix}/*", [f"{prefix}/a", f"{prefix}/b"]):
        assert sorted(await keys(bucket.query(entries, include=include))) == sorted(wanted)


@pytest.mark.parametrize("entries", ["entry", ["entry", "none"]])
async def test_every_text_is_its_own(bucket: Bucket, ahead: bool, entries: str | list[str]) -> None:
    for n, value in enumerate(LOOKALIKES):
        await bucket.write("entry", b"", n, labels={"a": value})
    await bucket.write("entry", b"", 100)
    everyone = [*range(len(LOOKALIKES)), 100]
    for n, value in enumerate(LOOKALIKES):
        assert await times(bucket.query(entries, include={"a": value})) == [n]
        others = [t for t in everyone if t != n]
        assert await times(bucket.query(entries, exclude={"a": value})) == others


# --- single rules --------------------------------------------------------------------------


async def test_labels_of_filters_are_encoded_like_labels(bucket: Bucket, ahead: bool) -> None:
    await bucket.write("entry", b"", 1, labels={"ok": True, "n": 10, "f": 0.5})
    await bucket.write("entry", b"", 2, labels={"ok": "True", "n": "10.0", "f": ".5"})
    for include in ({"ok": True}, {"n": 10}, {"f": 0.5}, {"ok": True, "n": 10, "f": 0.5}):
        assert await times(bucket.query("entry", include=include)) == [1]
        assert await times(bucket.query("entry", exclude=include)) == [2]


async def test_an_empty_value(bucket: Bucket, ahead: bool) -> None:
    await bucket.write("entry", b"", 1, labels={"a": ""})
    await bucket.write("entry", b"", 2)
    assert await times(bucket.query("entry", include={"a": ""})) == [1]
    assert await times(bucket.query("entry", exclude={"a": ""})) == [2]


async def test_filters_that_say_nothing(bucket: Bucket) -> None:
    await write_all(bucket, "entry", 1, 2)
    assert await times(bucket.query("entry", include={}, exclude={})) == [1, 2]


async def test_rules_apply_per_entry_and_the_limit_to_all(bucket: Bucket) -> None:
    for n in range(10):
        for entry in ("a", "b"):
            await bucket.write(entry, b"", n * 1_000_000)
    every = await keys(bucket.query(["a", "b"], each_n=4))
    assert sorted(every) == [(e, n * 1_000_000) for e in ("a", "b") for n in (0, 4, 8)]
    spaced = await keys(bucket.query(["a", "b"], each_s=3))
    assert sorted(spaced) == [(e, n * 1_000_000) for e in ("a", "b") for n in (0, 3, 6, 9)]
    assert len(await keys(bucket.query(["a", "b"], limit=7))) == 7
    assert len(await keys(bucket.query(["a", "b"], each_n=4, limit=4))) == 4


async def test_filters_apply_to_what_the_condition_selected(bucket: Bucket) -> None:
    await write_all(bucket, "entry", *range(10), labels={"a": "010"})
    when = {"$timestamp": {"$gte": 3}}
    found = bucket.query("entry", when=when, include={"a": "010"}, each_n=3, limit=2)
    assert await times(found) == [3, 6]


async def test_filters_work_on_metadata_alone(bucket: Bucket) -> None:
    await write_all(bucket, "entry", *range(10), labels={"a": "010"})
    found = bucket.query("entry", head=True, include={"a": "010"}, each_n=5)
    assert await times(found) == [0, 5]
    assert await times(bucket.query("entry", head=True, include={"a": "10"})) == []


async def test_a_limit_ends_the_reading(flavour: Flavour, server: Server, bucket: Bucket) -> None:
    batch = flavour.package.Batch()
    for n in range(50):
        batch.add(n)
    await bucket.write_batch("entry", batch)
    recorder = Recorder(flavour)
    recorded = flavour.client(server.url, transport=recorder.transport).bucket(bucket.name)
    found = recorded.query("entry", limit=12, when={"#batch_records": 10})
    assert await times(found) == list(range(12))
    assert [request.method for request in recorder.requests] == ["POST", "GET", "GET"]


async def test_there_is_a_condition_ahead(
    flavour: Flavour, server: Server, bucket: Bucket, ahead: bool
) -> None:
    """A control of the fixture `ahead`."""
    await write_all(bucket, "entry", *range(9), labels={"kind": "noise"})
    await bucket.write("entry", b"signal", 9, labels={"kind": "signal"})
    recorder = Recorder(flavour)
    recorded = flavour.client(server.url, transport=recorder.transport).bucket(bucket.name)
    assert await times(recorded.query("entry", include={"kind": "signal"})) == [9]
    assert (b'"$has"' in recorder.requests[0].content) is ahead


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"include": {"a": None}}, ValueError),
        ({"include": {"a": "ä"}}, ValueError),
        ({"include": {"a b": "1"}}, ValueError),
        ({"include": {1: "1"}}, TypeError),
        ({"include": ["a"]}, TypeError),
        ({"include": "a"}, TypeError),
        ({"exclude": {"a": None}}, ValueError),
        ({"exclude": [("a", "1")]}, TypeError),
        ({"limit": 0}, ValueError),
        ({"limit": -1}, ValueError),
        ({"limit": 1.0}, TypeError),
        ({"limit": True}, TypeError),
        ({"limit": "1"}, TypeError),
        ({"each_n": 0}, ValueError),
        ({"each_n": 1.5}, TypeError),
        ({"each_n": True}, TypeError),
        ({"each_s": 0}, ValueError),
        ({"each_s": -1}, ValueError),
        ({"each_s": float("nan")}, ValueError),
        ({"each_s": float("inf")}, ValueError),
        ({"each_s": 1e-7}, ValueError),
        ({"each_s": "1"}, TypeError),
        ({"each_s": True}, TypeError),
    ],
)
async def test_filters_are_checked_before_anything_is_sent(
    flavour: Flavour, server: Server, arguments: dict[str, Any], error: type[Exception]
) -> None:
    recorder = Recorder(flavour)
    bucket = flavour.client(server.url, transport=recorder.transport).bucket("bucket")
    with pytest.raises(error, match=f"{next(iter(arguments))}|label"):
        bucket.query("entry", **arguments)
    assert recorder.sent == []
