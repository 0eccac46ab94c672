"""Subscriptions: records as they come, until the user has enough."""

import time
from collections.abc import Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Self

from reduct_api.api.buckets import get_bucket
from reduct_core.errors import ReductError
from reduct_core.query import Plan, existence, narrowed
from reduct_core.sieve import Sieve
from reduct_core.subscriptions import Look, Watch, log, passes_listing, passes_query

from ._flavour import Event, Stream, close_generator, wait
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
        self._io = io
        self._watch = watch
        self._sieve = Sieve(plan.filters)
        self._plan = plan
        self._poll_interval = poll_interval
        self._closed = Event()
        self._connected = False
        self._records = self._run()

    @property
    def cursors(self) -> dict[str, int]:
        """By entry, the first timestamp (microseconds) that is still to be read.

        A checkpoint: ``subscribe(..., start=cursors)`` goes on there, with nothing lost and
        nothing twice. The record in hand counts as read.
        """
        return self._watch.cursors

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Record:
        return await anext(self._records)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the subscription; may be called again."""
        self._closed.set()
        await close_generator(self._records)

    async def _run(self) -> Stream[Record]:
        while not self._closed.is_set():
            began = time.monotonic()
            for look in await self._looks():
                async with aclosing(self._read(look)) as found:
                    async for record in found:
                        yield record
                        if self._sieve.full or self._closed.is_set():
                            return
            pause = self._poll_interval - (time.monotonic() - began)
            await wait(self._closed, max(pause, 0))

    async def _looks(self) -> Sequence[Look]:
        """Return the entries with news; none while the server is away, once it was there."""
        try:
            info = await self._io.send(get_bucket.build_request(self._plan.bucket))
        except ReductError as error:
            if not self._connected or not passes_listing(error):
                raise
            log.warning("subscription to bucket %r waits: %s", self._plan.bucket, error)
            return ()
        self._connected = True
        return self._watch.looks(info, time.monotonic())

    async def _read(self, look: Look) -> Stream[Record]:
        plan = narrowed(self._plan, look.entry, look.start)
        try:
            async with aclosing(records(self._io, plan)) as found:
                async for record in found:
                    new = self._watch.take(record.entry, record.timestamp)
                    if new and self._sieve.passes(record.entry, record.timestamp, record.labels):
                        yield record
            finished = not self._watch.unread(look) or await self._is_whole(look)
        except ReductError as error:
            if not passes_query(error, strict=bool(plan.body.strict)):
                raise
            log.warning("subscription to entry %r waits: %s", look.entry, error)
            return
        self._watch.settle(look, finished=finished, now=time.monotonic())

    async def _is_whole(self, look: Look) -> bool:
        """Tell whether the newest record of a listing exists whole, though no filter let it by."""
        plan = existence(self._plan, look.entry, look.newest or 0)
        async with aclosing(records(self._io, plan)) as found:
            async for _ in found:
                return True
        return False
