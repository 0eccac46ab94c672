"""The storage engine: buckets, entries, records, in memory or in one file."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from .clock import Clock
from .errors import ApiError
from .settings import REAL_DEFAULTS, BucketSettings
from .storage.buckets import Buckets
from .storage.database import StorageError, StorageInUseError
from .storage.documents import Documents
from .storage.entries import Entries
from .storage.model import BucketInfo, Change, EntryInfo, Record
from .storage.records import Records
from .storage.removals import Removals
from .storage.store import Store
from .storage.writing import RecordWriter, Writing

__all__ = [
    "BucketInfo",
    "Change",
    "Engine",
    "EntryInfo",
    "Record",
    "RecordWriter",
    "StorageError",
    "StorageInUseError",
]


class Engine:
    """The store behind the HTTP API. Synchronous and for one thread; every call is short.

    Every method raises ApiError with the real server's status where it refuses something.

    Args:
        path: the SQLite file, created when missing; None keeps everything in memory.
        clock: what time it is.
        defaults: what a new bucket gets.
        max_storage: greatest size of all buckets in bytes; None is no limit.

    Raises StorageInUseError where another process has the file open.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        clock: Clock | None = None,
        defaults: BucketSettings = REAL_DEFAULTS,
        max_storage: int | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.defaults = defaults
        self._store = Store(path)
        self._buckets = Buckets(self._store, defaults)
        self._entries = Entries(self._store)
        self._records = Records(self._store)
        self._writing = Writing(self._store, max_storage)
        self._removals = Removals(self._store)
        self._documents = Documents(self._store.database)
        self.listeners: list[Callable[[Change], None]] = self._store.listeners
        """Called after each finished write or label update, once it is durable."""
        # What a crash left behind goes before anybody sees it.
        while self.finish_removals():
            pass

    def close(self) -> None:
        """Close the file; unfinished writes leave nothing behind. A second call does nothing."""
        self._store.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context in which all changes are made durable together, at its end.

        Much faster for many small writes. It must not span a wait: nothing else may run in it.
        Changes made before an exception are kept.
        """
        return self._store.database.transaction

    # Buckets.

    def create_bucket(self, name: str, change: Mapping[str, object] | None = None) -> None:
        """Create a bucket with the default settings, changed by the fields of `change`.

        422 name or settings, 409 exists (also while it is removed).
        """
        self._buckets.create(name, change)

    def change_settings(self, name: str, change: Mapping[str, object] | None) -> None:
        """Change the given settings of a bucket: 404, 409 provisioned or deleting, 422."""
        self._buckets.change(name, change)

    def settings(self, name: str) -> BucketSettings:
        """Return the settings of a bucket: 404, 409 deleting."""
        return self._buckets.settings(name)

    def check_bucket(self, name: str) -> None:
        """Raise ApiError unless the bucket can be used: 404, 409 deleting."""
        self._store.bucket(name)

    def bucket_info(self, name: str) -> BucketInfo:
        """Return the statistics of a bucket: 404, 409 deleting."""
        return self._buckets.info(name)

    def bucket_infos(self) -> list[BucketInfo]:
        """Return the statistics of all buckets, also of those being removed, by name."""
        return self._buckets.infos()

    def rename_bucket(self, old: str, new: str) -> None:
        """Rename a bucket: 404, 409 target exists, source provisioned or deleting, 422."""
        self._buckets.rename(old, new)

    def remove_bucket(self, name: str) -> None:
        """Mark a bucket for removal, see `finish_removals`: 404, 409 provisioned or deleting."""
        self._removals.remove_bucket(self._buckets.find(name))

    def set_provisioned(self, name: str, provisioned: bool = True) -> None:
        """Protect a bucket from change and removal; not kept in the file."""
        self._buckets.find(name).provisioned = provisioned

    # Entries.

    def entry_infos(self, bucket: str) -> list[EntryInfo]:
        """Return the statistics of the visible entries (no attachments), by name."""
        return self._entries.infos(bucket)

    def entry_names(self, bucket: str) -> list[str]:
        """Return the names of all entries, also of attachments, sorted: 404, 409 deleting."""
        return self._entries.names(bucket)

    def check_entry(self, bucket: str, entry: str) -> None:
        """Raise ApiError unless the entry can be used: 404, 409 (bucket or entry)."""
        self._store.entry(bucket, entry)

    def create_entry(self, bucket: str, entry: str) -> None:
        """Create an entry and its parents where missing: 404, 409, 422 name."""
        self._entries.create(bucket, entry)

    def remove_entry(self, bucket: str, entry: str) -> None:
        """Mark an entry and all below it for removal, see `finish_removals`: 404, 409, 422."""
        self._removals.remove_entry(bucket, entry)

    def rename_entry(self, bucket: str, entry: str, new: str) -> None:
        """Rename an entry with all below it, creating missing parents of the target.

        404, 409 target exists or lies below the source or something is deleting, 422 name.
        """
        self._entries.rename(bucket, entry, new)

    def finish_removals(self) -> bool:
        """Do the background part of the removals that were asked for; tell whether any was.

        Short in time: large contents are removed over several calls, so call it until False.
        """
        return self._removals.step()

    # Records.

    def begin_write(
        self,
        bucket: str,
        entry: str,
        timestamp: int,
        size: int,
        content_type: str,
        labels: Mapping[str, str],
    ) -> RecordWriter:
        """Admit a record and return what takes its content, piece by piece.

        All checks are made here, in the real server's order: 500 storage limit, 404, 409 bucket,
        422 name, 409 entry, 400 / 500 quota, 422 attachment rules, 409 timestamp exists.
        Creates the entry and its parents. The caller ends the writer with `finish` or `abort`.
        """
        return self._writing.begin(bucket, entry, timestamp, size, content_type, labels)

    def write(
        self,
        bucket: str,
        entry: str,
        timestamp: int,
        data: bytes | bytearray | memoryview,
        content_type: str,
        labels: Mapping[str, str],
    ) -> None:
        """Write a whole record at once, with the checks of `begin_write`."""
        with self._store.database.transaction:
            writer = self._writing.begin(
                bucket, entry, timestamp, memoryview(data).nbytes, content_type, labels
            )
            writer.write(data)
            writer.finish()

    def read(self, bucket: str, entry: str, timestamp: int | None = None) -> Record:
        """Return one record, the latest without a timestamp: 404, 409, 425 unfinished, 500."""
        return self._records.read(bucket, entry, timestamp)

    def content(self, record: Record, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Return the bytes from `start` to before `stop`, in pieces of at most 512 KiB.

        Raises ApiError 404 where the record was removed meanwhile.
        """
        return self._records.content(record, start, stop)

    def update_labels(
        self, bucket: str, entry: str, timestamp: int, change: Mapping[str, str]
    ) -> None:
        """Set the labels of `change`, remove those that are empty in it, keep the others.

        404, 409, 422 attachment rules.
        """
        self._records.update_labels(bucket, entry, timestamp, change)

    def remove_records(
        self, bucket: str, entry: str, timestamps: Iterable[int]
    ) -> dict[int, ApiError]:
        """Remove records; return why some could not be, by timestamp (404).

        Raises ApiError 404, 409 for bucket and entry.
        """
        return self._records.remove(bucket, entry, timestamps)

    def scan(
        self,
        bucket: str,
        entry: str,
        start: int = 0,
        stop: int | None = None,
        *,
        tombstones: bool = False,
    ) -> Iterator[Record]:
        """Return the finished records from `start` to before `stop`, in ascending time.

        Tombstones of attachments are left out unless asked for. The iterator may be kept open
        while records are written and removed: it yields what is there when it is asked. Without
        `stop` it goes on to the last record, also 2^64-1. Once exhausted it stays so.
        Raises ApiError 404, 409 at the call, and later when bucket or entry are removed.
        """
        return self._records.scan(bucket, entry, start, stop, tombstones)

    def bounds(self, bucket: str, entry: str) -> tuple[int, int] | None:
        """Return oldest and latest timestamp of an entry, as its listing shows them.

        None where it has no record. 404, 409.
        """
        return self._entries.bounds(bucket, entry)

    # Documents of other parts (tokens, replications, lifecycles).

    def documents(self, kind: str) -> dict[str, dict[str, object]]:
        """Return all documents of a kind by name; changing them changes nothing stored."""
        return self._documents.all(kind)

    def put_document(self, kind: str, name: str, value: Mapping[str, object]) -> None:
        """Store a JSON-able object, in the place of one of the same kind and name."""
        self._documents.put(kind, name, value)

    def delete_documents(self, kind: str, names: Iterable[str]) -> None:
        """Remove documents; missing ones are fine."""
        self._documents.delete(kind, names)

    def delete_document(self, kind: str, name: str) -> None:
        """Remove a document; a missing one is fine."""
        self._documents.delete(kind, [name])
