"""Writers: records go into batches, and batches to the server, while the user goes on."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from reduct_core import writes
from reduct_core.errors import ReductError
from reduct_core.labels import LabelValue
from reduct_core.lanes import WriterSettings
from reduct_core.times import TimestampLike
from reduct_core.write_report import FailedRecord, OnError, WriteReport
from reduct_core.writer import Collector, Parcel, Rest
from reduct_core.writes import Call

from ._flavour import Crew, Event, make_lock, sleep, wait
from ._io import Io
from ._write import attempt


class Writer:
    """Takes single records and writes them in batches; made by ``Bucket.writer``.

    To be used once, as a context manager; `write` and `flush` may be called from several
    places at the same time. What becomes of each record is in `report`.
    """

    def __init__(self, io: Io, bucket: str, settings: WriterSettings, on_error: OnError | None):
        self._io = io
        self._collector: Collector[Event] = Collector(bucket, settings, Event)
        self._on_error = on_error
        self._turn = make_lock()
        self._crew = Crew()

    @property
    def report(self) -> WriteReport:
        """What became of the records up to now: stored, failed, not sent, pending."""
        return self._collector.report()

    async def write(
        self,
        entry_name: str,
        data: Any,
        timestamp: TimestampLike | None = None,
        *,
        labels: Mapping[str, LabelValue] | None = None,
        content_type: str | None = None,
    ) -> None:
        """Accept a record; waits only while the writer holds as much as it may.

        Args:
            entry_name: exact name of the entry; it is created if it does not exist.
            data: bytes-like, or str stored as UTF-8.
            timestamp: time of the record; None is now, and never the same twice.
            labels: names and values (str, bool, int, float).
            content_type: type of the payload, ``application/octet-stream`` if None.

        Raises:
            ValueError: the entry and timestamp were given before (``on_duplicate``).
            WriteError: an error ended the writer, e.g. the connection was lost.
        """
        collector = self._collector
        us = self._io.session.now() if timestamp is None else timestamp
        item = collector.item(entry_name, us, data, content_type, labels)
        while (space := collector.add(entry_name, item, time.monotonic())) is not None:
            self._staff()
            await space.wait()
        if collector.has_news():
            self._staff()
            # Lets the others work, where the user's own loop never waits.
            await sleep(0)

    async def flush(self) -> None:
        """Send everything accepted before; return when the server has stored it.

        Raises:
            WriteError: records failed since the last exception of this kind, and there is no
                ``on_error`` to take them.
        """
        await self._drain()
        error = self._collector.trouble()
        if error is not None:
            raise error

    async def __aenter__(self) -> Self:
        self._collector.open()
        await self._crew.enter()
        self._crew.start(self._work)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leaving = exc
        try:
            if exc is None or isinstance(exc, Exception):
                await self._drain()
        except BaseException as interruption:
            leaving = interruption
            raise
        finally:
            await self._close(leaving)
        error = self._collector.trouble()
        if exc is None and error is not None:
            raise error

    async def _drain(self) -> None:
        """Wait until everything accepted is stored or has failed."""
        done = self._collector.flush(time.monotonic())
        if done is not None:
            self._staff()
            await done.wait()

    async def _close(self, leaving: BaseException | None) -> None:
        """End the workers; an exception that `leaving` the block means tells what is not stored."""
        in_time = leaving is None or isinstance(leaving, Exception)
        self._collector.close()
        try:
            await self._crew.leave(None if in_time else writes.FINISH_SECONDS)
        finally:
            self._collector.finish()
            if leaving is not None and self._collector.has_losses():
                leaving.add_note(f"The writer was left, its report says: {self.report}.")

    # --- workers ---------------------------------------------------------------------------

    def _staff(self) -> None:
        if self._collector.hire():
            self._crew.start(self._work)

    async def _work(self) -> None:
        while (task := self._collector.take(time.monotonic())) is not None:
            if isinstance(task, Rest):
                await wait(task.signal, task.seconds)
                self._collector.wake(task)
                continue
            self._staff()
            try:
                await self._send(task)
            except Exception as error:
                # What `on_error` raised, or a defect: the user gets it as it is.
                self._collector.end(error)
            finally:
                self._collector.release(task, time.monotonic())

    async def _send(self, parcel: Parcel) -> None:
        while (call := self._collector.begin(parcel)) is not None:
            failed = await self._outcome(call)
            handled = 0
            try:
                if failed and self._on_error is not None:
                    async with self._turn:
                        for record in failed:
                            handled += 1
                            self._on_error(record)
            finally:
                self._collector.settle(parcel, failed, handled)

    async def _outcome(self, call: Call) -> Sequence[FailedRecord]:
        try:
            found = await attempt(self._io, call)
        except ReductError as error:
            found = self._collector.refused(call, error)
        return self._collector.failures(call, found)
