"""Writing records: admission, contents in pieces, ends."""

import json
from collections.abc import Mapping

from ..errors import ApiError
from ..names import check_entry_name, is_meta, parents
from .attachments import prepare_write
from .database import PIECE_BITS
from .model import PIECE_SIZE
from .quotas import check_storage, make_room
from .rows import remove_row, store_counts
from .sizes import metadata_size
from .state import Bucket, Entry
from .store import ZERO, Store, check_entry


class Writing:
    """Admits records."""

    def __init__(self, store: Store, max_storage: int | None) -> None:
        self._store = store
        self._max_storage = max_storage

    def begin(
        self,
        bucket: str,
        entry: str,
        timestamp: int,
        size: int,
        content_type: str,
        labels: Mapping[str, str],
    ) -> "RecordWriter":
        """Admit a record; the checks come in the real server's order."""
        store = self._store
        check_storage(store, size, self._max_storage)
        owner = store.bucket(bucket)
        with store.database.transaction:
            found = self._admitting_entry(owner, entry, size)
            if is_meta(entry):
                prepare_write(store, found, labels)
            self._check_time(found, timestamp, size)
            block = found.place(timestamp, size)
            metadata = metadata_size(timestamp, block.size, size, content_type, labels)
            found.count(block, size=size, metadata=metadata, records=1)
            block.latest = max(block.latest, timestamp)
            found.top = max(found.top, timestamp)
            writer = RecordWriter(store, found, timestamp, size, content_type, dict(labels))
            writer.block, writer.metadata = block.first, metadata
            found.started[timestamp] = writer
        return writer

    def _admitting_entry(self, bucket: Bucket, entry: str, size: int) -> Entry:
        check_entry_name(entry)
        for name in (*parents(entry), entry):
            if name in bucket.entries:
                check_entry(bucket.entries[name])
        make_room(self._store, bucket, size)
        free = self._store.database.free_space()
        if size > free:
            raise ApiError(
                507,
                "Not enough free disk space in the data folder to write a record of"
                f" {size} bytes: only {free} bytes available",
            )
        return self._store.create_entry(bucket, entry)

    def _check_time(self, entry: Entry, time: int, size: int) -> None:
        """Refuse a time that is taken (409); a broken record of the same size makes way."""
        if time > entry.top:
            return
        row = self._store.database.execute(
            "SELECT broken, size FROM records WHERE entry = ? AND time = ?", (entry.id, time - ZERO)
        ).fetchone()
        if time in entry.started or row not in (None, (1, size)):
            raise ApiError(409, f"A record with timestamp {time} already exists")
        if row:
            remove_row(self._store, entry, time)


class RecordWriter:
    """Takes the content of one admitted record; ended by `finish`, `abort` or `abandon`.

    What comes after the end, or after the record was removed or the store closed, is ignored.
    """

    __slots__ = (
        "_abandoned",
        "_content_type",
        "_entry",
        "_held",
        "_held_size",
        "_id",
        "_pieces",
        "_received",
        "_store",
        "_time",
        "block",
        "labels",
        "metadata",
        "size",
    )

    def __init__(
        self,
        store: Store,
        entry: Entry,
        time: int,
        size: int,
        content_type: str,
        labels: dict[str, str],
    ) -> None:
        self._store = store
        self._entry = entry
        self._time = time
        self._content_type = content_type
        self._id = store.next_id()
        self._received = 0
        self._abandoned = False
        self._held: list[bytes] = []
        self._held_size = 0
        self._pieces = 0
        self.size = size
        self.labels = labels
        self.metadata = 0
        self.block = 0

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes. Bytes beyond the announced size are counted, not stored."""
        data = bytes(chunk)
        self._received += len(data)
        if self._received > self.size or not self._open:
            self._drop_held()
            return
        self._held.append(data)
        self._held_size += len(data)
        if self._held_size >= PIECE_SIZE and self.size > PIECE_SIZE:
            self._store_pieces()

    def finish(self) -> None:
        """Make the record readable and durable.

        With fewer or more bytes than announced it becomes broken: reads give 500, and a write of
        exactly the same size replaces it.
        """
        self._end(broken=self._received != self.size)

    def abort(self) -> None:
        """End an interrupted upload: the record is broken, as after a wrong size."""
        self._end(broken=True)

    def abandon(self) -> None:
        """Leave the record unfinished: reads give 425 until it is removed or the store closed."""
        self._drop_held()
        self._drop_pieces()
        self._abandoned = True

    @property
    def _open(self) -> bool:
        return self._entry.started.get(self._time) is self and not self._abandoned

    def _end(self, *, broken: bool) -> None:
        if not self._open:
            self._drop_pieces()
            return
        store, entry = self._store, self._entry
        with store.database.transaction:
            if broken:
                self._drop_pieces()
            else:
                self._store_rest()
            store.database.execute(
                "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self._row(broken)
            )
            store_counts(
                store,
                entry,
                entry.blocks[self.block],
                self._time,
                size=self.size,
                metadata=self.metadata,
                records=1,
            )
            del entry.started[self._time]
            if self._time < entry.top:
                entry.version += 1
            store.collect_garbage()
            if not broken:
                store.changed(entry, self._time, "write")
        self._drop_held()

    def _row(self, broken: bool) -> tuple[object, ...]:
        return (
            self._entry.id,
            self._time - ZERO,
            self._id,
            self.block - ZERO,
            broken,
            self.size,
            self.metadata,
            self._content_type,
            json.dumps(self.labels),
        )

    def _store_pieces(self) -> None:
        """Store the whole pieces of what is held; a crash leaves them as garbage."""
        data = b"".join(self._held)
        whole = len(data) - len(data) % PIECE_SIZE
        for offset in range(0, whole, PIECE_SIZE):
            with self._store.database.transaction:
                if not self._pieces:
                    self._store.database.execute(
                        "INSERT INTO garbage VALUES (?, ?)", self._piece_range()
                    )
                self._store_piece(data[offset : offset + PIECE_SIZE])
                self._store.collect_garbage()
        self._held = [data[whole:]]
        self._held_size = len(data) - whole

    def _store_rest(self) -> None:
        if self._held_size:
            self._store_piece(b"".join(self._held))
        if self.size > PIECE_SIZE:
            self._store.database.execute(
                "DELETE FROM garbage WHERE first = ?", self._piece_range()[:1]
            )

    def _store_piece(self, data: bytes) -> None:
        self._store.database.execute(
            "INSERT INTO pieces VALUES (?, ?)", (self._id << PIECE_BITS | self._pieces, data)
        )
        self._pieces += 1

    def _piece_range(self) -> tuple[int, int]:
        first = self._id << PIECE_BITS
        return first, first + (self.size - 1) // PIECE_SIZE

    def _drop_pieces(self) -> None:
        if self._pieces:
            self._store.garbage.append(self._piece_range())
            self._pieces = 0

    def _drop_held(self) -> None:
        self._held.clear()
        self._held_size = 0
