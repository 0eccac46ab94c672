"""Batches: records collected to be written, updated or removed together."""

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar, get_args

from attrs import frozen

from . import labels as label_codec
from . import names, payload
from .headers import RecordHead
from .labels import LabelValue
from .times import MAX_RECORD_US, TimestampLike, to_us

OnDuplicate: TypeAlias = Literal["raise", "replace", "shift"]
"""What happens to a second record with the same entry and timestamp."""

_ON_DUPLICATE = frozenset(get_args(OnDuplicate))

Key: TypeAlias = tuple[str | None, int]
"""Entry (None in a Batch, which has only one) and timestamp in microseconds."""

R = TypeVar("R")


@frozen
class Item:
    """One record of a batch."""

    timestamp: int
    data: bytes
    content_type: str
    labels: Mapping[str, str | None]
    """None means "remove", which only updates can."""

    def head(self, entry: str) -> RecordHead:
        """Return the head of this record in `entry`; labels to remove are empty."""
        labels = label_codec.for_update(self.labels)
        return RecordHead(self.timestamp, entry, len(self.data), self.content_type, labels, {})

    def written(self, entry: str) -> RecordHead:
        """Return the head of this record as it is written; ValueError for labels to remove."""
        labels = label_codec.for_write(self.labels)
        return RecordHead(self.timestamp, entry, len(self.data), self.content_type, labels, {})


class BaseBatch(Generic[R]):
    """What Batch and RecordBatch have in common: a size, an age, and records by key."""

    _record: ClassVar[Callable[..., Any]]

    def __init__(self) -> None:
        self._items: dict[Key, Item] = {}
        self._size = 0
        self._last_access = 0.0

    def items(self) -> list[tuple[Key, R]]:
        """Return ((entry, timestamp), record) pairs, sorted by entry and time."""
        return [
            (key, type(self)._record(self._items[key].head(key[0] or ""), self._items[key].data))
            for key in sorted(self._items, key=lambda key: (key[0] or "", key[1]))
        ]

    def contents(self) -> Mapping[Key, Item]:
        """Return the records as they will be sent, in the order in which they were added."""
        return self._items

    @property
    def size(self) -> int:
        """Bytes of all payloads."""
        return self._size

    @property
    def last_access(self) -> float:
        """When a record was added last, in seconds since 1970-01-01 UTC; 0 if none."""
        return self._last_access

    def clear(self) -> None:
        """Remove all records."""
        self._items.clear()
        self._size = 0
        self._last_access = 0.0

    def __len__(self) -> int:
        return len(self._items)

    def _add(
        self,
        entry: str | None,
        timestamp: TimestampLike,
        data: Any,
        content_type: str | None,
        labels: Mapping[str, LabelValue | None] | None,
        on_duplicate: OnDuplicate,
    ) -> None:
        us = to_us(timestamp, "timestamp", most=MAX_RECORD_US)
        data = payload.batch_data(data)
        content_type = label_codec.content_type(content_type)
        encoded = label_codec.encode(labels)
        key = self._free_key(entry, us, on_duplicate)
        replaced = self._items.pop(key, None)
        self._size += len(data) - (len(replaced.data) if replaced else 0)
        self._items[key] = Item(key[1], data, content_type, encoded)
        self._last_access = time.time()

    def _free_key(self, entry: str | None, timestamp: int, on_duplicate: OnDuplicate) -> Key:
        if on_duplicate not in _ON_DUPLICATE:
            raise ValueError(f"on_duplicate={on_duplicate!r} must be 'raise', 'replace' or 'shift'")
        if on_duplicate == "shift":
            while (entry, timestamp) in self._items:
                timestamp += 1
            if timestamp > MAX_RECORD_US:
                raise ValueError(f"no timestamp up to {MAX_RECORD_US} us is free in the batch")
        elif on_duplicate == "raise" and (entry, timestamp) in self._items:
            where = "" if entry is None else f" of entry {entry!r}"
            raise ValueError(
                f"timestamp {timestamp}{where} is in the batch already; pass"
                " on_duplicate='replace' or 'shift'"
            )
        return entry, timestamp


class SingleEntryBatch(BaseBatch[R]):
    """Records of one entry, which the batch calls name."""

    def add(
        self,
        timestamp: TimestampLike,
        data: Any = b"",
        content_type: str | None = None,
        labels: Mapping[str, LabelValue | None] | None = None,
        *,
        on_duplicate: OnDuplicate = "raise",
    ) -> None:
        """Add a record.

        Args:
            timestamp: time of the record; integers are microseconds, floats are seconds.
            data: bytes-like, or str stored as UTF-8; not needed to update or remove.
            content_type: type of the payload, ``application/octet-stream`` if None.
            labels: names and values; in an update None or "" removes a label.
            on_duplicate: for a timestamp that is in the batch already: "raise" ValueError,
                "replace" the record, or "shift" to the next free microsecond.

        Raises:
            ValueError: a time, label or content type that the server could not store.
            TypeError: a type that is no time, payload or label.
        """
        self._add(None, timestamp, data, content_type, labels, on_duplicate)


class MultiEntryBatch(BaseBatch[R]):
    """Records of several entries."""

    def add(
        self,
        entry: str,
        timestamp: TimestampLike,
        data: Any = b"",
        content_type: str | None = None,
        labels: Mapping[str, LabelValue | None] | None = None,
        *,
        on_duplicate: OnDuplicate = "raise",
    ) -> None:
        """Add a record of `entry`; the other arguments are those of ``Batch.add``."""
        self._add(names.entry(entry), timestamp, data, content_type, labels, on_duplicate)
