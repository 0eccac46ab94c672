"""Records of the storage engine: reading, scanning, labels, removal, attachments."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_local.engine import Engine
from reduct_local.storage.attachments import is_tombstone
from reduct_local.storage.model import LAST_TIME, PIECE_SIZE
from reduct_local.storage.records import PAGE_RECORDS
from tests.local.engines import BUCKET, Action, content, refused, rows, settle, times, write


@pytest.fixture(autouse=True)
def _bucket(engine: Engine) -> None:
    engine.create_bucket(BUCKET)


@pytest.mark.parametrize("timestamp", [0, 1, 2**63 - 1, 2**63, LAST_TIME])
@pytest.mark.parametrize("data", [b"", b"\0\xff", b"x" * (PIECE_SIZE + 1)])
def test_round_trip(engine: Engine, timestamp: int, data: bytes) -> None:
    labels = {"a": "1", "Ä b": "", "quote": "\",'"}
    engine.write(BUCKET, "a/b", timestamp, data, "text/plain; charset=utf-8", labels)
    record = engine.read(BUCKET, "a/b", timestamp)
    assert (record.bucket, record.entry, record.timestamp) == (BUCKET, "a/b", timestamp)
    assert (record.size, record.content_type) == (len(data), "text/plain; charset=utf-8")
    assert record.labels == labels
    assert content(engine, record) == data
    assert list(engine.scan(BUCKET, "a/b")) == [record]


def test_missing_records(engine: Engine) -> None:
    write(engine, "a/b", 5)
    with refused(404, "Entry 'b' not found in bucket 'bucket'"):
        engine.read(BUCKET, "b", 5)
    with refused(404, "Record 4 not found in entry bucket/a/b"):
        engine.read(BUCKET, "a/b", 4)
    with refused(404, "Record 6 not found in block bucket/a/b/5"):
        engine.read(BUCKET, "a/b", 6)
    # The latest record of an empty entry is that of time 0.
    with refused(404, "Record 0 not found in entry bucket/a"):
        engine.read(BUCKET, "a")


def test_latest_record(engine: Engine) -> None:
    for time in (10, 30, 20):
        write(engine, "a", time)
    assert engine.read(BUCKET, "a").timestamp == 30
    engine.remove_records(BUCKET, "a", [30])
    assert engine.read(BUCKET, "a").timestamp == 20
    write(engine, "z", 0)
    assert engine.read(BUCKET, "z").timestamp == 0


@pytest.mark.parametrize("size", [5, 3 * PIECE_SIZE - 7])
@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 0), (1, 3), (4, None), (PIECE_SIZE - 1, PIECE_SIZE + 1), (10**9, None), (2, 10**9)],
)
def test_parts_of_contents(engine: Engine, size: int, start: int, stop: int | None) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]
    write(engine, "a", 1, data)
    pieces = list(engine.content(engine.read(BUCKET, "a"), start, stop))
    assert b"".join(pieces) == data[start:stop]
    assert all(0 < len(piece) <= PIECE_SIZE for piece in pieces)


def test_content_of_a_removed_record(engine: Engine) -> None:
    write(engine, "a", 1, b"old")
    record = engine.read(BUCKET, "a")
    engine.remove_records(BUCKET, "a", [1])
    write(engine, "a", 1, b"new")
    # Never the content of another record, were it of the same time.
    with refused(404, "Record 1 not found"):
        content(engine, record)
    assert content(engine, engine.read(BUCKET, "a")) == b"new"


def test_updated_labels(engine: Engine) -> None:
    write(engine, "a", 1, b"data", {"keep": "1", "change": "1", "remove": "1", "empty": ""})
    engine.update_labels(BUCKET, "a", 1, {"change": "2", "remove": "", "new": "3", "none": ""})
    record = engine.read(BUCKET, "a", 1)
    assert record.labels == {"keep": "1", "change": "2", "empty": "", "new": "3"}
    assert content(engine, record) == b"data"
    assert next(engine.scan(BUCKET, "a")).labels == record.labels
    with refused(404, "Record 2 not found in entry bucket/a"):
        engine.update_labels(BUCKET, "a", 2, {})
    with refused(404, "Entry 'b'"):
        engine.update_labels(BUCKET, "b", 2, {})


def test_labels_count_in_the_size(engine: Engine) -> None:
    write(engine, "a", 1, b"", {"a": "1"})
    write(engine, "b", 1, b"", {"a": "1", "b": "22"})
    engine.update_labels(BUCKET, "a", 1, {"b": "22"})
    first, second = engine.entry_infos(BUCKET)
    assert first.size == second.size
    assert engine.bucket_info(BUCKET).size == 2 * first.size


def test_removed_records(engine: Engine) -> None:
    for time in (1, 2, 3):
        write(engine, "a", time)
    errors = engine.remove_records(BUCKET, "a", [1, 3, 3, 9])
    assert {time: error.status for time, error in errors.items()} == {9: 404}
    assert "Record 9 not found in entry bucket/a" in errors[9].message
    assert times(engine, "a") == [2]
    with refused(404):
        engine.read(BUCKET, "a", 1)
    assert engine.remove_records(BUCKET, "a", [2]) == {}
    info = engine.entry_infos(BUCKET)[0]
    assert (info.size, info.record_count, info.block_count, info.latest_record) == (0, 0, 0, 0)
    assert rows(engine, "pieces") == rows(engine, "blocks") == 0


def test_removed_large_content_goes_bit_by_bit(engine: Engine) -> None:
    write(engine, "a", 1, b"x" * (100 * PIECE_SIZE))
    engine.remove_records(BUCKET, "a", [1])
    assert engine.bucket_info(BUCKET).size == 0
    assert rows(engine, "pieces") == 100
    assert engine.finish_removals()
    assert 0 < rows(engine, "pieces") < 100
    settle(engine)
    assert rows(engine, "pieces") == rows(engine, "garbage") == 0


RANGES: list[tuple[int, int | None]] = [
    *((0, None), (0, 0), (0, 1), (1, None), (5, 5), (2, LAST_TIME), (LAST_TIME, None)),
    *((LAST_TIME, LAST_TIME), (0, 2**63), (2**63, None), (100, 3)),
]


@pytest.mark.parametrize(("start", "stop"), RANGES)
def test_scan_ranges(engine: Engine, start: int, stop: int | None) -> None:
    present = [0, 1, 2, 5, 2**63 - 1, 2**63, LAST_TIME - 1, LAST_TIME]
    for time in reversed(present):
        write(engine, "a", time)
    write(engine, "b", 3)
    expected = [time for time in present if start <= time and (stop is None or time < stop)]
    assert times(engine, "a", start, stop) == expected


def test_scan_of_many_pages(engine: Engine) -> None:
    count = 2 * PAGE_RECORDS
    with engine.transaction():
        for time in range(count):
            write(engine, "a", time)
    assert times(engine, "a") == list(range(count))
    assert times(engine, "a", 1, count) == list(range(1, count))


def test_scan_sees_what_is_there_when_asked(engine: Engine) -> None:
    for time in (10, 20, 30, 40):
        write(engine, "a", time)
    scan = engine.scan(BUCKET, "a")
    assert next(scan).timestamp == 10
    # All of these lie in the page that was read ahead, or after it.
    engine.remove_records(BUCKET, "a", [20])
    engine.update_labels(BUCKET, "a", 30, {"new": "1"})
    write(engine, "a", 25)
    write(engine, "a", 5)
    write(engine, "a", 50)
    found = list(scan)
    assert [record.timestamp for record in found] == [25, 30, 40, 50]
    assert found[1].labels == {"new": "1"}
    write(engine, "a", 60)
    assert list(scan) == []


def test_scan_survives_renames(engine: Engine) -> None:
    for time in (1, 2, 3):
        write(engine, "a", time)
    scan = engine.scan(BUCKET, "a")
    next(scan)
    engine.rename_entry(BUCKET, "a", "b")
    engine.rename_bucket(BUCKET, "new")
    engine.remove_records("new", "b", [2])
    record = next(scan)
    assert (record.timestamp, content(engine, record)) == (3, b"data")


def remove_entry(engine: Engine) -> None:
    engine.remove_entry(BUCKET, "a")


def remove_bucket(engine: Engine) -> None:
    engine.remove_bucket(BUCKET)


@pytest.mark.parametrize("remove", [remove_entry, remove_bucket])
@pytest.mark.parametrize("moment", ["marked", "removed", "created again"])
def test_scan_ends_when_its_entry_is_removed(engine: Engine, remove: Action, moment: str) -> None:
    for time in (1, 2):
        write(engine, "a", time)
    scan = engine.scan(BUCKET, "a")
    next(scan)
    remove(engine)
    if moment != "marked":
        settle(engine)
    if moment == "created again":
        if remove is remove_bucket:
            engine.create_bucket(BUCKET)
        write(engine, "a", 3)
    with refused(409 if moment == "marked" else 404):
        next(scan)


KEY = {"key": "k"}
ATTACHMENTS = "a/$meta"


def test_attachments_need_a_key(engine: Engine) -> None:
    with refused(422, "System entry 'a/$meta' records must contain label 'key'"):
        write(engine, ATTACHMENTS, 1, b"", {"name": "k"})
    with refused(422, "does not support writing records with label 'remove=true'"):
        write(engine, ATTACHMENTS, 1, b"", {**KEY, "remove": "true"})
    # As on the real server the entries are there nevertheless.
    assert engine.entry_names(BUCKET) == ["a", ATTACHMENTS]
    write(engine, ATTACHMENTS, 1, b"", {**KEY, "remove": "false"})
    write(engine, "$meta", 1, b"", KEY)
    assert times(engine, "$meta") == [1]


@pytest.mark.parametrize("key", ["k", "", "$k", "1", "true", "5s", "&k", "@k"])
def test_attachment_takes_the_place_of_its_key(engine: Engine, key: str) -> None:
    write(engine, ATTACHMENTS, 1, b"old", {"key": key})
    write(engine, ATTACHMENTS, 2, b"other", {"key": "other"})
    write(engine, ATTACHMENTS, 3, b"new", {"key": key})
    assert times(engine, ATTACHMENTS) == [2, 3]
    # Also at its own time.
    write(engine, ATTACHMENTS, 3, b"newer", {"key": key})
    assert content(engine, engine.read(BUCKET, ATTACHMENTS, 3)) == b"newer"
    # The one before has gone when the time turns out to be taken.
    with refused(409):
        write(engine, ATTACHMENTS, 2, b"", {"key": key})
    assert times(engine, ATTACHMENTS) == [2]


def test_tombstones(engine: Engine) -> None:
    write(engine, ATTACHMENTS, 1, b"data", KEY)
    engine.update_labels(BUCKET, ATTACHMENTS, 1, {"remove": "true"})
    assert times(engine, ATTACHMENTS) == []
    everything = engine.scan(BUCKET, ATTACHMENTS, tombstones=True)
    assert [record.labels for record in everything] == [{**KEY, "remove": "true"}]
    assert content(engine, engine.read(BUCKET, ATTACHMENTS, 1)) == b"data"
    # A tombstone stays where it is.
    write(engine, ATTACHMENTS, 2, b"new", KEY)
    assert times(engine, ATTACHMENTS) == [2]
    with refused(409):
        write(engine, ATTACHMENTS, 1, b"new", KEY)
    # The label means nothing elsewhere.
    write(engine, "a", 1, b"", {"remove": "true"})
    assert times(engine, "a") == [1]


@pytest.mark.parametrize("value", ["true", "1", "1.0", "+1", "1e0"])
def test_values_of_tombstones(value: str) -> None:
    assert is_tombstone({"remove": value})


@pytest.mark.parametrize("value", ["", "True", "false", "0", "2", "yes", " 1", "1_0", "0_1", "nan"])
def test_values_of_no_tombstones(value: str) -> None:
    assert not is_tombstone({"remove": value})


labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "1", "2"]))


@given(before=labels, changes=st.lists(labels, max_size=4))
def test_label_updates_against_a_model(
    before: Mapping[str, str], changes: list[Mapping[str, str]]
) -> None:
    engine = Engine()
    engine.create_bucket(BUCKET)
    write(engine, "a", 1, b"", before)
    expected = dict(before)
    for change in changes:
        engine.update_labels(BUCKET, "a", 1, change)
        for name, value in change.items():
            expected.pop(name, None)
            if value:
                expected[name] = value
    assert engine.read(BUCKET, "a").labels == expected
    write(engine, "b", 1, b"", expected)
    sizes = [info.size for info in engine.entry_infos(BUCKET)]
    assert sizes[0] == sizes[1]
    engine.close()
