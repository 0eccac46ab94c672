"""Writes, updates and removals: which calls carry them, so that each record arrives as it was."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_api.types import RequestSpec, StreamSpec
from reduct_core import batch_writes, names, writes
from reduct_core import labels as label_codec
from reduct_core.batch_writes import update_calls, write_calls
from reduct_core.batches import Item, MultiEntryBatch, SingleEntryBatch
from reduct_core.config import MAX_EXTRA_HEADERS
from reduct_core.gates import Key, Mode, entry_claims
from reduct_core.headers import RecordHead
from reduct_core.writes import Call, write_call
from tests.batch_protocol import (
    LABEL_VALUES,
    PLAIN_VALUES,
    Announced,
    check_visible,
    request_v1,
    request_v2,
    updates_v1,
)

ENTRIES = st.sampled_from(["a", "b", "a/b", "rename", "x/q", "x/batch", "batch", "a/rename"])
TIMES = st.integers(0, 9) | st.integers(0, 2**64 - 2)
NAMES = st.sampled_from(["k", "l", "9", "Upper", "key"])


def is_accepted(labels: Mapping[str, str | None]) -> bool:
    try:
        return label_codec.encode(labels) == labels
    except ValueError:
        return False


LABELS = st.dictionaries(NAMES, LABEL_VALUES | PLAIN_VALUES, max_size=3).filter(is_accepted)
CHANGES = st.dictionaries(NAMES, LABEL_VALUES | PLAIN_VALUES | st.none(), max_size=3).filter(
    is_accepted
)
KINDS = st.sampled_from(["application/octet-stream", "text/plain; charset=utf-8", "a=b"])

Records = list[tuple[str, Item]]


def items(labels: st.SearchStrategy[Any], entries: st.SearchStrategy[str] = ENTRIES) -> Any:
    one = st.tuples(entries, st.builds(Item, TIMES, st.binary(max_size=6), KINDS, labels))
    return st.lists(one, max_size=10, unique_by=lambda pair: (pair[0], pair[1].timestamp))


def no_call(labels: Mapping[str, str | None], entry: str) -> bool:
    """Tell whether neither the single nor the batch call can carry these labels."""
    plain = label_codec.for_update(labels)
    return label_codec.needs_own_call(plain) and (
        label_codec.needs_batch_call(plain) or names.is_claimed(entry)
    )


# --- a server that takes calls -------------------------------------------------------------


def path_of(spec: RequestSpec[Any] | StreamSpec) -> list[str]:
    return [unquote(part) for part in spec.url.split("/")[1:]]


def entry_of(spec: RequestSpec[Any] | StreamSpec) -> tuple[str, bool]:
    """Return the entry that a route below /b/ addresses, and whether as a batch."""
    first, bucket, *rest = path_of(spec)
    assert (first, bucket) == ("b", "bucket")
    entry = "/".join(rest)
    if entry.endswith("/batch"):
        return entry.removesuffix("/batch"), True
    assert entry != "rename"
    assert not entry.endswith("/q")
    return entry, False


def label_headers(spec: RequestSpec[Any] | StreamSpec) -> dict[str, str]:
    check_visible(spec.headers)
    lower = {name.lower(): value for name, value in spec.headers.items()}
    prefix = "x-reduct-label-"
    return {n[len(prefix) :]: value for n, value in lower.items() if n.startswith(prefix)}


Stored = dict[tuple[str, int], tuple[bytes, str, Mapping[str, str]]]


def cut(records: Iterable[Announced], body: bytes) -> Stored:
    stored: Stored = {}
    for record in records:
        data, body = body[: record.size], body[record.size :]
        assert len(data) == record.size
        stored[record.entry, record.timestamp] = (data, record.content_type, record.labels)
    assert body == b""
    return stored


def written(call: Call) -> Stored:
    """Return what the server stores when it takes `call`."""
    spec = call.spec
    body = spec.content
    assert isinstance(body, bytes)
    assert spec.method == "POST"
    if spec.url == "/io/bucket/write":
        return cut(request_v2(spec.headers), body)
    entry, by_batch = entry_of(spec)
    if by_batch:
        return cut(request_v1(spec.headers, entry), body)
    assert spec.headers["Content-Length"] == str(len(body))
    kind, timestamp = spec.headers["Content-Type"], int(spec.params["ts"])
    return {(entry, timestamp): (body, kind, label_headers(spec))}


def all_written(calls: Iterable[Call]) -> Stored:
    stored: Stored = {}
    for call in calls:
        part = written(call)
        assert not stored.keys() & part.keys(), "a record was sent twice"
        assert sorted(call.keys) == sorted(part)
        assert call.claims == entry_claims("bucket", {key[0] for key in part}, Mode.WRITE)
        assert call.verified
        stored |= part
    return stored


def wanted(records: Records) -> Stored:
    return {
        (entry, item.timestamp): (
            item.data,
            item.content_type,
            {name: value for name, value in item.labels.items() if value is not None},
        )
        for entry, item in records
    }


def header_lines(spec: RequestSpec[Any] | StreamSpec) -> int:
    """Count the header lines of a request, with HTTP's, the client's and the user's own."""
    own = {"host", "user-agent", "accept", "accept-encoding", "authorization", "cookie"}
    lines = own | {"content-length"} | {name.lower() for name in spec.headers}
    return len(lines) + MAX_EXTRA_HEADERS


