"""Lifecycle policies: tasks that remove old records in intervals."""

import asyncio
import itertools
import logging
from typing import Any

from reduct_local import names
from reduct_local.clock import Clock
from reduct_local.conditions import Evaluation
from reduct_local.engine import Engine, Record
from reduct_local.errors import ApiError
from reduct_local.lifecycle_settings import DELETE, DISABLED, ENABLED, LifecycleSettings
from reduct_local.token_model import format_time

logger = logging.getLogger("reduct_local")

CHUNK = 1_000
"""After so many records other requests get their turn."""

_KIND = "lifecycle"


class Policy:
    """One policy at work; used in the event loop of the server only.

    Args:
        name: its name.
        settings: checked settings.
        engine: where the records are.
        clock: decides when it runs, and what is old.
        processed_us: the end of the data that earlier runs handled, None before the first.
    """

    def __init__(
        self,
        name: str,
        settings: LifecycleSettings,
        engine: Engine,
        clock: Clock,
        processed_us: int | None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.processed_us = processed_us
        self._engine = engine
        self._clock = clock
        self._last_run_us: int | None = None
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to run, for the first time one interval from now."""
        # Not left to the worker: the clock may be moved before it begins.
        first_us = self._clock.now_us() + self.settings.interval_us
        self._worker = asyncio.get_running_loop().create_task(self._work(first_us))

    def stop(self) -> None:
        """End the work; nothing is removed or stored from now on."""
        if self._worker is not None:
            self._worker.cancel()

    async def close(self) -> None:
        """End the work and wait until it has ended."""
        self.stop()
        if self._worker is not None:
            await asyncio.gather(self._worker, return_exceptions=True)

    def info(self) -> dict[str, object]:
        """Return the line of the list of policies."""
        last_run = self._last_run_us
        return {
            "name": self.name,
            "is_provisioned": False,
            "is_running": self._worker is not None,
            "type": self.settings.type,
            "mode": self.settings.mode,
            "last_run": None if last_run is None else format_time(last_run),
        }

    def describe(self) -> dict[str, object]:
        """Return info and settings."""
        return {"info": self.info(), "settings": self.settings.to_dict()}

    def to_document(self) -> dict[str, object]:
        """Return what is kept in the engine."""
        return {"settings": self.settings.to_dict(), "processed_us": self.processed_us}

    async def _work(self, due_us: int) -> None:
        while True:
            await self._clock.sleep_until(due_us)
            due_us = self._clock.now_us() + self.settings.interval_us
            if self.settings.mode != DISABLED:
                await self._run()

    async def _run(self) -> None:
        begun_us = self._clock.now_us()
        # Contents are never compressed here, so there is nothing to do for `compress`.
        if self.settings.type == DELETE and self.settings.mode == ENABLED:
            try:
                await self._remove_old_records()
            except ApiError as error:
                # A bucket or entry that is being removed; the next run looks again.
                logger.warning("lifecycle %r failed: %s", self.name, error.message)
            except Exception:
                # Trouble of this server, such as a full disk, which may end.
                logger.exception("lifecycle %r failed", self.name)
        # Shown last: who waits for a run to be over looks at this.
        self._last_run_us = begun_us

    async def _remove_old_records(self) -> None:
        """Handle the next span of data, and further ones as long as nothing was to remove.

        A span ends a certain time after the last one did. The first of a run begins with the
        oldest record, for the sake of late ones.
        """
        cutoff_us = max(0, self._clock.now_us() - self.settings.older_than_us) + 1
        entries = self._entries()
        start = self._first_time(entries, 0, cutoff_us)
        if start is None:
            return
        if self.processed_us is None:
            self.processed_us = start
        removed = 0
        while not removed and start < cutoff_us:
            stop = self._span_end(entries, self.processed_us, cutoff_us)
            for entry in entries:
                removed += await self._remove(entry, start, stop)
            self.processed_us = start = stop
            self._engine.put_document(_KIND, self.name, self.to_document())

    def _entries(self) -> list[str]:
        """Return the entries that the policy is about; never attachments."""
        bucket = self.settings.bucket
        selected = names.select(self._engine.entry_names(bucket), self.settings.entries)
        return [entry for entry in selected if not names.is_meta(entry)]

    def _span_end(self, entries: list[str], processed_us: int, cutoff_us: int) -> int:
        """Return where the next span with a record ends, at the latest at the cutoff."""
        following = self._first_time(entries, processed_us, cutoff_us)
        if following is None:
            return cutoff_us
        size = self.settings.data_per_run_us
        spans = (following - processed_us) // size + 1
        return min(processed_us + spans * size, cutoff_us)

    def _first_time(self, entries: list[str], start: int, stop: int) -> int | None:
        """Return the time of the first record in a range, over all entries."""
        bucket = self.settings.bucket
        firsts = (next(self._engine.scan(bucket, entry, start, stop), None) for entry in entries)
        return min((record.timestamp for record in firsts if record is not None), default=None)

    async def _remove(self, entry: str, start: int, stop: int) -> int:
        """Remove the records of an entry in a range that `when` selects; return how many."""
        condition = self.settings.condition()
        evaluation: Evaluation[Record] | None = None if condition is None else condition.start()
        records = self._engine.scan(self.settings.bucket, entry, start, stop)
        removed = 0
        while chunk := list(itertools.islice(records, CHUNK)):
            timestamps, ended = _selected(chunk, evaluation)
            failed = self._engine.remove_records(self.settings.bucket, entry, timestamps)
            removed += len(timestamps) - len(failed)
            if ended:
                break
            await asyncio.sleep(0)
        return removed


def _selected(
    records: list[Record], evaluation: Evaluation[Record] | None
) -> tuple[list[int], bool]:
    """Return the times of the records that a condition selects, and whether it ended."""
    if evaluation is None:
        return [record.timestamp for record in records], False
    timestamps: list[int] = []
    for record in records:
        selected = evaluation.select(record)
        if selected is None:
            return timestamps, True
        timestamps += [item.timestamp for item in selected]
    return timestamps, False


class Lifecycles:
    """All lifecycle policies of one server.

    Settings are documents of the engine. Everything is called in the event loop that serves the
    requests; the clock decides when a policy runs.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._policies: dict[str, Policy] = {}

    def start(self) -> None:
        """Begin to run policies, each for the first time one interval from now."""
        documents: dict[str, dict[str, Any]] = self._engine.documents(_KIND)
        for name, document in documents.items():
            settings = LifecycleSettings.parse(document["settings"])
            try:
                self._check_bucket(name, settings)
            except ApiError as error:
                # As in the real server; there is nothing left to handle.
                logger.warning("lifecycle %r is dropped: %s", name, error.message)
                self._engine.delete_document(_KIND, name)
            else:
                self._run(name, settings, document["processed_us"])

    async def close(self) -> None:
        """End all policies' work."""
        await asyncio.gather(*(policy.close() for policy in self._policies.values()))
        self._policies.clear()

    def infos(self) -> list[dict[str, object]]:
        """Return the infos of all policies, by name."""
        return [self._policies[name].info() for name in sorted(self._policies)]

    def describe(self, name: str) -> dict[str, object]:
        """Return info and settings of one; 404 if it does not exist."""
        return self._policy(name).describe()

    def create(self, name: str, settings: LifecycleSettings) -> None:
        """Create a policy; 409 if it exists, 404 without bucket, 422."""
        if name in self._policies:
            raise ApiError(409, f"Lifecycle '{name}' already exists")
        self._check(name, settings)
        self._run(name, settings, None)
        self._store(name)

    def update(self, name: str, settings: LifecycleSettings) -> None:
        """Replace all settings of a policy; 404, 422. It runs next one interval from now."""
        policy = self._policy(name)
        self._check(name, settings)
        policy.stop()
        self._run(name, settings, policy.processed_us)
        self._store(name)

    def set_mode(self, name: str, mode: str) -> None:
        """Change the mode only; 404."""
        policy = self._policy(name)
        policy.settings = policy.settings.with_mode(mode)
        self._store(name)

    def remove(self, name: str) -> None:
        """Remove a policy; 404."""
        policy = self._policy(name)
        policy.stop()
        del self._policies[name]
        self._engine.delete_document(_KIND, name)

    def _policy(self, name: str) -> Policy:
        policy = self._policies.get(name)
        if policy is None:
            raise ApiError(404, f"Lifecycle '{name}' does not exist")
        return policy

    def _check(self, name: str, settings: LifecycleSettings) -> None:
        self._check_bucket(name, settings)
        settings.check()

    def _check_bucket(self, name: str, settings: LifecycleSettings) -> None:
        try:
            self._engine.check_bucket(settings.bucket)
        except ApiError:
            raise ApiError(
                404, f"Bucket '{settings.bucket}' for lifecycle '{name}' does not exist"
            ) from None

    def _store(self, name: str) -> None:
        self._engine.put_document(_KIND, name, self._policies[name].to_document())

    def _run(self, name: str, settings: LifecycleSettings, processed_us: int | None) -> None:
        policy = Policy(name, settings, self._engine, self._clock, processed_us)
        self._policies[name] = policy
        policy.start()
