"""Reading, updating and removing records."""

import json
from collections.abc import Iterable, Iterator, Mapping

from ..errors import ApiError
from ..names import is_meta
from .attachments import is_tombstone
from .database import PIECE_BITS
from .model import LAST_TIME, PIECE_SIZE, Record
from .rows import missing, remove_row, remove_started
from .sizes import labels_size
from .state import Entry
from .store import ZERO, Store

PAGE_RECORDS = 128
"""How many records a scan reads ahead."""

_PAGE = """
SELECT time, id, size, content_type, labels, block FROM records
WHERE entry = ? AND time BETWEEN ? AND ? AND NOT broken ORDER BY time LIMIT ?
"""


class Records:
    """What can be done with records that are there."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, bucket: str, entry: str, timestamp: int | None) -> Record:
        """Return one record, the latest without a timestamp: 404, 409, 425, 500."""
        found = self._store.entry(bucket, entry)
        time = found.latest if timestamp is None else timestamp
        if time in found.started:
            raise ApiError(
                425, f"Record with timestamp {time} in {bucket}/{entry} is still being written"
            )
        row = self._store.database.execute(
            "SELECT broken, id, size, content_type, labels, block FROM records"
            " WHERE entry = ? AND time = ?",
            (found.id, time - ZERO),
        ).fetchone()
        if row is None:
            block = found.floor(time)
            where = f"block {bucket}/{entry}/{block.first}" if block else f"entry {bucket}/{entry}"
            raise ApiError(404, f"Record {time} not found in {where}")
        broken, record, size, content_type, labels, first = row
        if broken:
            raise ApiError(500, f"Record with timestamp {time} in {bucket}/{entry} is broken")
        return Record(
            bucket, entry, time, size, content_type, json.loads(labels), record, first + ZERO
        )

    def content(self, record: Record, start: int, stop: int | None) -> Iterator[bytes]:
        """Return the bytes from `start` to before `stop` in pieces; ApiError 404 if removed."""
        stop = record.size if stop is None else min(stop, record.size)
        while start < stop:
            number, offset = divmod(start, PIECE_SIZE)
            piece = self._store.database.value(
                "SELECT data FROM pieces WHERE id = ?", (record.id << PIECE_BITS | number,)
            )
            if piece is None:
                raise ApiError(
                    404,
                    f"Record {record.timestamp} not found in entry {record.bucket}/{record.entry}",
                )
            wanted = piece[offset : offset + stop - start]
            start += len(wanted)
            yield wanted

    def update_labels(
        self, bucket: str, entry: str, timestamp: int, change: Mapping[str, str]
    ) -> None:
        """Set and remove labels: 404, 409."""
        found = self._store.entry(bucket, entry)
        started = found.started.get(timestamp)
        if started is not None:
            started.labels = changed_labels(started.labels, change)
            return
        execute = self._store.database.execute
        key = (found.id, timestamp - ZERO)
        row = execute(
            "SELECT labels, block FROM records WHERE entry = ? AND time = ?", key
        ).fetchone()
        if row is None:
            raise missing(found, timestamp)
        text, first = row
        before = json.loads(text)
        after = changed_labels(before, change)
        grown = labels_size(after.items()) - labels_size(before.items())
        with self._store.database.transaction:
            execute(
                "UPDATE records SET labels = ?, metadata = metadata + ?"
                " WHERE entry = ? AND time = ?",
                (json.dumps(after), grown, *key),
            )
            execute(
                "UPDATE blocks SET metadata = metadata + ? WHERE entry = ? AND first = ?",
                (grown, found.id, first),
            )
            found.count(found.blocks[first + ZERO], metadata=grown)
            found.version += 1
            self._store.changed(found, timestamp, "update")

    def remove(self, bucket: str, entry: str, timestamps: Iterable[int]) -> dict[int, ApiError]:
        """Remove records, return why some could not be (404): 404, 409."""
        found = self._store.entry(bucket, entry)
        errors: dict[int, ApiError] = {}
        with self._store.database.transaction:
            for time in set(timestamps):
                if time in found.started:
                    remove_started(self._store, found, time)
                elif not remove_row(self._store, found, time):
                    errors[time] = missing(found, time)
        return errors

    def scan(
        self, bucket: str, entry: str, start: int, stop: int | None, tombstones: bool
    ) -> Iterator[Record]:
        """Return the finished records from `start` to before `stop`, ascending: 404, 409."""
        found = self._store.entry(bucket, entry)
        records = self._scan(found, start, LAST_TIME if stop is None else stop - 1)
        if tombstones or not is_meta(entry):
            return records
        return (record for record in records if not is_tombstone(record.labels))

    def _scan(self, entry: Entry, start: int, last: int) -> Iterator[Record]:
        version = entry.version
        while start <= last and (page := self._page(entry, start, last)):
            for record in page:
                start = record.timestamp + 1
                yield record
                if entry.version != version:
                    entry = self._again(entry)
                    version = entry.version
                    break

    def _again(self, entry: Entry) -> Entry:
        """Return the entry of a scan after changes in it: 404, 409."""
        bucket, name = entry.bucket.name, entry.name
        found = self._store.entry(bucket, name)
        if found.id != entry.id:
            raise ApiError(404, f"Entry '{name}' in bucket '{bucket}' is another one now")
        return found

    def _page(self, entry: Entry, start: int, last: int) -> list[Record]:
        names = entry.bucket.name, entry.name
        rows = self._store.database.execute(
            _PAGE, (entry.id, start - ZERO, last - ZERO, PAGE_RECORDS)
        ).fetchall()
        return [
            Record(
                *names,
                time + ZERO,
                size,
                content_type,
                json.loads(labels),
                record,
                first + ZERO,
            )
            for time, record, size, content_type, labels, first in rows
        ]


def changed_labels(labels: Mapping[str, str], change: Mapping[str, str]) -> dict[str, str]:
    """Return `labels` with those of `change` set; the empty ones of it are removed."""
    return {name: value for name, value in {**labels, **change}.items() if change.get(name) != ""}
