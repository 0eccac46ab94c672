"""The data file of the storage engine: kept, locked, whole after a kill at any moment."""

import contextlib
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reduct_local.clock import ManualClock
from reduct_local.engine import Engine, StorageError, StorageInUseError
from reduct_local.storage.model import LAST_TIME, PIECE_SIZE
from tests.local.engines import BUCKET, content, refused, rows, settle, times, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.sqlite"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Engine]:
    engine = Engine(path, clock=ManualClock(0))
    try:
        yield engine
    finally:
        engine.close()


def test_everything_is_kept(path: Path) -> None:
    with opened(path) as engine:
        engine.create_bucket(BUCKET, {"quota_type": "FIFO", "quota_size": 10**8})
        engine.create_bucket("renamed")
        engine.rename_bucket("renamed", "other")
        for time in (5, 0, LAST_TIME, 2**63):
            write(engine, "a/b", time, b"x" * time.bit_length(), {"a": "1"})
        engine.update_labels(BUCKET, "a/b", 5, {"b": "2"})
        engine.remove_records(BUCKET, "a/b", [0])
        engine.rename_entry(BUCKET, "a/b", "c")
        write(engine, "large", 1, b"x" * (3 * PIECE_SIZE))
        engine.begin_write(BUCKET, "broken", 1, 5, "", {}).abort()
        engine.set_provisioned("other")
        before = engine.bucket_infos(), engine.entry_infos(BUCKET), list(engine.scan(BUCKET, "c"))
    with opened(path) as engine:
        after = engine.bucket_infos(), engine.entry_infos(BUCKET), list(engine.scan(BUCKET, "c"))
        # Protection is a matter of the configuration.
        engine.set_provisioned("other")
        assert (engine.bucket_infos(), *after[1:]) == before
        assert engine.settings(BUCKET).quota_type == "FIFO"
        assert content(engine, engine.read(BUCKET, "large")) == b"x" * (3 * PIECE_SIZE)
        with refused(500):
            engine.read(BUCKET, "broken", 1)
        write(engine, "c", 6)
        assert times(engine, "c") == [5, 6, 2**63, LAST_TIME]


def test_started_records_leave_nothing(path: Path) -> None:
    with opened(path) as engine:
        engine.create_bucket(BUCKET)
        write(engine, "a", 1)
        before = engine.entry_infos(BUCKET)
        for time, size in ((5, 10), (6, 3 * PIECE_SIZE), (7, 10)):
            writer = engine.begin_write(BUCKET, "a", time, size, "", {})
            writer.write(b"x" * (size - 1))
        writer.abandon()
        assert rows(engine, "pieces") > 1
    with opened(path) as engine:
        assert engine.entry_infos(BUCKET) == before
        assert rows(engine, "pieces") == 1
        assert rows(engine, "garbage") == 0
        write(engine, "a", 6)


def test_removals_go_on_after_a_restart(path: Path) -> None:
    with opened(path) as engine:
        for bucket in (BUCKET, "other"):
            engine.create_bucket(bucket)
        write(engine, "a/b", 1, b"x" * (50 * PIECE_SIZE))
        write(engine, "b", 1)
        write(engine, "a", 1, bucket="other")
        engine.remove_entry(BUCKET, "a")
        engine.remove_bucket("other")
        engine.finish_removals()
    with opened(path) as engine:
        assert [info.name for info in engine.bucket_infos()] == [BUCKET]
        assert engine.entry_names(BUCKET) == ["b"]
        counts = [rows(engine, table) for table in ("entries", "blocks", "records", "pieces")]
        assert counts == [1, 1, 1, 1]


def test_space_of_removed_records_is_used_again(path: Path) -> None:
    with opened(path) as engine:
        engine.create_bucket(BUCKET)
    sizes = []
    for time in range(4):
        with opened(path) as engine:
            write(engine, "a", time, b"x" * 5_000_000)
            engine.remove_records(BUCKET, "a", [time])
            settle(engine)
        sizes.append(path.stat().st_size)
    assert sizes[0] > 5_000_000
    assert sizes[-1] < sizes[0] + 1_000_000


