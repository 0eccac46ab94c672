"""Batches and attachments before they are sent: nothing is lost, replaced or counted wrongly."""

import json
import time
from itertools import count
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_core import attachments
from reduct_core.batches import Item, MultiEntryBatch, SingleEntryBatch
from reduct_core.errors import ProtocolError
from reduct_core.headers import RecordHead
from reduct_core.times import MAX_RECORD_US

Shown = tuple[RecordHead, bytes]


def show(head: RecordHead, data: bytes) -> Shown:
    """Stand in for the record class of a flavour."""
    return head, data


class Batch(SingleEntryBatch[Shown]):
    _record: ClassVar = staticmethod(show)


class RecordBatch(MultiEntryBatch[Shown]):
    _record: ClassVar = staticmethod(show)


# --- what is in a batch --------------------------------------------------------------------

ADDS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "a/c"]),
        st.integers(0, 6),
        st.binary(max_size=4),
        st.sampled_from(["raise", "replace", "shift"]),
    ),
    max_size=20,
)


@given(ADDS)
def test_b07_batches_keep_all_that_was_added(adds: list[tuple[str, int, bytes, Any]]) -> None:
    batch = RecordBatch()
    model: dict[tuple[str, int], bytes] = {}
    for entry, timestamp, data, on_duplicate in adds:
        if on_duplicate == "raise" and (entry, timestamp) in model:
            with pytest.raises(ValueError, match=f"timestamp {timestamp} of entry '{entry}' is in"):
                batch.add(entry, timestamp, data)
            continue
        batch.add(entry, timestamp, data, on_duplicate=on_duplicate)
        if on_duplicate == "shift":
            timestamp = next(us for us in count(timestamp) if (entry, us) not in model)
        model[entry, timestamp] = data
    assert {key: item.data for key, item in batch.contents().items()} == model
    assert all(key[1] == item.timestamp for key, item in batch.contents().items())
    assert len(batch) == len(model)
    assert batch.size == sum(map(len, model.values()))
    assert [(key, data) for key, (_, data) in batch.items()] == sorted(model.items())
    assert [(h.entry, h.timestamp, h.size) for _, (h, _) in batch.items()] == [
        (*key, len(data)) for key, data in sorted(model.items())
    ]


@given(st.lists(st.integers(0, 9), unique=True))
def test_batches_of_one_entry_are_sorted_by_time(timestamps: list[int]) -> None:
    batch = Batch()
    for timestamp in timestamps:
        batch.add(timestamp, b"x")
    assert [key for key, _ in batch.items()] == [(None, us) for us in sorted(timestamps)]
    assert [item.timestamp for item in batch.contents().values()] == timestamps


def test_a_record_keeps_what_was_given() -> None:
    batch = Batch()
    batch.add("1970-01-01T00:00:01Z", "é", "text/plain", {"n": 1, "ok": True})
    batch.add(2.5)
    first, second = batch.contents().values()
    assert first == Item(1_000_000, "é".encode(), "text/plain", {"n": "1", "ok": "true"})
    assert second == Item(2_500_000, b"", "application/octet-stream", {})
    assert first.head("e") == RecordHead(
        1_000_000, "e", 2, "text/plain", {"n": "1", "ok": "true"}, {}
    )
    assert first.written("e") == first.head("e")


def test_the_age_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch()
    assert batch.last_access == 0
    monkeypatch.setattr(time, "time", lambda: 12.5)
    batch.add(1, b"abc")
    assert batch.last_access == 12.5
    batch.clear()
    assert (len(batch), batch.size, batch.last_access, batch.items()) == (0, 0, 0, [])
    batch.add(1, b"again")
    assert batch.size == 5


# --- updates -------------------------------------------------------------------------------


def test_labels_to_remove_are_shown_and_not_written() -> None:
    batch = Batch()
    batch.add(1, labels={"gone": None, "kept": 1})
    ((_, (head, _)),) = batch.items()
    assert head.labels == {"gone": "", "kept": "1"}
    (item,) = batch.contents().values()
    assert item.labels == {"gone": None, "kept": "1"}
    with pytest.raises(ValueError, match="label 'gone' is None"):
        item.written("e")


# --- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"timestamp": -1}, ValueError, "timestamp"),
        ({"timestamp": True}, TypeError, "timestamp"),
        ({"timestamp": MAX_RECORD_US + 1}, ValueError, "timestamp"),
        ({"timestamp": 1}, ValueError, "timestamp 1 is in the batch already"),
        ({"timestamp": 2, "data": 5}, TypeError, "data must be bytes-like or str in a batch"),
        pytest.param(
            {"timestamp": 2, "data": iter([b"x"])},
            TypeError,
            "data must be bytes-like or str",
            id="iterator",
        ),
        ({"timestamp": 2, "labels": {"a b": 1}}, ValueError, "label name"),
        ({"timestamp": 2, "labels": {"a": b""}}, TypeError, "label 'a'"),
        ({"timestamp": 2, "labels": ["a"]}, TypeError, "labels must be a mapping"),
        ({"timestamp": 2, "content_type": "a, b"}, ValueError, "content_type"),
        ({"timestamp": 2, "on_duplicate": "ignore"}, ValueError, "on_duplicate='ignore'"),
        ({"timestamp": 2, "on_duplicate": None}, ValueError, "on_duplicate=None"),
    ],
    ids=str,
)
def test_wrong_records_are_refused_when_they_are_added(
    arguments: Any, error: type[Exception], match: str
) -> None:
    one, several = Batch(), RecordBatch()
    one.add(1, b"first")
    several.add("e", 1, b"first")
    with pytest.raises(error, match=match.replace("timestamp 1 is", "timestamp 1.* is")):
        several.add("e", **arguments)
    with pytest.raises(error, match=match):
        one.add(**arguments)
    for batch in (one, several):
        assert (len(batch), batch.size) == (1, 5)


