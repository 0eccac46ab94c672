"""The older filters: they select exactly what they say, whatever the server makes of label text."""

import uuid
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

import reduct_sync
from reduct_core.sieve import NO_FILTERS, Filters, Sieve, make_filters, superset
from tests.servers import Server

NAMES = ["a", "b", "Upper", "true", "s", "inf", "m1", "x-y", "_", "10", "$op", "&a"]

VALUES = [
    *("", "a", "A", "abc", "_", "-", "x y", "a,b", "'a'"),
    *("true", "True", "false", "TRUE", "10", "010", "+10", "1e1", "10.0", "-0", "0x10"),
    *("inf", "Infinity", "-inf", "nan", "NaN", "infinity", "e", "E"),
    *("5s", "m1", "s10", "1h -30m", "s", "ms", "d"),
    *("&x", "&a", "$a", "$$a", "$eq", "@a", "@", "#ext"),
]
"""Texts that conditions take for something else, and their neighbours."""

LABELS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), max_size=4)


@frozen
class Row:
    """What a sieve sees of a record."""

    entry: str
    timestamp: int
    labels: Mapping[str, str]


def sieved(rows: list[Row], filters: Filters) -> list[Row]:
    """Drive a sieve as queries do."""
    sieve = Sieve(filters)
    kept = []
    for row in rows:
        if sieve.passes(row.entry, row.timestamp, row.labels):
            kept.append(row)
            if sieve.full:
                break
    return kept


