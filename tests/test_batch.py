"""Batches on a server: what is written, updated and removed, whichever calls carry it."""

import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduct_async import (
    Batch,
    Bucket,
    Client,
    ConflictError,
    NotFoundError,
    RecordBatch,
    ReductError,
)
from tests.flavours import Flavour
from tests.recording import Recorder
from tests.servers import Server
from tests.stored import (
    BINARY,
    Stored,
    contents,
    keys,
    label_names,
    label_values,
    labels_of,
    payloads,
    times,
    timestamps,
    write_all,
)

ENTRIES = ["a", "b", "a/sub", "z"]

Records = dict[tuple[str, int], tuple[bytes, dict[str, str], str | None]]
"""Payload, labels and content type by entry and timestamp."""


def single(flavour: Flavour, *timestamps: Any, **arguments: Any) -> Batch:
    """Return a batch of records that differ only in their time."""
    batch: Batch = flavour.package.Batch()
    for timestamp in timestamps:
        batch.add(timestamp, **arguments)
    return batch


def several(flavour: Flavour, *keys: tuple[str, int], **arguments: Any) -> RecordBatch:
    """Return a batch of records of several entries that differ only in entry and time."""
    batch: RecordBatch = flavour.package.RecordBatch()
    for entry, timestamp in keys:
        batch.add(entry, timestamp, **arguments)
    return batch