def header_bytes(spec: RequestSpec[Any] | StreamSpec) -> int:
    return sum(len(name) + len(value) + 4 for name, value in spec.headers.items())


# --- writing -------------------------------------------------------------------------------


@given(items(LABELS))
def test_every_record_arrives_once_and_unchanged(records: Records) -> None:
    if any(no_call(item.labels, entry) for entry, item in records):
        with pytest.raises(ValueError, match="no call of the server can carry this record"):
            write_calls("bucket", records)
        return
    assert all_written(write_calls("bucket", records)) == wanted(records)


@given(items(LABELS), st.integers(1, 4), st.integers(1, 12))
def test_batches_are_split_below_the_limits(
    records: Records, most_records: int, most_bytes: int
) -> None:
    records = [pair for pair in records if not no_call(pair[1].labels, pair[0])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_writes, "MAX_RECORDS", most_records)
        patch.setattr(batch_writes, "MAX_BODY_BYTES", most_bytes)
        calls = write_calls("bucket", records)
    assert all_written(calls) == wanted(records)
    for call in calls:
        assert len(call.keys) <= most_records
        assert isinstance(call.spec.content, bytes)
        assert len(call.spec.content) <= most_bytes or len(call.keys) == 1


def item(timestamp: int, data: bytes = b"", **labels: Any) -> Item:
    return Item(timestamp, data, "text/plain", label_codec.encode(labels))


def test_b20_a_thousand_records_fit() -> None:
    records = [("a" if n % 2 else "b", item(n, b"x" * 10, n=n)) for n in range(1000)]
    calls = write_calls("bucket", records)
    assert all_written(calls) == wanted(records)
    assert len(calls) == 13
    for call in calls:
        assert header_lines(call.spec) <= 100


def test_one_record_of_any_size_fits() -> None:
    records = [("a", item(n, b"x" * 5_000_000)) for n in range(3)]
    records.append(("a", item(3, b"y" * 20_000_000)))
    assert [len(call.keys) for call in write_calls("bucket", records)] == [1, 1, 1, 1]


@pytest.mark.parametrize("entries", ["a", "ab"])
def test_many_labels_are_split_by_bytes(entries: str) -> None:
    long = {f"name{n}": "v" * 1000 for n in range(100)}
    records = [
        (entries[n % len(entries)], Item(n, b"", "text/plain", long if n % 3 else {}))
        for n in range(30)
    ]
    calls = write_calls("bucket", records)
    assert all_written(calls) == wanted(records)
    assert all(header_bytes(call.spec) < 500_000 for call in calls)
    assert len(calls) > 1


def test_labels_that_come_and_go_are_split_by_bytes() -> None:
    """In v2 each label that is gone is named again, and each name has a number."""
    many = {f"{n:x}": "1" for n in range(2400)}
    records = [
        ("a" if n else "b", Item(n, b"", "text/plain", many if n % 2 else {})) for n in range(80)
    ]
    calls = write_calls("bucket", records)
    assert all_written(calls) == wanted(records)
    assert max(header_bytes(call.spec) for call in calls) < 500_000


def test_long_names_are_split_by_bytes() -> None:
    name = "/".join(["n" * 200] * 40)
    records = [(f"{name}{n}", item(n)) for n in range(80)]
    calls = write_calls("bucket", records)
    assert all_written(calls) == wanted(records)
    assert max(header_bytes(call.spec) for call in calls) < 500_000


