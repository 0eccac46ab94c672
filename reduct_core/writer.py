"""The books of a writer: which records it accepts, what is sent next, what became of it.

Performs no I/O, like the books of `gates`: the writers of the flavours ask what to do, and
tell what came of it. May be used from several threads.

Workers take parcels from `lanes` and send them. A lane whose parcel is on its way is busy, so
an entry has one request at a time, in the order in which its records were accepted.
"""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, Generic, TypeVar

from attrs import define, evolve, frozen

from . import batch_writes, lanes, names, payload
from . import labels as label_codec
from .batches import Item
from .errors import NO_ANSWER, ApiError, ReductError, TransportError
from .gates import Signal
from .labels import LabelValue
from .lanes import Held, KnownTimes, Lane, Lanes, WriterSettings
from .times import MAX_RECORD_US, TimestampLike, to_us
from .write_report import Account, FailedRecord, WriteReport
from .writes import Call, Errors

# Answers that say nothing of single records: the next ones would fare alike.
_ENDING = frozenset({401, 403, 404, 429, 503})


class State(Enum):
    """Where in its life a writer is."""

    NEW = auto()
    OPEN = auto()
    CLOSED = auto()


@define(eq=False)
class Parcel:
    """Records of one lane that are sent together, in one request or several."""

    lane: Lane
    records: Sequence[Held]
    calls: Sequence[Call] = ()
    done: int = 0
    """How many of `calls` are settled."""
    begun: bool = False
    """Whether the call after those was begun."""

    @property
    def settled(self) -> int:
        """How many records are stored or failed."""
        return sum(len(call.keys) for call in self.calls[: self.done])


S = TypeVar("S", bound=Signal)


@frozen
class Rest(Generic[S]):
    """Nothing to send: a worker waits for the signal, at most so many seconds if given."""

    signal: S
    seconds: float | None


@define(eq=False)
class _Flush(Generic[S]):
    signal: S
    targets: dict[Lane, int]
    """How many records of a lane must have ended."""


