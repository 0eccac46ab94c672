"""A running query: its time to live, waiting for records, and filling batches."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from reduct_local.conditions import Directives
from reduct_local.engine import Record
from reduct_local.errors import ApiError
from reduct_local.query_request import QueryRequest
from reduct_local.query_stream import LOOKS_AT_ONCE, Item, Stream, no_content

LONGEST_WAIT_S = 3600.0
"""Waits are cut into pieces: event loops refuse very long ones."""

IDLE_WAIT_S = 0.001
"""A wait between two looks of a query whose own timeouts are 0."""


@dataclass(frozen=True, slots=True)
class IoLimits:
    """Limits of batch answers (`RS_IO_BATCH_*`): counts, bytes, seconds."""

    batch_max_records: int = 85
    batch_max_metadata_size: int = 512_000
    batch_max_size: int = 8_000_000
    batch_timeout_s: float = 5.0
    batch_records_timeout_s: float = 1.0

    def directed(self, directives: Directives) -> "IoLimits":
        """Return these limits with those that the directives of a condition name."""
        wanted = {field.name: getattr(directives, field.name) for field in fields(self)}
        return replace(self, **{name: v for name, v in wanted.items() if v is not None})


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one batch answer in query order; `last`: the query reached its end.

    Without records it is the empty batch of v2: nothing yet, ask again.
    """

    records: list[Record]
    last: bool


class Query:
    """A running query with the lock that its readers take one after the other."""

    def __init__(
        self, stream: Stream, request: QueryRequest, limits: IoLimits, now_us: int
    ) -> None:
        self.stream = stream
        self.limits = limits
        self.only_metadata = request.only_metadata
        self.last_access_us = now_us
        self.lock = asyncio.Lock()
        self._ttl_us = request.ttl * 1_000_000
        self._dropped = asyncio.Event()

    def expired(self, now_us: int) -> bool:
        """Return whether the time to live is over."""
        return now_us - self.last_access_us >= self._ttl_us

    def drop(self) -> None:
        """Wake the waiting reader: bucket, entry or server are gone."""
        self._dropped.set()

    async def next(self, deadline: float | None = None) -> Item | None:
        """Wait for a record, 204 or an error; None at the deadline (monotonic seconds).

        A query that has ended yields 204. Raises ApiError 404 for one that was dropped.
        """
        while not self._dropped.is_set():
            now = time.monotonic()
            item = self.stream.poll(now)
            if item is None and self.stream.closed:
                item = no_content()
            if item is not None:
                return item
            if deadline is not None and now >= deadline:
                await asyncio.sleep(IDLE_WAIT_S)
                return None
            await self._wait(self.stream.next_look(), deadline, now)
        raise ApiError(404, "Query not found: its bucket or entry was removed or renamed")

    async def _wait(self, look: float | None, deadline: float | None, now: float) -> None:
        until = now if look is None else look
        if deadline is not None:
            until = min(until, deadline)
        if until <= now:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(min(until - now, LONGEST_WAIT_S)):
                await self._dropped.wait()
        except TimeoutError:
            pass


async def fill_batch(
    query: Query, may_be_empty: bool, head: bool, header_size: Callable[[Record], int]
) -> Batch:
    """Wait for records until a limit is reached; 204 or an error when there is none.

    `may_be_empty`: the batch ends, too, when no record comes in time. `head` and `header_size` as
    for `Queries.take_batch`. An error later on costs the records that were taken before it.
    """
    limits = query.limits
    records: list[Record] = []
    headers = content = 0
    started = time.monotonic()
    while True:
        # The batches of one entry wait as long as nothing comes.
        wait = limits.batch_records_timeout_s if may_be_empty else None
        item = await query.next(None if wait is None else time.monotonic() + wait)
        timed_out = time.monotonic() - started > limits.batch_timeout_s
        if isinstance(item, ApiError):
            if records and item.status == 204:
                return Batch(records, True)
            raise item
        if item is None:
            if records or timed_out:
                return Batch(records, False)
            continue
        records.append(item)
        if not len(records) % LOOKS_AT_ONCE:
            await asyncio.sleep(0)
        headers += header_size(item)
        content += item.size
        if (
            timed_out
            or len(records) >= limits.batch_max_records
            or headers > limits.batch_max_metadata_size
            or (not head and content > limits.batch_max_size)
        ):
            return Batch(records, False)
