"""Entries: listings, creation, renaming of subtrees; their removal is in `removals`."""

from ..errors import ApiError
from ..names import check_entry_name, check_length, is_below, parents
from .model import EntryInfo
from .state import Bucket, Entry
from .store import Store, check_entry


class Entries:
    """What can be done with entries as a whole."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def infos(self, bucket: str) -> list[EntryInfo]:
        """Return the statistics of the visible entries, by name: 404, 409."""
        return [entry.info() for entry in self._store.bucket(bucket).visible()]

    def names(self, bucket: str) -> list[str]:
        """Return the names of all entries, sorted: 404, 409."""
        return sorted(self._store.bucket(bucket).entries)

    def bounds(self, bucket: str, entry: str) -> tuple[int, int] | None:
        """Return oldest and latest time as listed, None where empty: 404, 409."""
        found = self._store.entry(bucket, entry)
        return (found.oldest, found.latest) if found.records else None

    def create(self, bucket: str, entry: str) -> None:
        """Create an entry and its parents where missing: 404, 409, 422 name."""
        owner = self._store.bucket(bucket)
        with self._store.database.transaction:
            self._store.create_entry(owner, entry)

    def rename(self, bucket: str, old: str, new: str) -> None:
        """Rename an entry with all below it: 422 name, 404, 409."""
        owner = self._store.bucket(bucket)
        check_entry_name(new)
        exists = ApiError(409, f"Entry '{new}' already exists in bucket '{bucket}'")
        if is_below(new, old):
            raise exists
        moved = [entry for name, entry in owner.entries.items() if is_below(name, old)]
        if not moved:
            raise ApiError(404, f"Entry '{old}' not found in bucket '{bucket}'")
        if new in owner.entries:
            raise exists
        check_length(new)
        with self._store.database.transaction:
            for parent in parents(new)[-1:]:
                self._store.create_entry(owner, parent)
            for entry in moved:
                check_entry(entry)
            self._move(owner, moved, old, new)

    def _move(self, bucket: Bucket, moved: list[Entry], old: str, new: str) -> None:
        for entry in moved:
            del bucket.entries[entry.name]
            entry.name = new + entry.name[len(old) :]
            bucket.entries[entry.name] = entry
        self._store.database.executemany(
            "UPDATE entries SET name = ? WHERE id = ?",
            [(entry.name, entry.id) for entry in moved],
        )