class Collector(Generic[S]):
    """The books of one writer to `bucket`."""

    def __init__(self, bucket: str, settings: WriterSettings, make_signal: Callable[[], S]):
        self._bucket = bucket
        self._settings = settings
        self._make_signal = make_signal
        self._lock = threading.Lock()
        self._state = State.NEW
        self._ended_by: Exception | None = None
        self._lanes = Lanes(settings)
        self._known = KnownTimes(settings.on_duplicate)
        self._account = Account()
        self._held_bytes = self._held_records = 0
        self._flying: list[Parcel] = []
        self._workers = 0
        self._idle: list[S] = []
        self._news = False
        self._space: S | None = None
        self._flushes: list[_Flush[S]] = []

    # --- records in ------------------------------------------------------------------------

    def item(
        self,
        entry: str,
        timestamp: TimestampLike,
        data: Any,
        content_type: str | None,
        labels: Mapping[str, LabelValue] | None,
    ) -> Item:
        """Return a checked record; ValueError or TypeError for what could not be sent."""
        if entry not in self._lanes:
            names.new_entry(entry)
        item = Item(
            to_us(timestamp, "timestamp", most=MAX_RECORD_US),
            payload.batch_data(data),
            label_codec.content_type(content_type),
            label_codec.encode(labels),
        )
        if label_codec.needs_own_call(label_codec.for_write(item.labels)):
            # Finds out whether there is a call that can carry it.
            batch_writes.write_calls(self._bucket, [(entry, item)])
        return item

    def add(self, entry: str, item: Item, now: float) -> S | None:
        """Accept a record; or return what to wait for before it is offered again.

        Raises ValueError for a timestamp that was given before, if that is an error, and what
        ended the writer.
        """
        cost = lanes.cost(item)
        with self._lock:
            self._check_open()
            if self._held_records and self._held_bytes + cost > self._settings.buffer_bytes:
                return self._full(now)
            lane = self._lanes.get(entry)
            free = self._known.free(lane, item.timestamp)
            if free != item.timestamp:
                item = evolve(item, timestamp=free)
            old = lane.accept(Held(item, cost, now))
            if old is not None:
                self._account.replaced += 1
                self._release([old])
            self._held_bytes += cost
            self._held_records += 1
            self._known.add(entry, item.timestamp, self._held_records)
            if self._lanes.arrange(lane, now):
                self._nudge()
        return None

    def _release(self, records: Sequence[Held]) -> None:
        self._held_bytes -= sum(held.cost for held in records)
        self._held_records -= len(records)

    def _full(self, now: float) -> S:
        if self._lanes.press(now):
            self._nudge()
        self._space = self._space or self._make_signal()
        return self._space

    def _check_open(self) -> None:
        if self._ended_by is not None:
            raise self._trouble()
        if self._state is not State.OPEN:
            raise ReductError(
                NO_ANSWER, "a writer is used once, inside its block: with bucket.writer() as writer"
            )

    def flush(self, now: float) -> S | None:
        """Make everything ready; return what is set when all of it is stored or has failed.

        None if there is nothing to wait for.
        """
        with self._lock:
            if self._ended_by is not None:
                return None
            self._check_open()
            targets = {lane: lane.accepted for lane in self._lanes.all()}
            for lane in targets:
                lane.urgent = len(lane.records)
                if self._lanes.arrange(lane, now):
                    self._nudge()
            if not targets:
                return None
            self._flushes.append(_Flush(self._make_signal(), targets))
            return self._flushes[-1].signal

    # --- workers ---------------------------------------------------------------------------

    def open(self) -> None:
        """Begin; a first worker is counted as working."""
        with self._lock:
            if self._state is not State.NEW:
                raise ReductError(NO_ANSWER, "a writer is used once; make another")
            self._state, self._workers = State.OPEN, 1

    def has_news(self) -> bool:
        """Tell, once, whether something has to be sent or timed since the last call."""
        news, self._news = self._news, False
        return news

    def hire(self) -> bool:
        """Tell whether another worker is needed; it is then counted as working."""
        with self._lock:
            if self._idle or self._workers >= self._settings.parallel:
                return False
            needed = self._lanes.first() is not None
            self._workers += needed
            return needed

    def take(self, now: float) -> Parcel | Rest[S] | None:
        """Return what a worker does next; None if it is no longer needed."""
        with self._lock:
            if self._is_over():
                self._workers -= 1
                return None
            lane = self._lanes.pop(now)
            if lane is None:
                first = self._lanes.first()
                self._idle.append(self._make_signal())
                return Rest(self._idle[-1], None if first is None else first - now)
            records = lane.cut(self._settings.batch_records, self._settings.batch_bytes)
            parcel = Parcel(lane, records)
            self._flying.append(parcel)
            if self._lanes.first() is not None:
                # Somebody has to time or send what is left.
                self._nudge()
        return parcel

    def wake(self, rest: Rest[S]) -> None:
        """Note that a worker no longer waits."""
        with self._lock:
            if rest.signal in self._idle:
                self._idle.remove(rest.signal)

    def _nudge(self) -> None:
        self._news = True
        if self._idle:
            self._idle.pop().set()

    def _is_over(self) -> bool:
        return self._state is not State.OPEN or self._ended_by is not None

    # --- parcels ---------------------------------------------------------------------------

    def begin(self, parcel: Parcel) -> Call | None:
        """Return the next call of a parcel, which is then on its way; None if there is none."""
        if not parcel.calls:
            records = [(parcel.lane.entry, held.item) for held in parcel.records]
            parcel.calls = batch_writes.write_calls(self._bucket, records)
        with self._lock:
            if self._is_over() or parcel.done == len(parcel.calls):
                return None
            parcel.begun = True
            return parcel.calls[parcel.done]

    def refused(self, call: Call, error: ReductError) -> Errors:
        """Return a failed request as errors of its records."""
        if not isinstance(error, ApiError):
            self._end_by(error)
        return dict.fromkeys(call.keys, error)

    def failures(self, call: Call, found: Errors) -> Sequence[FailedRecord]:
        """Return errors of records, whose timestamps may then be written again.

        Where all records of a call have an error that is not theirs, it ends the writer.
        """
        foreign = [error for error in found.values() if error.status_code in _ENDING]
        if foreign and len(foreign) == len(call.keys):
            self._end_by(foreign[0])
        with self._lock:
            for key in found:
                self._known.discard(key)
        return [FailedRecord(entry, us, error) for (entry, us), error in found.items()]

    def _end_by(self, error: ReductError) -> None:
        # A user who takes the errors decides for himself whether to go on.
        if not self._settings.hands_over:
            self.end(error)

    def settle(self, parcel: Parcel, failed: Sequence[FailedRecord], handled: int) -> None:
        """Note what came of the call that was begun; records not in `failed` are stored.

        So many of the failed ones were given to `on_error`.
        """
        with self._lock:
            # Otherwise the writer has ended meanwhile, and its report says "unknown".
            if parcel in self._flying:
                self._account.settle(len(parcel.calls[parcel.done].keys), failed, handled)
                parcel.done, parcel.begun = parcel.done + 1, False

    def release(self, parcel: Parcel, now: float) -> None:
        """Note that a worker is done with a parcel; what it did not send was not sent."""
        with self._lock:
            if parcel not in self._flying:
                return
            self._decide(parcel)
            parcel.lane.busy = False
            # The worker itself comes back to see what is ready.
            self._lanes.arrange(parcel.lane, now)
            self._tell_flushes(parcel.lane)
            if self._space is not None:
                self._space.set()
                self._space = None

    def _decide(self, parcel: Parcel) -> None:
        """Account for what is still open of a parcel."""
        self._flying.remove(parcel)
        settled = {key for call in parcel.calls[: parcel.done] for key in call.keys}
        begun = parcel.calls[parcel.done].keys if parcel.begun else ()
        unknown = TransportError(
            NO_ANSWER, "the writer was left before the answer came; the record may be stored"
        )
        self._account.failed += [FailedRecord(entry, us, unknown) for entry, us in begun]
        keys = [(parcel.lane.entry, held.item.timestamp) for held in parcel.records]
        self._account.unsent += [key for key in keys if key not in settled.union(begun)]
        parcel.lane.ended += len(parcel.records)
        self._release(parcel.records)

    def _tell_flushes(self, lane: Lane) -> None:
        for flush in self._flushes:
            if lane.ended >= flush.targets.get(lane, math.inf):
                del flush.targets[lane]
                if not flush.targets:
                    flush.signal.set()
        self._flushes = [flush for flush in self._flushes if flush.targets]

    # --- the end ---------------------------------------------------------------------------

    def end(self, error: Exception) -> None:
        """End the writer by an error: nothing more is accepted or begun."""
        with self._lock:
            self._ended_by = self._ended_by or error
            self._wake_all()

    def close(self) -> None:
        """End the writer: what was not begun by now will not be sent."""
        with self._lock:
            self._state = State.CLOSED
            self._wake_all()

    def _wake_all(self) -> None:
        signals = [*self._idle, *(flush.signal for flush in self._flushes)]
        if self._space is not None:
            signals.append(self._space)
        for signal in signals:
            signal.set()
        self._idle.clear()
        self._flushes.clear()
        self._space = None

    def finish(self) -> None:
        """Decide all that is still open; the workers are gone, or no longer waited for."""
        with self._lock:
            for parcel in list(self._flying):
                self._decide(parcel)
            for lane in self._lanes.all():
                self._account.unsent += [(lane.entry, us) for us in lane.records]
                self._release(list(lane.records.values()))
                lane.records.clear()

    def report(self) -> WriteReport:
        """Return what became of the records up to now."""
        with self._lock:
            return self._account.report(self._pending())

    def _pending(self) -> int:
        return self._held_records - sum(parcel.settled for parcel in self._flying)

    def has_losses(self) -> bool:
        """Tell whether records failed, or were not sent."""
        with self._lock:
            return bool(self._account.failed or self._account.unsent)

    def trouble(self) -> Exception | None:
        """Return what is to be raised: failed records that were not raised before, or what
        ended the writer.
        """
        with self._lock:
            return self._trouble() if self._account.is_due or self._ended_by else None

    def _trouble(self) -> Exception:
        if self._ended_by is None or isinstance(self._ended_by, ReductError):
            return self._account.error(self._pending(), self._ended_by)
        return self._ended_by