def test_documents(path: Path) -> None:
    with opened(path) as engine:
        engine.put_document("token", "b", {"value": 1})
        engine.put_document("token", "b", {"value": [2, None, "ä"]})
        engine.put_document("token", "a", {})
        engine.put_document("lifecycle", "a", {"x": 1})
    with opened(path) as engine:
        assert engine.documents("token") == {"a": {}, "b": {"value": [2, None, "ä"]}}
        engine.documents("token")["a"]["new"] = 1
        engine.delete_document("token", "b")
        engine.delete_documents("token", ["b", "missing"])
        engine.delete_document("missing", "a")
        assert engine.documents("token") == {"a": {}}
        assert engine.documents("lifecycle") == {"a": {"x": 1}}
        assert engine.documents("missing") == {}


SECOND = """
import sys
from pathlib import Path
from reduct_local.engine import Engine

Engine(Path(sys.argv[1]))
"""


def test_file_is_locked(path: Path) -> None:
    with opened(path):
        with pytest.raises(StorageInUseError, match=r"data\.sqlite is in use by another server"):
            Engine(path)
        other = subprocess.run(
            [sys.executable, "-c", SECOND, str(path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "StorageInUseError" in other.stderr
    with opened(path):
        pass


def test_other_files_are_refused(path: Path) -> None:
    path.write_bytes(b"no database, but long enough to be one" * 100)
    with pytest.raises(StorageError, match="no usable data file"):
        Engine(path)
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE mine (id)")
    with pytest.raises(StorageError, match="another program"):
        Engine(path)
    path.unlink()
    with opened(path) as engine:
        engine._store.database.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="version 99"):
        Engine(path)
    with pytest.raises(StorageError, match="unable to open"):
        Engine(path / "missing" / "data.sqlite")


VICTIM = """
import sys
from pathlib import Path
from reduct_local.engine import Engine

engine = Engine(Path(sys.argv[1]))
size = int(sys.argv[2])
engine.create_entry("bucket", "a")
start = engine.bounds("bucket", "a")[1] + 1 if engine.bounds("bucket", "a") else 0
for time in range(start, start + 1_000_000):
    data = time.to_bytes(8, "big") * (size // 8)
    writer = engine.begin_write("bucket", "a", time, len(data), "text/plain", {"time": str(time)})
    for offset in range(0, len(data), 100_000):
        writer.write(data[offset : offset + 100_000])
    writer.finish()
    if time >= 10 and time % 3 == 0:
        engine.remove_records("bucket", "a", [time - 10])
    print(time, flush=True)
"""


@pytest.mark.parametrize("size", [800, 8 * 200_000])
def test_killed_at_any_moment(path: Path, size: int) -> None:
    with opened(path) as engine:
        engine.create_bucket(BUCKET)
    for _ in range(6):
        victim = subprocess.Popen(
            [sys.executable, "-c", VICTIM, str(path), str(size)], stdout=subprocess.PIPE, text=True
        )
        assert victim.stdout is not None
        with victim, victim.stdout as output:
            lines = [output.readline() for _ in range(random.randrange(1, 40))]
            victim.kill()
            lines += output.readlines()
        # The last line may be cut.
        acknowledged = max(int(line) for line in lines if line.endswith("\n"))
        _check_after_kill(path, size, acknowledged)


def _check_after_kill(path: Path, size: int, acknowledged: int) -> None:
    with opened(path) as engine:
        found = times(engine, "a")
        assert found[-1] in (acknowledged, acknowledged + 1)
        for time in range(max(0, acknowledged - 8), acknowledged + 1):
            assert time in found
        for record in engine.scan(BUCKET, "a"):
            assert record.labels == {"time": str(record.timestamp)}
            assert content(engine, record) == record.timestamp.to_bytes(8, "big") * (size // 8)
        info = engine.entry_infos(BUCKET)[0]
        assert info.record_count == len(found)
        assert rows(engine, "garbage") == 0
        assert rows(engine, "pieces") == len(found) * -(-size // PIECE_SIZE)


def test_lost_content_is_noticed(path: Path) -> None:
    """The control of the tests above: they would see a record that is not whole."""
    with opened(path) as engine:
        engine.create_bucket(BUCKET)
        write(engine, "a", 1)
        engine._store.database.execute("DELETE FROM pieces")
        with refused(404, "Record 1 not found"):
            content(engine, engine.read(BUCKET, "a"))
