"""Replications: tasks that forward new records and changed labels to a bucket of another server."""

import asyncio
import logging
from typing import Any

from reduct_local.clock import Clock
from reduct_local.engine import Change, Engine
from reduct_local.errors import ApiError
from reduct_local.queries import IoLimits
from reduct_local.replication.settings import ReplicationSettings
from reduct_local.replication.task import Replication

logger = logging.getLogger("reduct_local")

LOG_SIZE = 1_000_000
"""How many changes of one entry wait for an unavailable destination; the oldest are dropped."""

RETRY_SECONDS = 5.0
"""How long an unavailable destination is left alone."""

_KIND = "replication"


class Replications:
    """All replications of one server: their settings, queues and workers.

    Settings and queues are documents of the engine, so work goes on after a restart. Everything
    is called in the event loop that serves the requests.

    Args:
        engine: where records, settings and queues are.
        clock: decides when an unavailable destination is tried again.
        limits: limits of the batches that are sent.
        log_size: how many changes of one entry may wait.
        retry_seconds: how long an unavailable destination is left alone.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        *,
        limits: IoLimits | None = None,
        log_size: int = LOG_SIZE,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._limits = limits or IoLimits()
        self._log_size = log_size
        self._retry_seconds = retry_seconds
        self._tasks: dict[str, Replication] = {}

    def start(self) -> None:
        """Begin to forward: what waited since the last run, then every new change."""
        documents: dict[str, dict[str, Any]] = self._engine.documents(_KIND)
        for name, document in documents.items():
            settings = ReplicationSettings.parse(document)
            try:
                self._check_source(name, settings)
            except ApiError as error:
                # As in the real server; nothing could be forwarded any more.
                logger.warning("replication %r is dropped: %s", name, error.message)
                self._engine.delete_document(_KIND, name)
            else:
                self._run(name, settings)
        self._engine.listeners.append(self._on_change)

    async def close(self) -> None:
        """End the workers; what they have not forwarded stays in the queues."""
        if self._on_change in self._engine.listeners:
            self._engine.listeners.remove(self._on_change)
        await asyncio.gather(*(task.close() for task in self._tasks.values()))
        self._tasks.clear()

    def infos(self) -> list[dict[str, object]]:
        """Return the infos of all replications, by name."""
        return [self._tasks[name].info() for name in sorted(self._tasks)]

    def describe(self, name: str) -> dict[str, object]:
        """Return info, settings and diagnostics of one; 404 if it does not exist."""
        return self._task(name).describe()

    def create(self, name: str, settings: ReplicationSettings, *, own_port: int) -> None:
        """Create a replication; 409 if it exists, 404 without source bucket, 422.

        `own_port` is the port of this server: a bucket must not be its own destination.
        """
        if name in self._tasks:
            raise ApiError(409, f"Replication '{name}' already exists")
        self._check(name, settings, own_port)
        self._store(name, settings)
        self._run(name, settings)

    def update(self, name: str, settings: ReplicationSettings, *, own_port: int) -> None:
        """Replace all settings of a replication but an omitted token; 404, 422."""
        task = self._task(name)
        self._check(name, settings, own_port)
        if settings.target.token is None:
            settings = settings.with_token(task.settings.target.token)
        self._store(name, settings)
        task.replace(settings)

    def set_mode(self, name: str, mode: str) -> None:
        """Change the mode only; 404."""
        task = self._task(name)
        self._store(name, task.settings.with_mode(mode))
        task.set_mode(mode)

    async def remove(self, name: str) -> None:
        """Remove a replication and its queue, after the batch that is being sent; 404."""
        task = self._task(name)
        await task.close()
        # Another request may have removed it meanwhile.
        if self._task(name) is task:
            del self._tasks[name]
            self._engine.delete_document(_KIND, name)
            task.forget()

    def _task(self, name: str) -> Replication:
        task = self._tasks.get(name)
        if task is None:
            raise ApiError(404, f"Replication '{name}' does not exist")
        return task

    def _check(self, name: str, settings: ReplicationSettings, own_port: int) -> None:
        settings.check_address()
        self._check_source(name, settings)
        settings.refuse_own_bucket(own_port)
        settings.condition()

    def _check_source(self, name: str, settings: ReplicationSettings) -> None:
        try:
            self._engine.check_bucket(settings.src_bucket)
        except ApiError:
            raise ApiError(
                404,
                f"Source bucket '{settings.src_bucket}' for replication '{name}' does not exist",
            ) from None

    def _store(self, name: str, settings: ReplicationSettings) -> None:
        self._engine.put_document(_KIND, name, settings.to_dict())

    def _run(self, name: str, settings: ReplicationSettings) -> None:
        task = Replication(
            name,
            settings,
            self._engine,
            self._clock,
            limits=self._limits,
            log_size=self._log_size,
            retry_seconds=self._retry_seconds,
        )
        self._tasks[name] = task
        task.start()

    def _on_change(self, change: Change) -> None:
        for task in self._tasks.values():
            task.notify(change)