def without_empty(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that the protocol for several entries can show."""
    return {name: value for name, value in labels.items() if value}


# --- writing -------------------------------------------------------------------------------

record = st.tuples(
    st.binary(max_size=20),
    st.dictionaries(label_names, label_values, max_size=3),
    st.sampled_from([None, "text/plain", "text/plain; charset=utf-8"]),
)


@given(
    records=st.dictionaries(
        st.tuples(st.sampled_from(ENTRIES), timestamps), record, min_size=1, max_size=8
    )
)
@settings(max_examples=40)
async def test_what_is_written_comes_back(
    bucket: Bucket, flavour: Flavour, records: Records
) -> None:
    """Records lose and gain labels and types; each comes back as it was added."""
    prefix = uuid.uuid4().hex
    batch: RecordBatch = flavour.package.RecordBatch()
    written = {}
    for (entry, timestamp), (data, labels, kind) in records.items():
        try:
            batch.add(f"{prefix}/{entry}", timestamp, data, kind, labels)
        except ValueError:
            assert any('"' in value for value in labels.values())
        else:
            name = f"{prefix}/{entry}"
            written[name, timestamp] = Stored(name, timestamp, data, labels, kind or BINARY)
    assert len(batch) == len(written)
    assert batch.size == sum(len(record.data) for record in written.values())
    assert await bucket.write_record_batch(batch) == {}

    for name in {entry for entry, _ in written}:
        expected = [written[key] for key in sorted(written) if key[0] == name]
        assert await contents(bucket.query(name)) == expected
    found = {(r.entry, r.timestamp): r for r in await contents(bucket.query(f"{prefix}*"))}
    assert found.keys() == written.keys()
    for key, stored in found.items():
        expected_labels = without_empty(written[key].labels)
        assert without_empty(stored.labels) == expected_labels
        assert stored._replace(labels={}) == written[key]._replace(labels={})


async def test_records_lose_labels(bucket: Bucket, flavour: Flavour) -> None:
    """The wire carries labels over from record to record unless they are taken back."""
    batch: RecordBatch = flavour.package.RecordBatch()
    for entry in ("a", "b"):
        batch.add(entry, 1, b"1", "text/plain", {"x": "1", "y": "2"})
        batch.add(entry, 2, b"2", None, {})
        batch.add(entry, 3, b"3", "text/csv", {"y": "3"})
        batch.add(entry, 4, b"4", "text/csv", {"y": "3", "z": "4"})
    await bucket.write_record_batch(batch)
    for entries in ("a", ["a", "none"]):
        assert await contents(bucket.query(entries)) == [
            Stored("a", 1, b"1", {"x": "1", "y": "2"}, "text/plain"),
            Stored("a", 2, b"2", {}, BINARY),
            Stored("a", 3, b"3", {"y": "3"}, "text/csv"),
            Stored("a", 4, b"4", {"y": "3", "z": "4"}, "text/csv"),
        ]


async def test_payloads_in_a_batch(bucket: Bucket, flavour: Flavour) -> None:
    batch: Batch = flavour.package.Batch()
    batch.add(1, "héllo")
    batch.add(2, memoryview(b"abcd").cast("H"))
    batch.add(3)
    assert (len(batch), batch.size) == (3, 10)
    assert await bucket.write_batch("entry", batch) == {}
    assert await payloads(bucket.query("entry")) == {1: "héllo".encode(), 2: b"abcd", 3: b""}


@pytest.mark.parametrize("data", [None, 5, {"a": 1}, [b"a"], iter([b"a"]), open])
async def test_what_is_no_payload_of_a_batch(flavour: Flavour, data: Any) -> None:
    batch: Batch = flavour.package.Batch()
    with pytest.raises(TypeError, match="data"):
        batch.add(1, data)
    assert (len(batch), batch.size) == (0, 0)


@pytest.mark.parametrize("count", [80, 81, 500])
async def test_many_records(
    recorded: Bucket, recorder: Recorder, flavour: Flavour, count: int
) -> None:
    batch = single(flavour, *range(count), data=b"data", labels={"a": 1})
    assert await recorded.write_batch("entry", batch) == {}
    assert len(recorder.sent) == -(-count // 80)
    assert await times(recorded.query("entry")) == list(range(count))


async def test_many_records_of_several_entries(recorded: Bucket, flavour: Flavour) -> None:
    wanted = [(f"entry-{n % 7}", n) for n in range(300)]
    assert await recorded.write_record_batch(several(flavour, *wanted, data=b"x")) == {}
    assert sorted(await keys(recorded.query("*"))) == sorted(wanted)


async def test_many_entries(bucket: Bucket, flavour: Flavour) -> None:
    wanted = [(f"{'x' * 200}-{n:03}", n) for n in range(200)]
    assert await bucket.write_record_batch(several(flavour, *wanted)) == {}
    assert await keys(bucket.query("*")) == wanted


async def test_large_labels_are_split(
    recorded: Bucket, recorder: Recorder, flavour: Flavour
) -> None:
    batch = single(flavour, *range(50), labels={"big": "x" * 30_000})
    assert await recorded.write_batch("entry", batch) == {}
    assert len(recorder.requests) > 1
    assert await times(recorded.query("entry", include={"big": "x" * 30_000})) == list(range(50))


async def test_large_payloads_are_split(
    recorded: Bucket, recorder: Recorder, flavour: Flavour
) -> None:
    batch: Batch = flavour.package.Batch()
    sizes = [3_000_000, 3_000_000, 3_000_000, 9_000_000, 1, 1]
    for n, size in enumerate(sizes):
        batch.add(n, bytes([n]) * size)
    assert await recorded.write_batch("entry", batch) == {}
    sent = [int(request.headers["content-length"]) for request in recorder.requests]
    assert sum(sent) == sum(sizes)
    assert all(size <= 9_000_000 for size in sent)
    found = await payloads(recorded.query("entry"))
    assert found == {n: bytes([n]) * size for n, size in enumerate(sizes)}


async def test_records_may_be_added_in_any_order(bucket: Bucket, flavour: Flavour) -> None:
    batch: RecordBatch = flavour.package.RecordBatch()
    for entry, timestamp in [("b", 3), ("a", 2), ("b", 1), ("a", 20), ("a", 10)]:
        batch.add(entry, timestamp, f"{entry}{timestamp}")
    await bucket.write_record_batch(batch)
    for name in ("a", "b"):
        for stored in await contents(bucket.query(name)):
            assert stored.data == f"{name}{stored.timestamp}".encode()


# --- what a batch header cannot carry ------------------------------------------------------

CARRIED = {
    "comma and quote": ({"json": '{"a": 1, "b": 2}'}, None),
    "a quote at the begin": ({"quoted": '"text"'}, None),
    "an empty value": ({"empty": "", "other": "1"}, None),
    "upper case": ({"Name": "a,b"}, None),
    "everything else": ({"eq": "a=b,c=d", "hash": "#", "and": "&a"}, "text/plain; x=1"),
}


@pytest.mark.parametrize("case", CARRIED)
async def test_every_record_finds_its_carrier(bucket: Bucket, flavour: Flavour, case: str) -> None:
    labels, kind = CARRIED[case]
    one: Batch = flavour.package.Batch()
    many: RecordBatch = flavour.package.RecordBatch()
    for timestamp in (1, 2, 3):
        special = timestamp == 2
        arguments: dict[str, Any] = (
            {"labels": labels, "content_type": kind} if special else {"labels": {"plain": "1"}}
        )
        one.add(timestamp, b"%d" % timestamp, **arguments)
        for entry in ("a", "b"):
            many.add(entry, timestamp, b"%d" % timestamp, **arguments)
    assert await bucket.write_batch("one", one) == {}
    assert await bucket.write_record_batch(many) == {}
    for entry in ("one", "a", "b"):
        assert await contents(bucket.query(entry)) == [
            Stored(entry, 1, b"1", {"plain": "1"}, BINARY),
            Stored(entry, 2, b"2", labels, kind or BINARY),
            Stored(entry, 3, b"3", {"plain": "1"}, BINARY),
        ]


async def test_what_no_call_can_carry_is_refused(
    recorded: Bucket, recorder: Recorder, flavour: Flavour
) -> None:
    batch = single(flavour, 1, 2, data=b"data")
    batch.add(3, b"data", labels={"Name": 'comma, and "quote"'})
    with pytest.raises(ValueError, match="no call of the server can carry"):
        await recorded.write_batch("entry", batch)
    with pytest.raises(ValueError, match="entry name"):
        await recorded.write_record_batch(several(flavour, ("good", 1), ("not good", 1)))
    with pytest.raises(ValueError, match="label 'gone' is None"):
        await recorded.write_batch("entry", single(flavour, 1, labels={"gone": None}))
    assert recorder.requests == []


# --- errors --------------------------------------------------------------------------------


def statuses(found: Mapping[Any, ReductError]) -> dict[Any, int]:
    """Return the status codes of errors by their keys."""
    return {key: error.status_code for key, error in found.items()}


async def test_errors_of_single_records(bucket: Bucket, flavour: Flavour) -> None:
    await write_all(bucket, "entry", 5, 150)
    batch = single(flavour, *range(200), data=b"new")
    errors = await bucket.write_batch("entry", batch)
    assert statuses(errors) == {5: 409, 150: 409}
    assert all(isinstance(error, ConflictError) for error in errors.values())
    found = await payloads(bucket.query("entry"))
    assert found == dict.fromkeys(range(200), b"new") | {5: b"5", 150: b"150"}


async def test_errors_of_several_entries(bucket: Bucket, flavour: Flavour) -> None:
    await write_all(bucket, "a", 1)
    await write_all(bucket, "b", 2)
    batch = several(flavour, ("a", 1), ("a", 2), ("b", 1), ("b", 2), ("c", 1), data=b"new")
    errors = await bucket.write_record_batch(batch)
    assert {entry: statuses(found) for entry, found in errors.items()} == {
        "a": {1: 409},
        "b": {2: 409},
    }
    assert sorted(await contents(bucket.query("*"))) == [
        Stored("a", 1, b"1", {}, BINARY),
        Stored("a", 2, b"new", {}, BINARY),
        Stored("b", 1, b"new", {}, BINARY),
        Stored("b", 2, b"2", {}, BINARY),
        Stored("c", 1, b"new", {}, BINARY),
    ]


async def test_errors_of_every_carrier(bucket: Bucket, flavour: Flavour) -> None:
    """Single-record calls report like the batch calls among which they stand."""
    await write_all(bucket, "a", 1, 2, 3)
    batch: RecordBatch = flavour.package.RecordBatch()
    batch.add("a", 1, b"new", labels={"json": '{"a": 1, "b": 2}'})
    batch.add("a", 2, b"new", labels={"empty": ""})
    batch.add("a", 3, b"new")
    batch.add("a", 4, b"new")
    batch.add("b", 1, b"new")
    errors = await bucket.write_record_batch(batch)
    assert {entry: statuses(found) for entry, found in errors.items()} == {
        "a": {1: 409, 2: 409, 3: 409}
    }
    assert await times(bucket.query("a")) == [1, 2, 3, 4]


async def test_a_missing_bucket(client: Client, flavour: Flavour) -> None:
    bucket = client.bucket("no-such")
    quoted: Batch = single(flavour, 2, labels={"json": '{"a": 1, "b": 2}'})
    for batch in (single(flavour, 1, 2), quoted):
        errors = await bucket.write_batch("entry", batch)
        assert set(statuses(errors).values()) == {404}
        assert errors.keys() == {time for (_, time), _ in batch.items()}
    for call in (bucket.update_batch, bucket.remove_batch):
        with pytest.raises(NotFoundError, match="no-such"):
            await call("entry", single(flavour, 1, labels={"a": 1}))


async def test_a_call_that_fails_tells_how_far_it_came(
    flavour: Flavour, auth_server: Server
) -> None:
    admin = flavour.client(auth_server.url, auth_server.token)
    bucket = await admin.create_bucket(uuid.uuid4().hex)
    value = await admin.create_token(
        uuid.uuid4().hex, flavour.package.Permissions(read=[bucket.name])
    )
    reader = flavour.client(auth_server.url, value).bucket(bucket.name)
    with pytest.raises(flavour.package.PermissionDeniedError) as caught:
        await reader.write_batch("entry", single(flavour, *range(100)))
    (note,) = caught.value.__notes__
    assert "sent in 2 requests: 0 of them succeeded" in note
    with pytest.raises(flavour.package.PermissionDeniedError):
        await reader.write_batch("entry", single(flavour, 1, labels={"json": '{"a": 1, "b": 2}'}))


# --- updating ------------------------------------------------------------------------------

changes = st.dictionaries(
    st.sampled_from(["a", "b", "Cc"]), st.none() | st.sampled_from(["", "1", "x,y", "true"])
)


def changed(labels: Mapping[str, str], change: Mapping[str, str | None]) -> dict[str, str]:
    """Return what an update makes of labels."""
    result = {name: value for name, value in labels.items() if name not in change}
    return result | {name: value for name, value in change.items() if value}


@given(
    updates=st.dictionaries(
        st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 5)), changes, min_size=1
    )
)
@settings(max_examples=25)
async def test_updates_touch_only_what_they_name(
    bucket: Bucket, flavour: Flavour, updates: dict[tuple[str, int], dict[str, str | None]]
) -> None:
    prefix = uuid.uuid4().hex
    before = {"a": "0", "keep": "k"}
    batch = several(
        flavour,
        *((f"{prefix}/{entry}", n) for entry in ("a", "b") for n in range(4)),
        data=b"data",
        labels=before,
    )
    await bucket.write_record_batch(batch)
    batch = flavour.package.RecordBatch()
    for (entry, timestamp), change in updates.items():
        batch.add(f"{prefix}/{entry}", timestamp, labels=change)
    errors = await bucket.update_record_batch(batch)
    missing = {key for key in updates if key[1] > 3}
    assert {(entry, n) for entry, found in errors.items() for n in found} == {
        (f"{prefix}/{entry}", n) for entry, n in missing
    }
    for entry in ("a", "b"):
        for stored in await contents(bucket.query(f"{prefix}/{entry}")):
            change = updates.get((entry, stored.timestamp), {})
            assert stored.labels == changed(before, change)
            assert stored.data == b"data"


async def test_update_batch(bucket: Bucket, flavour: Flavour) -> None:
    await write_all(bucket, "entry", *range(150), labels={"a": 0, "b": 0})
    batch: Batch = flavour.package.Batch()
    for n in range(160):
        batch.add(n, labels={"a": n, "b": None, "json": '{"a": 1, "b": 2}' if n == 7 else "{}"})
    errors = await bucket.update_batch("entry", batch)
    assert statuses(errors) == dict.fromkeys(range(150, 160), 404)
    assert await labels_of(bucket, "entry", 5) == {"a": "5", "json": "{}"}
    assert await labels_of(bucket, "entry", 7) == {"a": "7", "json": '{"a": 1, "b": 2}'}
    assert await labels_of(bucket, "entry", 149) == {"a": "149", "json": "{}"}


async def test_missing_entries(bucket: Bucket, flavour: Flavour) -> None:
    await write_all(bucket, "here", 1)
    batch = several(flavour, ("here", 1), ("here", 2), ("gone", 1), labels={"a": 1})
    for call in (bucket.update_record_batch, bucket.remove_record_batch):
        errors = await call(batch)
        assert {entry: statuses(found) for entry, found in errors.items()} == {
            "gone": {1: 404},
            "here": {2: 404},
        }
    for of_entry in (bucket.update_batch, bucket.remove_batch):
        with pytest.raises(NotFoundError, match="gone"):
            await of_entry("gone", single(flavour, 1, labels={"a": 1}))
    assert [entry.name for entry in await bucket.get_entry_list()] == ["here"]


# --- removing ------------------------------------------------------------------------------


async def test_remove_batch(bucket: Bucket, flavour: Flavour) -> None:
    await write_all(bucket, "entry", *range(200))
    await write_all(bucket, "entry/below", 5)
    errors = await bucket.remove_batch("entry", single(flavour, *range(50, 250)))
    assert statuses(errors) == dict.fromkeys(range(200, 250), 404)
    assert await times(bucket.query("entry")) == list(range(50))
    assert await times(bucket.query("entry/below")) == [5]


async def test_errors_of_a_removal_are_those_of_the_record(
    bucket: Bucket, flavour: Flavour
) -> None:
    """The protocol for several entries blames every record of the same time."""
    await write_all(bucket, "a", 1, 2)
    await write_all(bucket, "b", 2)
    errors = await bucket.remove_record_batch(
        several(flavour, ("a", 1), ("a", 2), ("b", 1), ("b", 2))
    )
    assert {entry: statuses(found) for entry, found in errors.items()} == {"b": {1: 404}}
    assert await keys(bucket.query("*")) == []


async def test_attachments_are_not_removed_as_records(
    recorded: Bucket, recorder: Recorder, flavour: Flavour
) -> None:
    with pytest.raises(ValueError, match="remove_attachments"):
        await recorded.remove_record_batch(several(flavour, ("a", 1), ("a/$meta", 1)))
    assert recorder.requests == []


# --- the container -------------------------------------------------------------------------


async def test_a_batch_shows_its_records(flavour: Flavour) -> None:
    batch: RecordBatch = flavour.package.RecordBatch()
    assert (len(batch), batch.size, batch.last_access) == (0, 0, 0)
    batch.add("b", 2, b"22", "text/plain", {"x": 1})
    batch.add("a", 3, b"3", labels={"gone": None})
    assert (len(batch), batch.size) == (2, 3)
    assert batch.last_access > 1_700_000_000
    (first, one), (second, two) = batch.items()
    assert (first, second) == (("a", 3), ("b", 2))
    assert isinstance(flavour.show(one), flavour.package.Record)
    shown = flavour.show(two)
    assert (shown.entry, shown.timestamp, shown.size) == ("b", 2, 2)
    assert (shown.content_type, shown.labels) == ("text/plain", {"x": "1"})
    assert await shown.read_all() == b"22"
    batch.clear()
    assert (len(batch), batch.size, batch.items()) == (0, 0, [])


async def test_a_batch_may_be_used_again(bucket: Bucket, flavour: Flavour) -> None:
    batch = single(flavour, 1, 2, data=b"data")
    assert await bucket.write_batch("a", batch) == {}
    assert await bucket.write_batch("b", batch) == {}
    assert statuses(await bucket.write_batch("a", batch)) == {1: 409, 2: 409}
    batch.clear()
    batch.add(3, b"data")
    assert await bucket.write_batch("a", batch) == {}
    assert await times(bucket.query("a")) == [1, 2, 3]


@pytest.mark.parametrize("entry", ["", "/", "a//b", "..", 5])
async def test_bad_entries_are_refused_when_added(flavour: Flavour, entry: Any) -> None:
    batch: RecordBatch = flavour.package.RecordBatch()
    with pytest.raises((ValueError, TypeError), match="entry name"):
        batch.add(entry, 1, b"data")
    assert len(batch) == 0