@pytest.mark.parametrize(
    ("records", "urls"),
    [
        ([], []),
        ([("a", item(1))], ["/b/bucket/a/batch"]),
        ([("a", item(1)), ("b", item(1))], ["/io/bucket/write"]),
        ([("x/q", item(1))], ["/b/bucket/x/q/batch"]),
        # Beginning with a quote, with comma and quote: only by the single call.
        ([("a", item(1, k='"x"')), ("a", item(2))], ["/b/bucket/a", "/b/bucket/a/batch"]),
        ([("a", item(1, k='x,"y"'))], ["/b/bucket/a"]),
        # Empty values: v2 drops them.
        ([("a", item(1, k="")), ("b", item(1))], ["/io/bucket/write", "/b/bucket/a/batch"]),
        ([("a", item(1, k=""))], ["/b/bucket/a/batch"]),
        # Case: header names have none.
        ([("a", item(1, Upper=1))], ["/b/bucket/a/batch"]),
        # Attachments remove the earlier ones of their key: one at a time.
        (
            [("a/$meta", item(1, key="k")), ("a/$meta", item(2, key="l"))],
            ["/b/bucket/a/%24meta", "/b/bucket/a/%24meta"],
        ),
    ],
    ids=str,
)
def test_routes_of_batches(records: Records, urls: list[str]) -> None:
    calls = write_calls("bucket", records)
    assert [call.spec.url for call in calls] == urls
    assert all_written(calls) == wanted(records)


def test_b32_an_empty_batch_sends_nothing() -> None:
    assert write_calls("bucket", []) == update_calls("bucket", []) == []
    assert batch_writes.remove_calls("bucket", []) == []


@pytest.mark.parametrize("entry", ["a b", "ü", "a/$meta/b", ""])
def test_batches_create_no_wrong_entries(entry: str) -> None:
    with pytest.raises(ValueError, match="entry name"):
        write_calls("bucket", [("a", item(1)), (entry, item(1))])


def test_labels_to_remove_are_no_labels_to_write() -> None:
    with pytest.raises(ValueError, match="label 'k' is None"):
        write_calls("bucket", [("a", item(1)), ("a", item(2, k=None))])


def test_the_other_kind_of_batch_is_refused() -> None:
    one, several = SingleEntryBatch[Any](), MultiEntryBatch[Any]()
    one.add(1, b"x")
    several.add("b", 2, b"y")
    assert [entry for entry, _ in batch_writes.of_entry("a", one)] == ["a"]
    assert [entry for entry, _ in batch_writes.of_entries(several)] == ["b"]
    wrong: Any
    for wrong in (several, [1], None):
        with pytest.raises(TypeError, match="batch must be a Batch, not"):
            batch_writes.of_entry("a", wrong)
    for wrong in (one, [1], None):
        with pytest.raises(TypeError, match="batch must be a RecordBatch, not"):
            batch_writes.of_entries(wrong)


# --- one record ----------------------------------------------------------------------------


def head(entry: str, labels: Mapping[str, str], size: int = 3) -> RecordHead:
    return RecordHead(7, entry, size, "text/plain", dict(labels), {})


@given(ENTRIES, LABELS)
def test_one_record_arrives_unchanged(entry: str, labels: dict[str, str]) -> None:
    if no_call(labels, entry):
        with pytest.raises(ValueError, match="no call of the server can carry this record"):
            write_call("bucket", head(entry, labels), b"abc")
        return
    call = write_call("bucket", head(entry, labels), b"abc")
    assert all_written([call]) == {(entry, 7): (b"abc", "text/plain", labels)}
    assert call.per_record == frozenset()


@pytest.mark.parametrize("count", [70, 71, 500])
def test_any_number_of_labels_arrives(count: int) -> None:
    labels = {f"l{n}": "1" for n in range(count)}
    call = write_call("bucket", head("a", labels), b"abc")
    assert all_written([call]) == {("a", 7): (b"abc", "text/plain", labels)}
    assert header_lines(call.spec) <= 100


def test_streams_are_announced() -> None:
    def chunks() -> Iterable[bytes]:
        yield b"abc"

    for labels in ({}, {"Upper": "1"}):
        call = write_call("bucket", head("a", labels), chunks())
        assert call.spec.headers["Content-Length"] == "3"
        assert not call.must_finish


def test_batches_must_finish() -> None:
    """The server goes on with a batch whose connection is lost."""
    assert write_calls("bucket", [("a", item(1))])[0].must_finish
    assert write_calls("bucket", [("a", item(1)), ("b", item(1))])[0].must_finish
    assert not write_call("bucket", head("a", {}), b"abc").must_finish
    assert not update_calls("bucket", [("a", item(1, k=1))])[0].must_finish


# --- updating ------------------------------------------------------------------------------

Changes = dict[tuple[str, int], dict[str, str | None]]


def updated(call: Call) -> Changes:
    """Return what `call` does to the labels of records; None removes."""
    spec = call.spec
    assert spec.method == "PATCH"
    assert spec.content is None
    entry, by_batch = entry_of(spec)
    if by_batch:
        return {(entry, us): changes for us, changes in updates_v1(spec.headers).items()}
    changes = {name: value or None for name, value in label_headers(spec).items()}
    return {(entry, int(spec.params["ts"])): changes}


