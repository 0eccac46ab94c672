"""A replication at work: it takes changes, keeps them in its queue, sends them on."""

import asyncio
import logging
from dataclasses import dataclass

from reduct_local import names
from reduct_local.clock import Clock
from reduct_local.conditions import Condition, Evaluation
from reduct_local.engine import Change, Engine, Record
from reduct_local.errors import ApiError
from reduct_local.queries import IoLimits
from reduct_local.replication.destination import Destination, UnavailableError, VanishedError, head
from reduct_local.replication.diagnostics import Diagnostics
from reduct_local.replication.queue import Queue, Transaction
from reduct_local.replication.settings import (
    DISABLED,
    ENABLED,
    PAUSED,
    ReplicationSettings,
    Target,
)

logger = logging.getLogger("reduct_local")

MAX_RECORDS = 85
"""A server with default limits takes no larger batch, whatever this one is told to send."""

MAX_HEAD = 400_000
"""Bytes of record headers in a batch: servers refuse request heads above 512,000."""

CLOSING_S = 2.0
"""How long the end of the server waits for a batch that is being sent."""


@dataclass(slots=True)
class _Candidate:
    """A change as conditions see it."""

    timestamp: int
    labels: dict[str, str]
    kind: str


@dataclass(slots=True)
class _Batch:
    """What is sent of one entry: its changes up to the number `last`, and their records."""

    last: int
    changes: list[Transaction]
    writes: dict[int, Record]
    updates: dict[int, Record]


