"""Records that wait for others of their entry, and when they have waited enough.

Each entry has a lane. A lane with enough records, or with one that is old enough, is ready; a
parcel is cut from its front, and the lane is busy until somebody says that it is not.
"""

import heapq
import itertools
import math
from collections.abc import Sequence
from typing import Any, get_args

from attrs import define, field, frozen

from .batch_writes import MAX_BODY_BYTES, MAX_RECORDS
from .batches import Item, OnDuplicate
from .times import MAX_RECORD_US
from .writes import RecordKey

BUFFER_BYTES = 64 * 1024 * 1024
"""How much a writer holds before it makes its user wait."""

BATCH_BYTES = 2_000_000
"""Bytes of payload after which a batch is sent; larger ones are not faster."""

BATCH_SECONDS = 1.0
"""How long a record waits for others."""

PARALLEL = 8
"""How many entries are written side by side; more are not faster."""

RECORD_BYTES = 1024
"""What a record counts for besides payload and labels: objects, and headers in the making."""

REMEMBERED = 10_000
"""How many timestamps a writer remembers of records that it no longer holds."""


@frozen(kw_only=True)
class WriterSettings:
    """How a writer collects."""

    batch_records: int = field(default=MAX_RECORDS)
    batch_bytes: int = field(default=BATCH_BYTES)
    batch_age: float = field(default=BATCH_SECONDS)
    buffer_bytes: int = field(default=BUFFER_BYTES)
    parallel: int = field(default=PARALLEL)
    on_duplicate: OnDuplicate = field(default="raise")
    hands_over: bool = False
    """Whether failed records are given to `on_error`."""

    @batch_records.validator
    @batch_bytes.validator
    @buffer_bytes.validator
    @parallel.validator
    def _(self, attribute: Any, value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{attribute.name}={value!r} must be an int of at least 1")
        most = {"batch_records": MAX_RECORDS, "batch_bytes": MAX_BODY_BYTES}.get(attribute.name)
        if most is not None and value > most:
            raise ValueError(f"{attribute.name}={value} must be at most {most}")

    @batch_age.validator
    def _(self, _attribute: object, value: object) -> None:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 <= value < math.inf:  # type: ignore[operator]
            raise ValueError(f"batch_age={value!r} must be seconds, not negative")

    @on_duplicate.validator
    def _(self, _attribute: object, value: object) -> None:
        if value not in get_args(OnDuplicate):
            raise ValueError(f"on_duplicate={value!r} must be 'raise', 'replace' or 'shift'")


@frozen
class Held:
    """A record between its acceptance and its end."""

    item: Item
    cost: int
    """Bytes that it counts for."""
    since: float
    """When it was accepted, in seconds of the caller's clock."""


def cost(item: Item) -> int:
    """Return the bytes that a record counts for while it is held."""
    labels = sum(len(name) + len(value or "") for name, value in item.labels.items())
    return len(item.data) + labels + RECORD_BYTES


@define(eq=False)
class Lane:
    """What is collected for one entry."""

    entry: str
    records: dict[int, Held] = field(factory=dict)
    """By timestamp, in the order of acceptance."""
    size: int = 0
    """Bytes of their payloads."""
    busy: bool = False
    ready: float = math.inf
    """When the next parcel is to be cut."""
    urgent: int = 0
    """How many of the first records are not to wait for others."""
    accepted: int = 0
    ended: int = 0
    """How many of all accepted records are stored, failed or replaced."""

    def accept(self, held: Held) -> Held | None:
        """Add a record; return the one that gives way to it."""
        old = self.records.pop(held.item.timestamp, None)
        if old is not None:
            self.size -= len(old.item.data)
            self.ended += 1
        self.records[held.item.timestamp] = held
        self.size += len(held.item.data)
        self.accepted += 1
        return old

    def cut(self, most_records: int, most_bytes: int) -> Sequence[Held]:
        """Take the first records, as many as one batch holds, at least one."""
        taken: list[Held] = []
        size = 0
        for held in self.records.values():
            size += len(held.item.data)
            if taken and (size > most_bytes or len(taken) >= most_records):
                break
            taken.append(held)
        for held in taken:
            del self.records[held.item.timestamp]
        self.size -= sum(len(held.item.data) for held in taken)
        self.urgent = max(self.urgent - len(taken), 0)
        return taken

    @property
    def waits(self) -> bool:
        """Whether there is something to cut a parcel from."""
        return bool(self.records) and not self.busy


class Lanes:
    """All lanes of a writer, and the order in which they become ready."""

    def __init__(self, settings: WriterSettings):
        self._settings = settings
        self._lanes: dict[str, Lane] = {}
        # Entries that no longer tell when their lane is ready are passed over.
        self._heap: list[tuple[float, int, Lane]] = []
        self._numbers = itertools.count()

    def __contains__(self, entry: object) -> bool:
        return entry in self._lanes

    def __len__(self) -> int:
        return len(self._lanes)

    def all(self) -> Sequence[Lane]:
        """Return the lanes that hold something or are busy."""
        return list(self._lanes.values())

    def get(self, entry: str) -> Lane:
        """Return the lane of an entry, perhaps a new one, which is kept once it is arranged."""
        return self._lanes.get(entry) or Lane(entry)

    def arrange(self, lane: Lane, now: float) -> bool:
        """Note when the next parcel is to be cut; tell whether that is earlier than before."""
        if not lane.records and not lane.busy:
            self._lanes.pop(lane.entry, None)
            return False
        self._lanes[lane.entry] = lane
        if lane.busy:
            return False
        full = (
            lane.urgent > 0
            or len(lane.records) >= self._settings.batch_records
            or lane.size >= self._settings.batch_bytes
        )
        oldest = next(iter(lane.records.values()))
        when = now if full else oldest.since + self._settings.batch_age
        if when >= lane.ready:
            return False
        lane.ready = when
        if len(self._heap) > 2 * len(self._lanes) + 64:
            self._heap = [entry for entry in self._heap if self._is_valid(entry)]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (when, next(self._numbers), lane))
        return True

    @staticmethod
    def _is_valid(entry: tuple[float, int, Lane]) -> bool:
        return entry[2].waits and entry[2].ready == entry[0]

    def first(self) -> float | None:
        """Return when the first lane is ready; None if no lane waits."""
        while self._heap and not self._is_valid(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self, now: float) -> Lane | None:
        """Return the lane that has been ready longest, which is busy now; None if none is."""
        first = self.first()
        if first is None or first > now:
            return None
        lane = heapq.heappop(self._heap)[2]
        lane.busy, lane.ready = True, math.inf
        return lane

    def press(self, now: float) -> bool:
        """Make the fullest lane ready if none is; tell whether that was so."""
        first = self.first()
        if first is None or first <= now:
            return False
        lane = max((one for one in self._lanes.values() if one.waits), key=lambda one: one.size)
        lane.urgent = len(lane.records)
        return self.arrange(lane, now)