def all_updated(calls: Iterable[Call]) -> Changes:
    done: Changes = {}
    for call in calls:
        part = updated(call)
        assert not done.keys() & part.keys()
        assert sorted(call.keys) == sorted(part)
        assert call.claims == entry_claims("bucket", {key[0] for key in part}, Mode.UPDATE)
        assert not call.verified
        done |= part
    return done


def asked(records: Records) -> Changes:
    return {
        (entry, item.timestamp): {name: value or None for name, value in item.labels.items()}
        for entry, item in records
    }


@given(items(CHANGES, ENTRIES | st.just("a/$meta")))
def test_b02_each_record_changes_by_itself(records: Records) -> None:
    if any(no_call(item.labels, entry) for entry, item in records):
        with pytest.raises(ValueError, match="no call of the server can carry this update"):
            update_calls("bucket", records)
        return
    assert all_updated(update_calls("bucket", records)) == asked(records)


@given(ENTRIES, CHANGES)
def test_one_update_changes_what_was_asked(entry: str, changes: dict[str, str | None]) -> None:
    labels = label_codec.for_update(changes)
    if no_call(changes, entry):
        with pytest.raises(ValueError, match="no call of the server can carry this update"):
            writes.update_call("bucket", entry, 7, labels)
        return
    call = writes.update_call("bucket", entry, 7, labels)
    assert all_updated([call]) == {(entry, 7): {n: value or None for n, value in labels.items()}}


def test_updates_are_split() -> None:
    records = [("a", item(n, k=n)) for n in range(200)]
    calls = update_calls("bucket", records)
    assert [len(call.keys) for call in calls] == [80, 80, 40]
    assert all_updated(calls) == asked(records)
    many = {f"l{n}": "1" for n in range(100)}
    one = writes.update_call("bucket", "a", 7, many)
    assert header_lines(one.spec) <= 100
    assert all_updated([one]) == {("a", 7): many}


def test_b33_data_of_updates_is_not_sent() -> None:
    (call,) = update_calls("bucket", [("a", item(1, b"data", k=1))])
    assert call.spec.content is None
    assert call.spec.headers == {"x-reduct-time-1": "0,,k=1"}


# --- removing ------------------------------------------------------------------------------


@given(items(st.just({})))
def test_removals_name_each_record_once(records: Records) -> None:
    calls = batch_writes.remove_calls("bucket", records)
    removed: list[tuple[str, int]] = []
    for call in calls:
        assert call.spec.method == "DELETE"
        entry, by_batch = entry_of(call.spec)
        assert by_batch
        times = [int(name.removeprefix("x-reduct-time-")) for name in call.spec.headers]
        assert call.keys == [(entry, us) for us in times]
        assert call.claims == [(Key("bucket", entry), Mode.REMOVE)]
        removed += call.keys
    assert sorted(removed) == sorted((entry, item.timestamp) for entry, item in records)


def test_removals_are_split() -> None:
    calls = batch_writes.remove_calls("bucket", [("a", item(n)) for n in range(170)])
    assert [len(call.keys) for call in calls] == [80, 80, 10]


@pytest.mark.parametrize("entry", ["a", "a/b", "a/rename", "batch", "q"])
@pytest.mark.parametrize("timestamp", [0, 7, 2**64 - 1])
def test_a_removal_of_a_record_always_has_its_time(entry: str, timestamp: int) -> None:
    """Without it the same request removes the entry and everything below it."""
    call = writes.remove_call("bucket", entry, timestamp)
    assert (call.spec.method, call.spec.params) == ("DELETE", {"ts": timestamp})
    assert entry_of(call.spec) == (entry, False)
    with pytest.raises(TypeError, match="remove_entry"):
        writes.remove_call("bucket", entry, None)


@pytest.mark.parametrize("entry", ["rename", "x/q", "x/batch"])
def test_b38_records_of_claimed_entries_are_removed_by_batch(entry: str) -> None:
    call = writes.remove_call("bucket", entry, 7)
    assert entry_of(call.spec) == (entry, True)
    assert call.spec.headers == {"x-reduct-time-7": ""}
    with pytest.raises(ValueError, match="rename_entry"):
        writes.remove_entry_request("bucket", entry)


def test_entries_are_removed_without_a_time() -> None:
    spec = writes.remove_entry_request("bucket", "a/b")
    assert (spec.method, spec.url, spec.params) == ("DELETE", "/b/bucket/a/b", {})
    for wrong in ("a/$meta", "$meta"):
        with pytest.raises(ValueError, match="remove_attachments"):
            writes.remove_entry_request("bucket", wrong)
        with pytest.raises(ValueError, match="remove_attachments"):
            batch_writes.remove_calls("bucket", [(wrong, item(1))])
