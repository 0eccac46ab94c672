"""The clock of a server: what time it is, for lifecycles, tokens, links and queries."""

import asyncio
import threading
import time
from asyncio import AbstractEventLoop, Future

LONGEST_SLEEP_S = 60.0
"""The clock of a machine may be set: after this long a sleeper looks at it again."""


class Clock:
    """The clock of this machine."""

    def now_us(self) -> int:
        """Return the time in Unix microseconds (UTC)."""
        return time.time_ns() // 1000

    async def sleep_until(self, us: int) -> None:
        """Return when this clock shows `us` (Unix microseconds) or later."""
        while (left := us - self.now_us()) > 0:
            await asyncio.sleep(min(left / 1_000_000, LONGEST_SLEEP_S))


class ManualClock(Clock):
    """A clock that stands still until it is told to move, so that tests need not wait.

    Args:
        now_us: the first time, in Unix microseconds; the machine's present time by default.
    """

    def __init__(self, now_us: int | None = None) -> None:
        self._now_us = super().now_us() if now_us is None else now_us
        self._sleepers: list[tuple[int, AbstractEventLoop, Future[None]]] = []
        # The clock is moved by another thread than that of the server.
        self._lock = threading.Lock()

    def now_us(self) -> int:
        """Return the time that was set, in Unix microseconds."""
        return self._now_us

    def advance(self, seconds: float) -> None:
        """Move the clock on by `seconds`; it never goes back.

        Raises ValueError for negative seconds.
        """
        if seconds < 0:
            raise ValueError(f"a clock cannot go back: {seconds} s")
        with self._lock:
            self._now_us += round(seconds * 1_000_000)
            due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._now_us]
            self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self._now_us]
        for _, loop, wake in due:
            # A server that was stopped has nobody to wake up.
            if not loop.is_closed():
                loop.call_soon_threadsafe(_end, wake)

    async def sleep_until(self, us: int) -> None:
        """Return when the clock was moved to `us` (Unix microseconds) or beyond."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._now_us >= us:
                return
            wake = loop.create_future()
            self._sleepers.append((us, loop, wake))
        try:
            await wake
        finally:
            with self._lock:
                self._sleepers = [other for other in self._sleepers if other[2] is not wake]


def _end(wake: Future[None]) -> None:
    if not wake.done():
        wake.set_result(None)