class KnownTimes:
    """The timestamps of records that were accepted, up to a number of them."""

    def __init__(self, on_duplicate: OnDuplicate):
        self._on_duplicate = on_duplicate
        # With the next timestamp to try instead.
        self._next: dict[RecordKey, int] = {}

    def free(self, lane: Lane, timestamp: int) -> int:
        """Return the timestamp under which a record is accepted; ValueError if it is not."""
        if not self._is_taken(lane, timestamp) or self._on_duplicate == "replace":
            return timestamp
        if self._on_duplicate == "raise":
            raise ValueError(
                f"timestamp {timestamp} of entry {lane.entry!r} was given to this writer before;"
                " pass on_duplicate='replace' or 'shift'"
            )
        asked = timestamp
        while self._is_taken(lane, timestamp):
            timestamp = max(self._next.get((lane.entry, timestamp), 0), timestamp + 1)
        if timestamp > MAX_RECORD_US:
            raise ValueError(f"no timestamp up to {MAX_RECORD_US} us is free in the writer")
        # The next record of this time need not try all those in between again.
        self._next[lane.entry, asked] = timestamp
        return timestamp

    def _is_taken(self, lane: Lane, timestamp: int) -> bool:
        return timestamp in lane.records or (lane.entry, timestamp) in self._next

    def add(self, entry: str, timestamp: int, held: int) -> None:
        """Remember a timestamp, and those of at most so many records besides the `held` ones."""
        self._next.setdefault((entry, timestamp), timestamp + 1)
        if len(self._next) > REMEMBERED + held:
            del self._next[next(iter(self._next))]

    def discard(self, key: RecordKey) -> None:
        """Forget a timestamp, because its record was not stored."""
        self._next.pop(key, None)