class Replication:
    """One replication task; used in the event loop of the server only.

    Args:
        name: its name.
        settings: checked settings.
        engine: where records and the queue are.
        clock: decides when an unavailable destination is tried again.
        limits: limits of batches.
        log_size: how many changes of one entry may wait.
        retry_seconds: how long an unavailable destination is left alone.
    """

    def __init__(
        self,
        name: str,
        settings: ReplicationSettings,
        engine: Engine,
        clock: Clock,
        *,
        limits: IoLimits,
        log_size: int,
        retry_seconds: float,
    ) -> None:
        self.name = name
        self._engine = engine
        self._clock = clock
        self._limits = limits
        self._retry_us = round(retry_seconds * 1_000_000)
        self._queue = Queue(engine, name, log_size)
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._sending = asyncio.Lock()
        self._worker: asyncio.Task[None] | None = None
        self._destination: Destination | None = None
        self._adopt(settings)

    def _adopt(self, settings: ReplicationSettings) -> None:
        self.settings = settings
        self._condition: Condition | None = settings.condition()
        self._evaluations: dict[str, Evaluation[_Candidate]] = {}
        self._diagnostics = Diagnostics(self._clock)
        self._active = settings.mode == ENABLED

    # Requests.

    def replace(self, settings: ReplicationSettings) -> None:
        """Go on with other settings; what waits is kept if it comes from the same bucket."""
        if settings.src_bucket != self.settings.src_bucket:
            self._queue.clear()
        self._adopt(settings)
        self._wake_up()

    def set_mode(self, mode: str) -> None:
        """Go on in another mode."""
        self.settings = self.settings.with_mode(mode)
        self._wake_up()

    def _wake_up(self) -> None:
        self._changed.set()
        self._wake.set()

    def info(self) -> dict[str, object]:
        """Return the line of the list of replications."""
        return {
            "name": self.name,
            "mode": self.settings.mode,
            "is_active": self._active and self.settings.mode != DISABLED,
            "is_provisioned": False,
            "pending_records": self._queue.pending,
        }

    def describe(self) -> dict[str, object]:
        """Return info, settings and diagnostics."""
        return {
            "info": self.info(),
            "settings": self.settings.public(),
            "diagnostics": self._diagnostics.to_dict(),
        }

    # Changes.

    def notify(self, change: Change) -> None:
        """Queue a change of a record if the replication is about it."""
        if change.bucket != self.settings.src_bucket or self.settings.mode == DISABLED:
            return
        if not forwards(change.entry, self.settings.entries):
            return
        for timestamp, kind in self._selected(change):
            if not self._queue.add(change.entry, timestamp, kind):
                logger.error(
                    "replication %r: the queue of entry %r is full, its oldest change is lost",
                    self.name,
                    change.entry,
                )
        self._wake.set()

    def _selected(self, change: Change) -> list[tuple[int, str]]:
        """Return time and kind of the changes that `when` selects now that it saw this one."""
        if self._condition is None or names.is_meta(change.entry):
            return [(change.timestamp, change.kind)]
        evaluation = self._evaluations.get(change.entry)
        if evaluation is None:
            evaluation = self._evaluations[change.entry] = self._condition.start(strict=True)
        try:
            record = self._engine.read(change.bucket, change.entry, change.timestamp)
            candidate = _Candidate(change.timestamp, record.labels, change.kind)
            selected = evaluation.select(candidate)
        except ApiError as error:
            logger.warning(
                "replication %r: a record of entry %r is left out: %s",
                self.name,
                change.entry,
                error.message,
            )
            return []
        return [(candidate.timestamp, candidate.kind) for candidate in selected or ()]

    # Work.

    def start(self) -> None:
        """Begin to send; in the event loop of the server."""
        self._wake.set()
        self._worker = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """End the work; a batch that is being sent gets a moment to arrive."""
        worker = self._worker
        if worker is None:
            return
        try:
            # Half a batch would stay unfinished at the destination and could not be repeated.
            await asyncio.wait_for(self._sending.acquire(), CLOSING_S)
        except TimeoutError:
            pass
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        self._worker = None
        await self._use(None)

    def forget(self) -> None:
        """Remove what waits; for a task that is closed for good."""
        self._queue.clear()

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            self._changed.clear()
            mode = self.settings.mode
            try:
                if mode == ENABLED:
                    await self._send_all()
                elif mode == PAUSED:
                    await self._connect(self.settings.target)
            except UnavailableError as error:
                self._active = False
                logger.warning("replication %r cannot go on: %s", self.name, error.error.message)
                await self._wait_for_retry()
            except Exception:
                # Trouble of this server, such as a full disk, which may end.
                self._active = False
                logger.exception("replication %r failed", self.name)
                await self._wait_for_retry()
            else:
                self._active = mode != DISABLED
                await self._wake.wait()

    async def _wait_for_retry(self) -> None:
        """Return when the destination may be tried again, or the settings changed."""
        retry_at = self._clock.now_us() + self._retry_us
        waits = [
            asyncio.create_task(self._clock.sleep_until(retry_at)),
            asyncio.create_task(self._changed.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _send_all(self) -> None:
        """Send what waits, in turns one batch of each entry, until nothing does."""
        while self._queue.pending and self.settings.mode == ENABLED:
            for entry in self._queue.entries():
                await self._send_batch(entry)

    async def _send_batch(self, entry: str) -> None:
        batch = self._prepare(entry)
        failed: dict[int, ApiError] = {}
        async with self._sending:
            try:
                destination = await self._connect(self.settings.target)
                failed = await self._deliver(destination, entry, batch)
            except UnavailableError as error:
                self._diagnostics.count_error(error.error, len(batch.changes))
                await self._use(None)
                raise
            except VanishedError:
                # Not a fault of the destination: the rest of the batch is sent at once.
                return
            except ApiError as error:
                failed = {change.timestamp: error for change in batch.changes}
        self._queue.done(entry, batch.last)
        for change in batch.changes:
            error_of_record = failed.get(change.timestamp)
            if error_of_record is None:
                self._diagnostics.count_ok(1)
            else:
                self._diagnostics.count_error(error_of_record)

    def _prepare(self, entry: str) -> _Batch:
        """Return the next batch of an entry; counts the records that cannot be sent at all."""
        max_records, max_size = self._batch_limits()
        batch = _Batch(0, [], {}, {})
        size = head_size = 0
        for change in self._queue.front(entry, max_records):
            try:
                record = self._engine.read(self.settings.src_bucket, entry, change.timestamp)
                head_size += sum(map(len, head(record)))
            except ApiError as error:
                self._diagnostics.count_error(error)
                batch.last = change.number
                continue
            if batch.changes and (head_size > MAX_HEAD or size >= max_size):
                break
            size += record.size
            batch.last = change.number
            batch.changes.append(change)
            if change.kind == "write":
                batch.writes[change.timestamp] = record
            else:
                batch.updates[change.timestamp] = record
        return batch

    def _batch_limits(self) -> tuple[int, int]:
        """Return how many records and bytes a batch may have."""
        records, size = self._limits.batch_max_records, self._limits.batch_max_size
        if self._condition is not None:
            directives = self._condition.directives
            if directives.batch_max_records is not None:
                records = directives.batch_max_records
            if directives.batch_max_size is not None:
                size = directives.batch_max_size
        return max(1, min(records, MAX_RECORDS)), size

    async def _deliver(
        self, destination: Destination, entry: str, batch: _Batch
    ) -> dict[int, ApiError]:
        """Send a batch and return what failed, by timestamp."""
        target_entry = destination_entry(self.settings.dst_prefix, entry)
        writes = dict(batch.writes)
        # A record that is written in this batch has its newest labels already.
        updates = [record for time, record in batch.updates.items() if time not in writes]
        if updates:
            failed = await destination.update(target_entry, updates)
            # Records that the destination does not have yet are written as a whole.
            again = [record for record in updates if record.timestamp in failed]
            writes.update((record.timestamp, record) for record in again)
        return await destination.write(target_entry, list(writes.values())) if writes else {}

    async def _connect(self, target: Target) -> Destination:
        """Return the open destination of these settings."""
        if self._destination is not None and self._destination.target == target:
            return self._destination
        destination = Destination(target, self._engine.content)
        await self._use(destination)
        try:
            await destination.open()
        except BaseException:
            await self._use(None)
            raise
        return destination

    async def _use(self, destination: Destination | None) -> None:
        """Put a destination, or none, in the place of the present one, which is closed."""
        old, self._destination = self._destination, destination
        if old is not None:
            await old.close()


def forwards(entry: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether patterns select an entry for replication; no pattern selects every one.

    Other than in queries, a pattern for an entry means its attachments too.
    """
    alike = [entry]
    if names.is_meta(entry):
        alike.append(entry.removesuffix("$meta").removesuffix("/"))
    included = [pattern for pattern in patterns if not names.is_exclusion(pattern)]
    excluded = [pattern[1:] for pattern in patterns if names.is_exclusion(pattern)]
    return (not included or _any_matches(alike, included)) and not _any_matches(alike, excluded)


def _any_matches(entries: list[str], patterns: list[str]) -> bool:
    return any(names.matches(entry, pattern) for entry in entries for pattern in patterns)


def destination_entry(prefix: str, entry: str) -> str:
    """Return the name of an entry at the destination."""
    prefix = prefix.strip("/")
    return f"{prefix}/{entry}" if prefix else entry
