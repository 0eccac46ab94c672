"""How records come into the storage engine: admission, pieces, ends, transactions, listeners."""

import sqlite3
from collections.abc import Callable

import pytest

from reduct_local.engine import Change, Engine, RecordWriter
from reduct_local.storage.database import MEMORY_LIMIT
from reduct_local.storage.model import PIECE_SIZE
from tests.local.engines import BUCKET, content, refused, rows, settle, times, write


@pytest.fixture(autouse=True)
def _bucket(engine: Engine) -> None:
    engine.create_bucket(BUCKET)


def begin(engine: Engine, timestamp: int, size: int, entry: str = "a") -> RecordWriter:
    return engine.begin_write(BUCKET, entry, timestamp, size, "text/plain", {"a": "1"})


@pytest.mark.parametrize("size", [0, 1, PIECE_SIZE - 1, PIECE_SIZE, PIECE_SIZE + 1, 3 * PIECE_SIZE])
@pytest.mark.parametrize("chunk", [1000, PIECE_SIZE, 2 * PIECE_SIZE + 1])
def test_content_in_chunks(engine: Engine, size: int, chunk: int) -> None:
    data = (bytes(range(253)) * (size // 253 + 1))[:size]
    kinds: list[Callable[[bytes], bytes]] = [bytes, bytearray, memoryview]  # type: ignore[list-item]
    writer = begin(engine, 5, size)
    for number, offset in enumerate(range(0, size, chunk)):
        writer.write(kinds[number % 3](data[offset : offset + chunk]))
    writer.finish()
    assert content(engine, engine.read(BUCKET, "a")) == data
    assert rows(engine, "pieces") == -(-size // PIECE_SIZE)
    assert rows(engine, "garbage") == 0


def test_memory_does_not_grow_with_a_record(engine: Engine) -> None:
    writer = begin(engine, 5, 20 * PIECE_SIZE)
    held = 0
    for _ in range(20 * 8):
        writer.write(b"x" * (PIECE_SIZE // 8))
        held = max(held, sum(len(one) for one in writer._held))
    writer.finish()
    assert held < PIECE_SIZE
    assert engine.read(BUCKET, "a").size == 20 * PIECE_SIZE


def test_changed_chunk_does_not_change_the_record(engine: Engine) -> None:
    chunk = bytearray(b"before")
    writer = begin(engine, 1, 6)
    writer.write(chunk)
    chunk[:] = b"after!"
    writer.finish()
    assert content(engine, engine.read(BUCKET, "a")) == b"before"


@pytest.mark.parametrize("size", [2, 2 * PIECE_SIZE])
def test_started_record(engine: Engine, size: int) -> None:
    write(engine, "a", 1, b"")
    writer = begin(engine, 5, size)
    writer.write(b"x" * (size - 1))
    with refused(425, "Record with timestamp 5 in bucket/a is still being written"):
        engine.read(BUCKET, "a", 5)
    with refused(425):
        engine.read(BUCKET, "a")
    assert times(engine, "a") == [1]
    for again in (size, size + 1):
        with refused(409, "A record with timestamp 5 already exists"):
            begin(engine, 5, again)
    info = engine.entry_infos(BUCKET)[0]
    assert (info.record_count, info.latest_record) == (2, 5)
    assert info.size > size
    # Labels may be changed already.
    engine.update_labels(BUCKET, "a", 5, {"a": "", "b": "2"})
    writer.write(b"x")
    writer.finish()
    assert engine.read(BUCKET, "a").labels == {"b": "2"}
    assert engine.entry_infos(BUCKET)[0] == info


def test_latest_time_counts_started_records(engine: Engine) -> None:
    writer = begin(engine, 5, 1)
    write(engine, "a", 9)
    assert engine.bounds(BUCKET, "a") == (5, 9)
    engine.remove_records(BUCKET, "a", [9])
    assert engine.bounds(BUCKET, "a") == (5, 5)
    writer.write(b"x")
    writer.finish()
    assert engine.read(BUCKET, "a").timestamp == 5


def test_late_record_is_seen_by_a_scan(engine: Engine) -> None:
    writer = begin(engine, 5, 1)
    write(engine, "a", 1)
    write(engine, "a", 9)
    scan = engine.scan(BUCKET, "a")
    next(scan)
    writer.write(b"x")
    writer.finish()
    assert [record.timestamp for record in scan] == [5, 9]


ENDS: list[Callable[[RecordWriter], None]] = [
    lambda writer: writer.finish(),
    lambda writer: writer.abort(),
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("size", "sent"), [(5, 0), (5, 4), (3 * PIECE_SIZE, 2 * PIECE_SIZE)])
def test_broken_record(
    engine: Engine, end: Callable[[RecordWriter], None], size: int, sent: int
) -> None:
    writer = begin(engine, 5, size)
    writer.write(b"x" * sent)
    end(writer)
    with refused(500, "Record with timestamp 5 in bucket/a is broken"):
        engine.read(BUCKET, "a", 5)
    assert times(engine, "a") == []
    before = engine.entry_infos(BUCKET)[0]
    assert before.record_count == 1
    # Only a record of exactly the same size takes its place.
    with refused(409):
        begin(engine, 5, size + 1)
    engine.write(BUCKET, "a", 5, b"y" * size, "text/plain", {"a": "1"})
    assert content(engine, engine.read(BUCKET, "a")) == b"y" * size
    assert engine.entry_infos(BUCKET)[0] == before
    with refused(409):
        begin(engine, 5, size)
    settle(engine)
    assert rows(engine, "pieces") == -(-size // PIECE_SIZE)
    assert rows(engine, "garbage") == 0


@pytest.mark.parametrize("size", [2, PIECE_SIZE, 2 * PIECE_SIZE])
def test_too_many_bytes_break_a_record(engine: Engine, size: int) -> None:
    writer = begin(engine, 5, size)
    writer.write(b"x" * size)
    writer.write(b"x")
    writer.finish()
    with refused(500):
        engine.read(BUCKET, "a", 5)
    settle(engine)
    assert rows(engine, "pieces") == 0


def test_broken_record_can_be_changed_and_removed(engine: Engine) -> None:
    begin(engine, 5, 1).abort()
    engine.update_labels(BUCKET, "a", 5, {"b": "2"})
    assert engine.remove_records(BUCKET, "a", [5]) == {}
    assert engine.entry_infos(BUCKET)[0].size == 0
    write(engine, "a", 5, b"other")


@pytest.mark.parametrize("size", [5, 3 * PIECE_SIZE])
def test_abandoned_record_stays_started(engine: Engine, size: int) -> None:
    writer = begin(engine, 5, size)
    writer.write(b"x" * (size - 1))
    writer.abandon()
    writer.write(b"x")
    writer.finish()
    with refused(425):
        engine.read(BUCKET, "a", 5)
    settle(engine)
    assert rows(engine, "pieces") == 0
    assert engine.remove_records(BUCKET, "a", [5]) == {}
    write(engine, "a", 5)
    assert times(engine, "a") == [5]


def drop_by_quota(engine: Engine) -> None:
    engine.change_settings(BUCKET, {"quota_type": "FIFO", "quota_size": 160})
    write(engine, "b", 1, b"x" * 150)


REMOVALS: list[Callable[[Engine], object]] = [
    lambda engine: engine.remove_records(BUCKET, "a", [5]),
    lambda engine: engine.remove_entry(BUCKET, "a"),
    lambda engine: engine.remove_bucket(BUCKET),
    drop_by_quota,
]


@pytest.mark.parametrize("remove", REMOVALS)
@pytest.mark.parametrize("size", [5, 3 * PIECE_SIZE])
@pytest.mark.parametrize("end", ENDS)
def test_record_removed_while_it_is_written(
    engine: Engine,
    remove: Callable[[Engine], object],
    size: int,
    end: Callable[[RecordWriter], None],
) -> None:
    writer = begin(engine, 5, size)
    writer.write(b"x" * (size - 1))
    remove(engine)
    writer.write(b"x")
    settle(engine)
    end(writer)
    settle(engine)
    remaining = [entry for info in engine.bucket_infos() for entry in engine.entry_infos(info.name)]
    assert all(entry.record_count == (entry.name == "b") for entry in remaining)
    assert rows(engine, "garbage") == 0
    assert rows(engine, "records") == rows(engine, "pieces") == len(remaining) // 2


def test_order_of_checks(engine: Engine) -> None:
    limited = Engine(max_storage=100)
    limited.create_bucket(BUCKET, {"quota_type": "HARD", "quota_size": 50})
    checks: list[tuple[int, str, str, int, int]] = [
        (500, "missing", "a b", 1, 101),
        (404, "missing", "a b", 1, 51),
        (422, BUCKET, "a b", 1, 51),
        (400, BUCKET, "x/$meta", 1, 51),
        (422, BUCKET, "x/$meta", 1, 5),
    ]
    write(limited, "a", 1, b"")
    for status, bucket, entry, time, size in checks:
        with refused(status):
            limited.begin_write(bucket, entry, time, size, "", {})
    limited.remove_entry(BUCKET, "a")
    with refused(409, "being deleted"):
        limited.begin_write(BUCKET, "a", 1, 51, "", {})
    limited.close()
    # What fails after the quota was kept has created its entries.
    write(engine, "a", 1)
    with refused(422):
        begin(engine, 1, 1, "b/c/$meta")
    with refused(409):
        begin(engine, 1, 1)
    assert engine.entry_names(BUCKET) == ["a", "b", "b/c", "b/c/$meta"]


def test_too_large_for_the_disk(engine: Engine) -> None:
    with refused(507, "Not enough free disk space"):
        begin(engine, 1, 2**64 - 1)
    assert engine.entry_names(BUCKET) == []


def test_too_large_for_memory() -> None:
    engine = Engine()
    engine.create_bucket(BUCKET)
    with refused(507):
        begin(engine, 1, MEMORY_LIMIT + 1)
    begin(engine, 1, MEMORY_LIMIT).abort()
    assert engine.bucket_info(BUCKET).size > MEMORY_LIMIT
    engine.close()


def test_transaction_keeps_what_was_done_before_a_refusal(engine: Engine) -> None:
    with refused(409):
        with engine.transaction():
            write(engine, "a", 1)
            with refused(409):
                write(engine, "a", 1)
            write(engine, "a", 2)
            write(engine, "a", 2)
    assert times(engine, "a") == [1, 2]


def test_transaction_undoes_everything_after_a_failure(engine: Engine) -> None:
    engine.set_provisioned(BUCKET)
    write(engine, "a", 1)
    before = engine.entry_infos(BUCKET), engine.bucket_info(BUCKET)
    scan = engine.scan(BUCKET, "a")
    open_writer = begin(engine, 7, 1)

    def fail() -> None:
        with engine.transaction():
            write(engine, "a", 2)
            write(engine, "b/c", 3)
            engine.create_bucket("other")
            engine.set_provisioned("other")
            engine.remove_records(BUCKET, "a", [1])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (engine.entry_infos(BUCKET), engine.bucket_info(BUCKET)) == before
    assert [record.timestamp for record in scan] == [1]
    with refused(404):
        engine.check_bucket("other")
    # A write that was open has ended without a trace.
    open_writer.write(b"x")
    open_writer.finish()
    write(engine, "a", 2)
    assert times(engine, "a") == [1, 2]


def test_failure_of_the_database_is_an_error_of_the_call(engine: Engine) -> None:
    write(engine, "a", 1)
    engine._store.database.execute("DROP TABLE pieces")
    with refused(500, "Failed to write to the data file", "pieces"):
        write(engine, "a", 2)
    assert times(engine, "a") == [1]


def test_full_disk(engine: Engine) -> None:
    write(engine, "a", 1)
    pages = engine._store.database.value("PRAGMA page_count")
    engine._store.database.execute(f"PRAGMA max_page_count = {pages + 1}")
    with refused(507, "Failed to write to the data file"):
        write(engine, "a", 2, b"x" * 100_000)
    assert times(engine, "a") == [1]
    write(engine, "a", 2, b"x")
    assert times(engine, "a") == [1, 2]


def test_listeners(engine: Engine) -> None:
    seen: list[Change] = []
    engine.listeners.append(seen.append)
    write(engine, "a", 1, b"", {"a": "1"})
    engine.update_labels(BUCKET, "a", 1, {"a": "2"})
    begin(engine, 2, 5).abort()
    writer = begin(engine, 3, 1)
    assert len(seen) == 2
    writer.write(b"x")
    writer.finish()
    engine.remove_records(BUCKET, "a", [1])
    with refused(409):
        write(engine, "a", 3)
    assert seen == [
        Change(BUCKET, "a", 1, "write"),
        Change(BUCKET, "a", 1, "update"),
        Change(BUCKET, "a", 3, "write"),
    ]


def test_listeners_are_told_after_the_transaction(engine: Engine) -> None:
    seen: list[Change] = []
    engine.listeners.append(seen.append)
    with engine.transaction():
        write(engine, "a", 1)
        write(engine, "a", 2)
        assert seen == []
    assert [change.timestamp for change in seen] == [1, 2]

    def fail() -> None:
        with engine.transaction():
            write(engine, "a", 3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    write(engine, "a", 4)
    assert [change.timestamp for change in seen] == [1, 2, 4]


def test_listener_may_write_and_fail(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    def copy(change: Change) -> None:
        if change.entry == "a":
            write(engine, "copy", change.timestamp)

    def fail(change: Change) -> None:
        raise ValueError("no way")

    engine.listeners += [fail, copy]
    write(engine, "a", 1)
    assert times(engine, "copy") == [1]
    assert "no way" in caplog.text


def test_closed_engine_refuses_to_write(engine: Engine) -> None:
    engine.close()
    engine.close()
    with pytest.raises(sqlite3.ProgrammingError):
        write(engine, "a", 1)