@pytest.mark.parametrize("entry", ["", "..", "a//b", "a/", "\n"])
def test_wrong_entries_are_refused_when_they_are_added(entry: str) -> None:
    with pytest.raises(ValueError, match="entry name"):
        RecordBatch().add(entry, 1)
    number: Any = 5
    with pytest.raises(TypeError, match="entry name must be a str"):
        RecordBatch().add(number, 1)


def test_unknown_arguments_are_refused() -> None:
    add: Any = Batch().add
    with pytest.raises(TypeError, match="label"):
        add(1, b"x", label={"a": 1})
    with pytest.raises(TypeError, match="positional"):
        add(1, b"x", "text/plain", {}, "replace")


def test_shift_ends_where_times_end() -> None:
    batch = Batch()
    batch.add(MAX_RECORD_US, b"last")
    with pytest.raises(ValueError, match="no timestamp up to"):
        batch.add(MAX_RECORD_US, b"more", on_duplicate="shift")
    assert len(batch) == 1


# --- attachments ---------------------------------------------------------------------------


@given(st.dictionaries(st.text("abc019", min_size=1), st.integers() | st.text() | st.none()))
def test_b08_attachments_have_times_of_their_own(documents: dict[str, Any]) -> None:
    clock = count(7)
    records = attachments.items("a/b", documents, lambda: next(clock))
    assert [entry for entry, _ in records] == ["a/b/$meta"] * len(documents)
    assert [item.timestamp for _, item in records] == list(range(7, 7 + len(documents)))
    for (key, content), (_, item) in zip(documents.items(), records, strict=True):
        assert item.labels == {"key": key}
        assert item.content_type == "application/json"
        assert json.loads(item.data) == content
        assert attachments.decode(key, item.data) == content


@pytest.mark.parametrize("key", ["", 5, None, b"key"])
def test_keys_of_attachments_are_text(key: Any) -> None:
    with pytest.raises(ValueError, match="attachment key"):
        attachments.items("e", {key: 1}, lambda: 1)
    with pytest.raises(ValueError, match="attachment key"):
        attachments.check_keys([key])


@pytest.mark.parametrize("key", ["ü", " a", "a\nb"])
def test_keys_that_no_label_holds_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="label 'key'"):
        attachments.items("e", {key: 1}, lambda: 1)


def nested(depth: int) -> Any:
    content: Any = 1
    for _ in range(depth):
        content = [content]
    return content


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"bytes", TypeError),
        (object(), TypeError),
        ({1, 2}, TypeError),
        (float("nan"), ValueError),
        (nested(200_000), ValueError),
    ],
    ids=["bytes", "object", "set", "nan", "deep"],
)
def test_what_is_no_json_is_refused(content: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="attachment 'k' cannot be written as JSON"):
        attachments.items("e", {"k": content}, lambda: 1)


@pytest.mark.parametrize("payload", [b"", b"<p>", b"\xff", b"[" * 100_000], ids=lambda p: p[:4])
def test_what_is_no_json_is_a_protocol_error(payload: bytes) -> None:
    with pytest.raises(ProtocolError, match="attachment 'k' is not JSON"):
        attachments.decode("k", payload)


@pytest.mark.parametrize("entry", ["e/$meta", "$meta"])
def test_attachments_have_no_attachments(entry: str) -> None:
    with pytest.raises(ValueError, match="holds attachments itself"):
        attachments.meta_entry(entry)


def test_attachments_are_a_dict() -> None:
    wrong: Any = [("k", 1)]
    with pytest.raises(TypeError, match="attachments must be a dict, not list"):
        attachments.items("e", wrong, lambda: 1)
    with pytest.raises(ValueError, match="entry name"):
        attachments.items("a b", {"k": 1}, lambda: 1)


def test_b32_keys_to_remove() -> None:
    found = [(1, "a"), (2, "10"), (3, "010"), (4, "&x"), (5, "")]
    assert attachments.check_keys(None) is None
    assert attachments.check_keys([]) == frozenset()
    one: Any = "a"
    with pytest.raises(TypeError, match="must be a list of keys"):
        attachments.check_keys(one)
    for keys, expected in (
        (None, [1, 2, 3, 4, 5]),
        (frozenset[str](), []),
        (frozenset({"10", "&x", "unknown"}), [2, 4]),
    ):
        removals = attachments.removals("e/$meta", found, keys)
        assert [item.timestamp for _, item in removals] == expected
        assert all(entry == "e/$meta" for entry, _ in removals)
        assert all(item.labels == {"remove": "true"} for _, item in removals)