def has_all(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return set(wanted.items()) <= set(labels.items())


def modelled(rows: list[Row], filters: Filters) -> list[Row]:
    """Say what is kept, filter by filter and entry by entry."""
    rows = [row for row in rows if has_all(row.labels, filters.include)]
    rows = [row for row in rows if not filters.exclude or not has_all(row.labels, filters.exclude)]
    kept: list[Row] = []
    for entry in {row.entry for row in rows}:
        mine = [row for row in rows if row.entry == entry]
        if filters.each_us is not None:
            spaced = mine[:1]
            for row in mine:
                if row.timestamp - spaced[-1].timestamp >= filters.each_us:
                    spaced.append(row)
            mine = spaced
        kept += mine[:: filters.each_n or 1]
    in_turn = [row for row in rows if row in kept]
    return in_turn if filters.limit is None else in_turn[: filters.limit]


ROWS = st.lists(
    st.builds(Row, st.sampled_from("xyz"), st.integers(0, 30), LABELS),
    unique_by=lambda row: (row.entry, row.timestamp),
    max_size=25,
).map(lambda rows: sorted(rows, key=lambda row: row.timestamp))

FEW = st.dictionaries(st.sampled_from(NAMES[:2]), st.sampled_from(VALUES[:3]), max_size=2)
FEW_ROWS = st.lists(
    st.builds(Row, st.sampled_from("xy"), st.integers(0, 30), FEW),
    unique_by=lambda row: (row.entry, row.timestamp),
    max_size=25,
).map(lambda rows: sorted(rows, key=lambda row: row.timestamp))

COUNTS = st.none() | st.integers(1, 4)


@given(ROWS, LABELS, LABELS)
def test_include_and_exclude_compare_text(
    rows: list[Row], include: dict[str, str], exclude: dict[str, str]
) -> None:
    for filters in (
        make_filters(include, None, None, None, None),
        make_filters(None, exclude, None, None, None),
        make_filters(include, exclude, None, None, None),
    ):
        assert sieved(rows, filters) == modelled(rows, filters)


@given(FEW_ROWS, FEW, FEW, COUNTS, COUNTS, st.none() | st.integers(1, 12))
def test_all_filters_together(
    rows: list[Row],
    include: dict[str, str],
    exclude: dict[str, str],
    limit: int | None,
    each_n: int | None,
    each_us: int | None,
) -> None:
    filters = Filters(include, exclude, limit, each_n, each_us)
    assert sieved(rows, filters) == modelled(rows, filters)


def test_no_filters_keep_all() -> None:
    rows = [Row("x", time, {}) for time in range(5)]
    assert sieved(rows, NO_FILTERS) == rows
    assert make_filters(None, None, None, None, None) == NO_FILTERS
    assert make_filters({}, {}, None, None, None) == NO_FILTERS


def test_a_record_without_the_label() -> None:
    rows = [Row("x", 1, {})]
    assert sieved(rows, Filters(include={"a": ""})) == []
    assert sieved(rows, Filters(exclude={"a": ""})) == rows


def test_the_first_record_is_kept() -> None:
    rows = [Row("x", time * 1_000_000, {}) for time in range(10)]
    every_third = make_filters(None, None, None, 3, None)
    assert [row.timestamp // 1_000_000 for row in sieved(rows, every_third)] == [0, 3, 6, 9]
    every_four_seconds = make_filters(None, None, None, None, 4)
    assert [row.timestamp // 1_000_000 for row in sieved(rows, every_four_seconds)] == [0, 4, 8]


def test_limit_counts_the_whole_result() -> None:
    rows = [Row(entry, time, {}) for time in range(5) for entry in "xy"]
    assert len(sieved(rows, make_filters(None, None, 3, None, None))) == 3
    sieve = Sieve(Filters(limit=1))
    assert not sieve.full
    assert sieve.passes("x", 1, {})
    assert sieve.full


# --- arguments -----------------------------------------------------------------------------


def test_labels_of_filters_are_encoded_as_in_writes() -> None:
    filters = make_filters({"ok": True, "n": 10}, {"x": 1.5, "e": ""}, None, None, None)
    assert filters.include == {"ok": "true", "n": "10"}
    assert filters.exclude == {"x": "1.5", "e": ""}


@pytest.mark.parametrize("name", ["include", "exclude"])
@pytest.mark.parametrize("labels", [["a"], "a", 5])
def test_labels_of_filters_are_a_dict(name: str, labels: Any) -> None:
    both: dict[str, Any] = {"include": None, "exclude": None, name: labels}
    with pytest.raises(TypeError, match=rf"^{name} must be a dict of labels"):
        make_filters(both["include"], both["exclude"], None, None, None)


def test_none_is_no_label_to_filter_by() -> None:
    with pytest.raises(ValueError, match="label 'a' is None"):
        make_filters({"a": None}, None, None, None, None)


@pytest.mark.parametrize("name", ["limit", "each_n"])
def test_counts(name: str) -> None:
    def filters(value: Any) -> Filters:
        counts: dict[str, Any] = {"limit": None, "each_n": None, name: value}
        return make_filters(None, None, counts["limit"], counts["each_n"], None)

    assert getattr(filters(3), name) == 3
    assert type(getattr(filters(np.int64(3)), name)) is int
    for small in (0, -1, np.int8(0)):
        with pytest.raises(ValueError, match=rf"^{name}=.* must be at least 1"):
            filters(small)
    for other in (True, 1.0, "1", [1]):
        with pytest.raises(TypeError, match=rf"^{name}=.* must be an int"):
            filters(other)


def each_s(value: Any) -> int | None:
    return make_filters(None, None, None, None, value).each_us


@given(st.integers(1, 2**33), st.integers(0, 999_999))
def test_each_s_is_seconds(seconds: int, us: int) -> None:
    assert each_s(seconds) == seconds * 1_000_000
    assert each_s(Fraction(us, 1_000_000) + seconds) == seconds * 1_000_000 + us


@pytest.mark.parametrize(
    ("value", "us"), [(1, 1_000_000), (0.5, 500_000), (Decimal("0.1"), 100_000), (1e-6, 1)]
)
def test_each_s_may_be_any_number(value: Any, us: int) -> None:
    assert each_s(value) == us
    assert each_s(np.float32(0.5)) == 500_000
    assert each_s(np.int64(2)) == 2_000_000


@pytest.mark.parametrize(
    "value", [0, -1, 1e-7, 1e12, float("nan"), float("inf"), np.float64("nan"), 10**30]
)
def test_each_s_has_bounds(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^each_s=.* must be seconds"):
        each_s(value)


@pytest.mark.parametrize("value", [True, "1", [1], object(), 1j])
def test_each_s_must_be_a_number(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^each_s=.* must be seconds"):
        each_s(value)


# --- the condition that is sent ahead ------------------------------------------------------


@pytest.mark.parametrize(
    ("include", "condition"),
    [
        ({}, None),
        ({"x-y": "a"}, None),
        ({"10": "a"}, None),
        ({"a": "abc"}, {"$has": ["a"], "&a": {"$eq": "abc"}}),
        ({"a": "10"}, {"$has": ["a"]}),
        ({"a": "NaN"}, {"$has": ["a"]}),
        ({"a": "true"}, {"$has": ["a"]}),
        ({"a": ""}, {"$has": ["a"]}),
        (
            {"b": "x", "a": "&y", "x-y": "z"},
            {"$has": ["a", "b"], "&b": {"$eq": "x"}},
        ),
    ],
)
def test_superset(include: dict[str, str], condition: Any) -> None:
    assert superset(include) == condition
    # The server evaluates from left to right: a missing label must be found out first.
    assert next(iter(superset(include) or {"$has": 0})) == "$has"


STORED = [
    *({name: value} for name in ("a", "Upper", "inf", "_") for value in VALUES),
    *({"a": value, "b": other} for value, other in zip(VALUES, VALUES[3:], strict=False)),
    *({"a": "abc", name: "a"} for name in NAMES if name != "a"),
    {},
]
"""Labels of the records of one entry; the position is the timestamp."""


@pytest.fixture(scope="module")
def bucket(server: Server) -> Iterator[reduct_sync.Bucket]:
    with reduct_sync.Client(server.url) as client:
        bucket = client.create_bucket(f"sieve-{uuid.uuid4().hex}")
        batch = reduct_sync.Batch()
        for timestamp, labels in enumerate(STORED):
            batch.add(timestamp, labels=labels)
        assert bucket.write_batch("entry", batch) == {}
        yield bucket
        bucket.remove()


def selected(bucket: reduct_sync.Bucket, condition: Any) -> set[int]:
    return {record.timestamp for record in bucket.query("entry", when=condition, head=True)}


def test_the_records_are_there(bucket: reduct_sync.Bucket) -> None:
    """The control: labels are stored as they were given, and a superset saves something."""
    found = {record.timestamp: record.labels for record in bucket.query("entry", head=True)}
    assert found == dict(enumerate(STORED))
    some = selected(bucket, superset({"a": "abc"}))
    assert {i for i, labels in enumerate(STORED) if labels.get("a") == "abc"} == some


@settings(max_examples=150)
@given(
    include=st.one_of(
        st.sampled_from(STORED),
        st.tuples(st.sampled_from(STORED), LABELS).map(lambda both: {**both[0], **both[1]}),
        LABELS,
    ),
    strict=st.booleans(),
)
def test_a_superset_drops_no_record_that_include_keeps(
    bucket: reduct_sync.Bucket, include: dict[str, str], strict: bool
) -> None:
    wanted = {i for i, labels in enumerate(STORED) if has_all(labels, include)}
    condition = superset(include)
    found = bucket.query("entry", when=condition, strict=strict, head=True)
    assert wanted <= {record.timestamp for record in found}
    # And what the user gets, with the condition sent ahead and without it.
    got = {record.timestamp for record in bucket.query("entry", include=include, head=True)}
    assert got == wanted
    plain = bucket.query("entry", when={}, include=include, head=True)
    assert {record.timestamp for record in plain} == wanted
