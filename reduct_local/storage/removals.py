"""Removal of buckets and entries: marked at once, done in the background."""

from ..errors import ApiError
from ..names import is_below, is_meta
from .state import Bucket, Entry
from .store import Store, check_bucket, check_entry

STEP_RECORDS = 500
"""How many records one step removes."""


class Removals:
    """Marks what is to go, and takes it away step by step."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def remove_bucket(self, bucket: Bucket) -> None:
        """Mark a bucket: 409 provisioned, it or one of its entries is being removed."""
        if bucket.provisioned:
            raise ApiError(409, f"Can't remove provisioned bucket '{bucket.name}'")
        check_bucket(bucket)
        busy = [entry for entry in bucket.entries.values() if entry.deleting]
        with self._store.database.transaction:
            self._mark(list(bucket.entries.values()))
            self._store.database.execute(
                "UPDATE buckets SET deleting = 1 WHERE id = ?", (bucket.id,)
            )
            bucket.deleting = True
        # As on the real server the bucket goes nevertheless.
        for entry in busy:
            check_entry(entry)

    def remove_entry(self, bucket: str, name: str) -> None:
        """Mark an entry and all below it: 404, 409, 422 for attachments."""
        if is_meta(name):
            raise ApiError(
                422, f"Can't delete system entry '{name}'; remove the parent entry instead"
            )
        owner = self._store.bucket(bucket)
        marked = [entry for entry in owner.entries.values() if is_below(entry.name, name)]
        if not marked:
            raise ApiError(404, f"Entry '{name}' not found in bucket '{bucket}'")
        for entry in marked:
            check_entry(entry)
        with self._store.database.transaction:
            self._mark(marked)

    def _mark(self, entries: list[Entry]) -> None:
        self._store.database.executemany(
            "UPDATE entries SET deleting = 1 WHERE id = ?", [(entry.id,) for entry in entries]
        )
        for entry in entries:
            entry.deleting = True
            entry.version += 1
            entry.started.clear()

    def step(self) -> bool:
        """Take a part of the marked things away; tell whether there was any."""
        store = self._store
        with store.database.transaction:
            if self._unlist():
                return True
            if store.removed:
                self._remove_records(store.removed[0])
                return True
            while store.removed_buckets:
                row = store.removed_buckets.pop()
                store.database.execute("DELETE FROM buckets WHERE id = ?", (row,))
            return store.collect_garbage()

    def _unlist(self) -> bool:
        """Take everything marked out of the lists; tell whether anything was."""
        buckets = [bucket for bucket in self._store.buckets.values() if bucket.deleting]
        entries = [
            entry
            for bucket in self._store.buckets.values()
            for entry in bucket.entries.values()
            if entry.deleting
        ]
        for entry in entries:
            del entry.bucket.entries[entry.name]
            entry.forget_all()
            self._store.removed.append(entry)
        for bucket in buckets:
            del self._store.buckets[bucket.name]
            self._store.removed_buckets.append(bucket.id)
        return bool(buckets or entries)

    def _remove_records(self, entry: Entry) -> None:
        execute = self._store.database.execute
        rows = execute(
            "SELECT time, id, size, broken FROM records WHERE entry = ? ORDER BY time LIMIT ?",
            (entry.id, STEP_RECORDS),
        ).fetchall()
        for _, record, size, broken in rows:
            if not broken:
                self._store.discard(record, size)
        if rows:
            execute("DELETE FROM records WHERE entry = ? AND time <= ?", (entry.id, rows[-1][0]))
            return
        execute("DELETE FROM blocks WHERE entry = ?", (entry.id,))
        execute("DELETE FROM entries WHERE id = ?", (entry.id,))
        self._store.removed.popleft()
