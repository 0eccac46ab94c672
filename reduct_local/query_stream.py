"""What a query reads from: the selected records of one entry, or of several merged by time."""

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from reduct_local.conditions import Condition, Evaluation
from reduct_local.engine import Engine, Record
from reduct_local.errors import ApiError
from reduct_local.integers import U64_MAX

QUEUE_SIZE = 64
"""Records that a query selects before they are asked for, as on the real server."""

LOOKS_AT_ONCE = 256
"""Records that one step looks at; other requests are answered between two steps."""

Item = Record | ApiError
"""A record, or why there is none: 204 at the end and when a continuous query is dry."""


def no_content() -> ApiError:
    """Return the end of a query, or that a continuous one has nothing new."""
    return ApiError(204, "No content")


class Stream(Protocol):
    """Something that records are polled from."""

    @property
    def closed(self) -> bool:
        """Whether nothing comes any more: the end, or an error, was polled already."""

    def poll(self, now: float) -> Item | None:
        """Return what comes next; None: nothing yet. Each call is short."""

    def next_look(self) -> float | None:
        """Return when there may be more, in monotonic seconds; None: poll again at once."""

    def drop(self, entry: str) -> None:
        """End what comes from an entry and from those below it."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The records of an entry that a stream yields.

    From `start` to before `stop`, in microseconds; those that `condition` selects, all without
    one. `strict`: an error of the condition ends the stream, at the cost of the records that
    were selected before it in the same block, as on the real server. `pause_s`: a continuous
    stream, which has no stop and looks for new records so many seconds after it ran dry.
    """

    bucket: str
    entry: str
    start: int
    stop: int
    condition: Condition | None
    strict: bool
    pause_s: float | None


class EntryStream:
    """The selected records of one entry, in ascending time, with 204 after the last one.

    After a pause a continuous stream reads on behind the last selected record, with its condition
    in its first state again, as on the real server.
    """

    def __init__(self, engine: Engine, selection: Selection) -> None:
        self.entry = selection.entry
        self._engine = engine
        self._selection = selection
        self._queue: deque[Item] = deque()
        self._ended = False
        self._next_look: float | None = None
        self._start(selection.start)

    def _start(self, start: int) -> None:
        chosen = self._selection
        stop = chosen.stop if chosen.pause_s is None else U64_MAX
        self._next_start = start
        self._records: Iterator[Record] = self._engine.scan(
            chosen.bucket, chosen.entry, start, stop, tombstones=True
        )
        self._evaluation: Evaluation[Record] | None = None
        if chosen.condition is not None:
            self._evaluation = chosen.condition.start(strict=chosen.strict)
        self._block: int | None = None
        self._of_block: list[Record] = []

    @property
    def closed(self) -> bool:
        """Whether nothing comes any more."""
        return self._ended and not self._queue

    def poll(self, now: float) -> Item | None:
        """Return the next record, or the 204 or error after it; None: nothing yet."""
        if not self._queue:
            self.fill(LOOKS_AT_ONCE, now)
        return self._queue.popleft() if self._queue else None

    def next_look(self) -> float | None:
        """Return when a dry continuous stream looks again; None: there may be more at once."""
        return None if self._queue else self._next_look

    def drop(self, entry: str) -> None:
        """End the stream if it reads from `entry` or below it."""
        if self.entry == entry or self.entry.startswith(f"{entry}/"):
            self._queue.clear()
            self._ended = True

    def fill(self, looks: int, now: float) -> None:
        """Look at up to `looks` records, until enough of them are selected."""
        if self._ended:
            return
        try:
            if self._next_look is not None:
                if now < self._next_look:
                    return
                self._next_look = None
                self._start(self._next_start)
            for _ in range(looks):
                record = next(self._records, None)
                if record is None or not self._look_at(record):
                    self._run_dry(now)
                    return
                if len(self._queue) >= QUEUE_SIZE:
                    return
        except ApiError as error:
            self._queue.append(error)
            self._ended = True

    def _look_at(self, record: Record) -> bool:
        """Queue what is selected now; return False when the condition wants no more."""
        if self._evaluation is None:
            self._queue.append(record)
            self._next_start = record.timestamp + 1
            return True
        if record.block != self._block:
            self._leave_block()
            self._block = record.block
        selected = self._evaluation.select(record)
        if selected is None:
            return False
        if selected:
            (self._of_block if self._selection.strict else self._queue).extend(selected)
            self._next_start = selected[-1].timestamp + 1
        return True

    def _leave_block(self) -> None:
        self._queue.extend(self._of_block)
        self._of_block.clear()

    def _run_dry(self, now: float) -> None:
        self._leave_block()
        self._queue.append(no_content())
        if self._selection.pause_s is None:
            self._ended = True
        else:
            self._next_look = now + self._selection.pause_s


class MergedStream:
    """Records of several entries by (timestamp, entry), with 204 after the last one.

    A continuous one never says 204: there is nothing yet. The error of one entry ends it, before
    the records of the others that are waiting, as on the real server.
    """

    def __init__(self, streams: Sequence[EntryStream]) -> None:
        self.closed = False
        self._empty = list(streams)
        self._heads: list[tuple[int, str, Record, EntryStream]] = []

    def poll(self, now: float) -> Item | None:
        """Return the earliest record, the 204 or error after it; None: nothing yet."""
        if self.closed:
            return None
        error = self._poll_empty(now)
        if error is None and not self._heads and not self._empty:
            error = no_content()
        if error is not None:
            self.closed = True
            return error
        if not self._heads or self._is_busy():
            return None
        _timestamp, _entry, record, stream = heapq.heappop(self._heads)
        self._empty.append(stream)
        return record

    def _poll_empty(self, now: float) -> ApiError | None:
        """Ask every entry without a waiting record for one; return the error of an entry."""
        still_empty = []
        for stream in self._empty:
            item = stream.poll(now)
            while isinstance(item, ApiError) and item.status == 204:
                item = stream.poll(now)
            if isinstance(item, ApiError):
                return item
            if item is not None:
                heapq.heappush(self._heads, (item.timestamp, stream.entry, item, stream))
            elif not stream.closed:
                still_empty.append(stream)
        self._empty = still_empty
        return None

    def _is_busy(self) -> bool:
        """Return whether an entry may have an earlier record than those that are waiting."""
        return any(stream.next_look() is None for stream in self._empty)

    def next_look(self) -> float | None:
        """Return when the first entry looks for new records; None: there may be more at once."""
        looks = [stream.next_look() for stream in self._empty]
        times = [look for look in looks if look is not None]
        return min(times) if times and len(times) == len(looks) and not self._heads else None

    def drop(self, entry: str) -> None:
        """End what comes from an entry and from those below it."""
        for stream in self._empty:
            stream.drop(entry)
        for head in self._heads:
            head[-1].drop(entry)
        self._heads = [head for head in self._heads if not head[-1].closed]
        heapq.heapify(self._heads)
