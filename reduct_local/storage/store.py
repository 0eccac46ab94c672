"""The store: the database and what is kept of it in memory, which all parts share."""

import json
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ..errors import ApiError
from ..names import check_entry_name, check_length, parents
from ..settings import BucketSettings
from .database import PIECE_BITS, Database
from .model import PIECE_SIZE, Change
from .state import Block, Bucket, Entry

logger = logging.getLogger("reduct_local")

ZERO = 2**63
"""What is taken from a time to make it one of SQLite's signed integers."""

DISCARD_SIZE = 64 * 1024
"""Contents up to this size are removed at once, larger ones bit by bit (`collect_garbage`)."""

COLLECTED_PIECES = 8
"""How many pieces one step of the collection removes."""


class Store:
    """Buckets, entries and blocks in memory, the rest in the database.

    The public methods that change something are called inside a transaction.
    """

    def __init__(self, path: Path | None) -> None:
        self.database = Database(path)
        self.listeners: list[Callable[[Change], None]] = []
        self.buckets: dict[str, Bucket] = {}
        self.removed: deque[Entry] = deque()
        """Entries that are out of every list; their records are still to be removed."""
        self.removed_buckets: list[int] = []
        """Rows of buckets that are out of the list; they go after all `removed` entries."""
        self.garbage: deque[tuple[int, int]] = deque()
        """Ranges of pieces to be removed."""
        self._changes: list[Change] = []
        self._load()
        self._next_id = (self.database.value("SELECT max(id) FROM pieces") or 0) >> PIECE_BITS
        self.database.transaction.on_done = self._tell
        self.database.transaction.on_undone = self._reload

    def close(self) -> None:
        """Close the database; what is still being written ends without a trace."""
        self._end_writes()
        self.database.close()

    def _end_writes(self) -> None:
        for bucket in self.buckets.values():
            for entry in bucket.entries.values():
                entry.started.clear()
                entry.version += 1

    # Looking up.

    def bucket(self, name: str) -> Bucket:
        """Return a bucket that can be used: 404, 409 deleting."""
        bucket = self.buckets.get(name)
        if bucket is None:
            raise ApiError(404, f"Bucket '{name}' is not found")
        check_bucket(bucket)
        return bucket

    def entry(self, bucket: str, name: str) -> Entry:
        """Return an entry that can be used: 404, 409 (bucket or entry)."""
        entry = self.bucket(bucket).entries.get(name)
        if entry is None:
            raise ApiError(404, f"Entry '{name}' not found in bucket '{bucket}'")
        check_entry(entry)
        return entry

    # Creating and removing.

    def create_bucket(self, name: str, settings: BucketSettings) -> Bucket:
        """Add a bucket: 500 if its name is too long."""
        check_length(name)
        row = self.database.execute(
            "INSERT INTO buckets (name, settings, deleting) VALUES (?, ?, 0)",
            (name, json.dumps(settings.to_dict())),
        ).lastrowid
        assert row is not None
        self.buckets[name] = bucket = Bucket(row, name, settings)
        return bucket

    def create_entry(self, bucket: Bucket, name: str) -> Entry:
        """Return an entry, created with its parents where missing: 409, 422 or 500 name."""
        check_entry_name(name)
        entry = bucket.entries.get(name)
        if entry is None:
            for missing in (one for one in (*parents(name), name) if one not in bucket.entries):
                entry = bucket.entries[missing] = self._new_entry(bucket, missing)
        assert entry is not None
        check_entry(entry)
        return entry

    def _new_entry(self, bucket: Bucket, name: str) -> Entry:
        check_length(name)
        row = self.database.execute(
            "INSERT INTO entries (bucket, name, deleting) VALUES (?, ?, 0)", (bucket.id, name)
        ).lastrowid
        assert row is not None
        return Entry(row, name, bucket)

    def next_id(self) -> int:
        """Return the id of a new record; contents are found by it."""
        self._next_id += 1
        return self._next_id

    def drop_block(self, entry: Entry, block: Block) -> None:
        """Remove a block with its records, finished or not."""
        execute = self.database.execute
        where = "WHERE entry = ? AND block = ? AND time BETWEEN ? AND ?"
        first = block.first - ZERO
        parameters = (entry.id, first, first, block.latest - ZERO)
        for record, size in execute(
            f"SELECT id, size FROM records {where} AND NOT broken", parameters
        ).fetchall():
            self.discard(record, size)
        execute(f"DELETE FROM records {where}", parameters)
        execute("DELETE FROM blocks WHERE entry = ? AND first = ?", (entry.id, first))
        entry.forget_block(block)
        entry.version += 1

    def discard(self, record: int, size: int) -> None:
        """Remove the content of a finished record, now or bit by bit."""
        first = record << PIECE_BITS
        if size > DISCARD_SIZE:
            last = first + (size - 1) // PIECE_SIZE
            self.database.execute("INSERT OR REPLACE INTO garbage VALUES (?, ?)", (first, last))
            self.garbage.append((first, last))
        elif size:
            self.database.execute("DELETE FROM pieces WHERE id = ?", (first,))

    def collect_garbage(self) -> bool:
        """Remove some pieces that belong to no record; tell whether there were any."""
        if not self.garbage:
            return False
        first, last = self.garbage.popleft()
        end = min(last, first + COLLECTED_PIECES - 1)
        execute = self.database.execute
        execute("DELETE FROM pieces WHERE id BETWEEN ? AND ?", (first, end))
        execute("DELETE FROM garbage WHERE first = ?", (first,))
        if end < last:
            execute("INSERT INTO garbage VALUES (?, ?)", (end + 1, last))
            self.garbage.appendleft((end + 1, last))
        return True

    # Telling the listeners.

    def changed(self, entry: Entry, time: int, kind: str) -> None:
        """Tell the listeners of a change, once it is durable."""
        if self.listeners:
            self._changes.append(Change(entry.bucket.name, entry.name, time, kind))

    def _tell(self) -> None:
        if not self._changes:
            return
        changes, self._changes = self._changes, []
        for change in changes:
            for listener in list(self.listeners):
                try:
                    listener(change)
                except Exception:
                    # The record is stored whatever a listener makes of it.
                    logger.exception("a listener failed on %s", change)

    # Loading.

    def _reload(self) -> None:
        """Forget what was not stored, after a transaction that was undone."""
        provisioned = {bucket.id for bucket in self.buckets.values() if bucket.provisioned}
        self._end_writes()
        self._changes.clear()
        self._load()
        for bucket in self.buckets.values():
            bucket.provisioned = bucket.id in provisioned

    def _load(self) -> None:
        execute = self.database.execute
        self.buckets.clear()
        self.removed.clear()
        self.removed_buckets.clear()
        by_id: dict[int, Bucket] = {}
        for row, name, settings, deleting in execute("SELECT * FROM buckets"):
            bucket = by_id[row] = Bucket(row, name, BucketSettings(**json.loads(settings)))
            if deleting:
                self.removed_buckets.append(row)
            else:
                self.buckets[name] = bucket
        entries: dict[int, Entry] = {}
        for row, owner, name, deleting in execute("SELECT * FROM entries"):
            entry = entries[row] = Entry(row, name, by_id[owner], bool(deleting))
            if deleting:
                self.removed.append(entry)
            else:
                entry.bucket.entries[name] = entry
        for row, first, *sums in execute("SELECT * FROM blocks ORDER BY entry, first"):
            _load_block(entries[row], first + ZERO, *sums)
        for entry in self.removed:
            entry.forget_all()
        self.garbage = deque(execute("SELECT first, last FROM garbage"))


def _load_block(
    entry: Entry, first: int, latest: int, size: int, metadata: int, records: int
) -> None:
    block = entry.blocks[first] = Block(first, latest + ZERO)
    entry.firsts.append(first)
    entry.top = max(entry.top, block.latest)
    entry.count(block, size=size, metadata=metadata, records=records)


def check_bucket(bucket: Bucket) -> None:
    """Refuse a bucket that is being removed (409)."""
    if bucket.deleting:
        raise ApiError(409, f"Bucket '{bucket.name}' is being deleted")


def check_entry(entry: Entry) -> None:
    """Refuse an entry that is being removed (409)."""
    if entry.deleting:
        raise ApiError(
            409, f"Entry '{entry.name}' in bucket '{entry.bucket.name}' is being deleted"
        )
