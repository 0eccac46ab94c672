"""Subscriptions: records as they come, until the user has enough."""

import time
from collections.abc import Sequence
from contextlib import closing
from types import TracebackType
from typing import Self

from reduct_api import api
from reduct_core.errors import ReductError
from reduct_core.query import Plan, metadata, narrowed
from reduct_core.sieve import Sieve
from reduct_core.subscriptions import (
    Look,
    Span,
    Watch,
    log,
    passes_listing,
    passes_query,
)

from ._flavour import Event, Stream, close_idle, make_lock, wait
from ._io import Io
from ._query import records
from .record import Record


class Subscription:
    """The records of a subscription, one after the other; ends only by `close`.

    An iterator and a context manager. `close` may be called from elsewhere while the iterator
    waits: it then ends at once.
    """

    def __init__(
        self,
        io: Io,
        watch: Watch,
        plan: Plan,
        poll_interval: float,
    ):
        self._watch = watch
        self._closed = Event()
        self._turn = make_lock()
        # The generator does not know the subscription, so that `break` frees both at once.
        self._records = Poller(io, watch, plan, poll_interval, self._closed).run()

    @property
    def cursors(self) -> dict[str, int]:
        """By entry, the first timestamp (microseconds) that is still to be read.

        A checkpoint: ``subscribe(..., start=cursors)`` goes on there, with nothing lost and
        nothing twice. The record in hand counts as read.
        """
        return self._watch.cursors

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Record:
        with self._turn:
            return next(self._records)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the subscription; may be called again."""
        self._closed.set()
        close_idle(self._records, self._turn)


class Poller:
    """Asks for news, and reads them, until it is told to end."""

    def __init__(self, io: Io, watch: Watch, plan: Plan, poll_interval: float, closed: Event):
        self._io = io
        self._watch = watch
        self._plan = plan
        self._poll_interval = poll_interval
        self._closed = closed
        self._sieve = Sieve(plan.filters)
        self._conditional = plan.body.when is not None or plan.body.ext is not None
        self._connected = False

    def run(self) -> Stream[Record]:
        """Yield the records that pass the filters, present and future."""
        while not self._closed.is_set():
            began = time.monotonic()
            for look in self._looks():
                with closing(self._read(look)) as found:
                    for record in found:
                        yield record
                        if self._sieve.full or self._closed.is_set():
                            return
            pause = self._poll_interval - (time.monotonic() - began)
            wait(self._closed, max(pause, 0))

    def _looks(self) -> Sequence[Look]:
        """Return the entries with news; none while the server is away, once it was there."""
        try:
            info = self._io.send(api.buckets.get_bucket.build_request(self._plan.bucket))
        except ReductError as error:
            if not self._connected or not passes_listing(error):
                raise
            log.warning("subscription to bucket %r waits: %s", self._plan.bucket, error)
            return ()
        self._connected = True
        return self._watch.looks(info, time.monotonic())

    def _read(self, look: Look) -> Stream[Record]:
        """Yield what is new in one entry; where the server fails, the next poll goes on."""
        try:
            with closing(self._news(look)) as found:
                for record in found:
                    yield record
        except ReductError as error:
            if not passes_query(error, strict=bool(self._plan.body.strict)):
                raise
            log.warning("subscription to entry %r waits: %s", look.entry, error)
            self._watch.broken(look, time.monotonic())
        else:
            self._watch.settle(look, time.monotonic())

    def _news(self, look: Look) -> Stream[Record]:
        if look.gap is not None:
            late = self._watch.late(look, self._whole(look.entry, look.gap))
            if late:
                span = Span(min(late), max(late) + 1)
                with closing(self._span(look.entry, span)) as found:
                    for record in found:
                        if record.timestamp in late:
                            self._watch.know(look, [record.timestamp])
                            if self._passes(record):
                                yield record
                self._watch.know(look, late)
        if look.ahead is not None:
            if self._conditional:
                # Before the query, so that what exists now cannot be passed over by it.
                self._watch.know(look, self._whole(look.entry, look.ahead))
            with closing(self._span(look.entry, look.ahead)) as found:
                for record in found:
                    self._watch.passed(look.entry, record.timestamp)
                    if self._passes(record):
                        yield record

    def _span(self, entry: str, span: Span) -> Stream[Record]:
        return records(self._io, narrowed(self._plan, entry, span.start, span.stop))

    def _whole(self, entry: str, span: Span) -> Sequence[int]:
        """Return the timestamps of all records in `span` that are completely written."""
        plan = metadata(self._plan, entry, span.start, span.stop)
        with closing(records(self._io, plan)) as found:
            return [record.timestamp for record in found]

    def _passes(self, record: Record) -> bool:
        return self._sieve.passes(record.entry, record.timestamp, record.labels)
