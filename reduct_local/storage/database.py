"""The SQLite database: its schema, its lock, its transactions."""

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import ApiError

VERSION = 1
"""Of the schema; a file of another one is refused."""

PIECE_BITS = 24
"""A piece has the id `record id << PIECE_BITS | number`, so contents need no index."""

LOCK_SECONDS = 0.2
"""How long an open waits for another server that is just closing the file."""

MEMORY_LIMIT = 2**40
"""The greatest record in memory, in bytes: far beyond any machine, far below SQLite's integers."""

# Times are kept as `time - 2**63`: SQLite's integers are signed. A block is named by the time
# of its first record. `garbage` holds ranges of pieces that belong to no record (any more).
SCHEMA = f"""
CREATE TABLE buckets (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, settings TEXT NOT NULL,
    deleting INTEGER NOT NULL
);
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, bucket INTEGER NOT NULL, name TEXT NOT NULL,
    deleting INTEGER NOT NULL
);
CREATE TABLE blocks (
    entry INTEGER NOT NULL, first INTEGER NOT NULL, latest INTEGER NOT NULL,
    size INTEGER NOT NULL, metadata INTEGER NOT NULL, records INTEGER NOT NULL,
    PRIMARY KEY (entry, first)
) WITHOUT ROWID;
CREATE TABLE records (
    entry INTEGER NOT NULL, time INTEGER NOT NULL, id INTEGER NOT NULL, block INTEGER NOT NULL,
    broken INTEGER NOT NULL, size INTEGER NOT NULL, metadata INTEGER NOT NULL,
    content_type TEXT NOT NULL, labels TEXT NOT NULL,
    PRIMARY KEY (entry, time)
) WITHOUT ROWID;
CREATE TABLE pieces (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE garbage (first INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE documents (
    kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""


class StorageError(RuntimeError):
    """The data file cannot be used."""


class StorageInUseError(StorageError):
    """Another server has the data file open."""


class Database:
    """One SQLite database, held exclusively until it is closed.

    Every change is made inside `with database.transaction:`. Transactions nest: the outermost
    one ends them all. An ApiError ends it as usual; any other exception undoes it and calls
    `on_undone`, since what is kept in memory may have run ahead.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._connection = _connect(path)
        self.execute: Callable[..., sqlite3.Cursor] = self._connection.execute
        self.executemany: Callable[..., sqlite3.Cursor] = self._connection.executemany
        self.transaction = _Transaction(self._connection)

    def close(self) -> None:
        """Close the database; a second call does nothing."""
        self._connection.close()

    def value(self, statement: str, parameters: Sequence[object] = ()) -> Any:
        """Return the first column of the first row, None where there is none."""
        row = self.execute(statement, parameters).fetchone()
        return row and row[0]

    def free_space(self) -> int:
        """Return how many bytes a record may have at most."""
        if self._path is None:
            return MEMORY_LIMIT
        return shutil.disk_usage(self._path.parent).free


class _Transaction:
    """A context manager that may be entered again inside itself."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._depth = 0
        self.on_done: Callable[[], None] = _nothing
        self.on_undone: Callable[[], None] = _nothing

    def __enter__(self) -> None:
        if not self._depth:
            self._execute("BEGIN")
        self._depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._depth -= 1
        if self._depth:
            return
        try:
            if error is not None and not isinstance(error, ApiError):
                raise error
            self._execute("COMMIT")
        except BaseException as reason:
            self._undo()
            if isinstance(reason, sqlite3.Error):
                raise _refusal(reason) from reason
            raise
        self.on_done()

    def _undo(self) -> None:
        # After some errors SQLite has undone it itself.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self.on_undone()


def _nothing() -> None:
    pass


def _refusal(error: sqlite3.Error) -> ApiError:
    full = getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
    return ApiError(507 if full else 500, f"Failed to write to the data file: {error}")


def _connect(path: Path | None) -> sqlite3.Connection:
    """Open the database, create what is missing and take its lock."""
    try:
        connection = sqlite3.connect(
            ":memory:" if path is None else path,
            timeout=LOCK_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise StorageError(f"{path} is no usable data file: {error}") from error
    try:
        _prepare(connection)
    except (sqlite3.Error, StorageError) as error:
        connection.close()
        if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise StorageInUseError(f"{path} is in use by another server") from error
        raise StorageError(f"{path} is no usable data file: {error}") from error
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    execute = connection.execute
    # The lock lasts until the connection closes or the process ends, however it ends.
    execute("PRAGMA locking_mode = EXCLUSIVE")
    # A commit reaches the system before it is acknowledged, so it survives the process;
    # only a power failure can take the last ones, and never leaves a damaged file.
    execute("PRAGMA journal_mode = WAL")
    execute("PRAGMA synchronous = NORMAL")
    execute("PRAGMA temp_store = MEMORY")
    version = execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, VERSION):
        raise StorageError(f"it has version {version}, this server knows {VERSION}")
    if version == 0:
        if execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StorageError("it is the database of another program")
        connection.executescript(f"BEGIN; {SCHEMA} COMMIT;")
    execute("BEGIN IMMEDIATE")
    execute("COMMIT")
