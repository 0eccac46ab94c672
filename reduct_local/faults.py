"""Faults on purpose: answers that are late, wrong or broken, for tests of clients.

    server.faults.status(503, times=2)
    server.faults.reset_after(100, method="GET", path="/api/v1/b/*")
    server.faults.clear()

They act on the bytes of real connections, below the application. All methods may be called from
any thread; a fault holds from the next request on.
"""

import asyncio
import dataclasses
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

_FLUSH_SECONDS = 0.005
_FLUSH_ATTEMPTS = 400


class Cut(Enum):
    """What happens to a connection after some bytes of an answer."""

    RESET = "reset"
    TRUNCATE = "truncate"
    STALL = "stall"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to go wrong with one answer."""

    delay: float = 0.0
    status: int | None = None
    message: str = ""
    cut: Cut | None = None
    cut_after: int = 0


@dataclass(slots=True)
class _Rule:
    plan: Plan
    method: str | None
    path: str
    times: int | None

    def matches(self, method: str, path: str) -> bool:
        return (self.method is None or self.method == method) and fnmatchcase(path, self.path)


class Faults:
    """What goes wrong at a server, until `clear()` or as many times as said.

    Every method takes `method` (such as "GET"; None is all), `path` (a pattern of the whole
    path without the query string, in which `*` stands for anything) and `times` (how many
    requests it hits; None is all). Several faults that match one request act together, a later
    one in place of an earlier one of its kind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self.active = False
        """Whether any fault is set."""

    def delay(
        self,
        seconds: float,
        *,
        method: str | None = None,
        path: str = "*",
        times: int | None = None,
    ) -> None:
        """Begin to work on requests only after some seconds."""
        if seconds < 0:
            raise ValueError(f"a delay cannot be negative: {seconds} s")
        self._add(Plan(delay=seconds), method, path, times)

    def status(
        self,
        status: int,
        message: str = "Injected fault",
        *,
        method: str | None = None,
        path: str = "*",
        times: int | None = None,
    ) -> None:
        """Answer with an error (400 to 599) instead of doing what is asked."""
        if not 400 <= status <= 599:
            raise ValueError(f"not the status of an error: {status}")
        self._add(Plan(status=status, message=message), method, path, times)

    def rate_limit(
        self,
        retry_after: int = 1,
        *,
        method: str | None = None,
        path: str = "*",
        times: int | None = None,
    ) -> None:
        """Answer 429 as the server's own rate limit does, with the seconds to wait."""
        if retry_after < 0:
            raise ValueError(f"cannot wait for {retry_after} s")
        message = f"rate limit for api requests exceeded: retry_after={retry_after}s"
        self._add(Plan(status=429, message=message), method, path, times)

    def reset_after(
        self, size: int, *, method: str | None = None, path: str = "*", times: int | None = None
    ) -> None:
        """Reset the connection after this many bytes of the answer, head included.

        The request is carried out all the same, also with 0.
        """
        self._cut(Cut.RESET, size, method, path, times)

    def truncate_after(
        self, size: int, *, method: str | None = None, path: str = "*", times: int | None = None
    ) -> None:
        """Close the connection in order after this many bytes of the answer, head included."""
        self._cut(Cut.TRUNCATE, size, method, path, times)

    def stall_after(
        self, size: int, *, method: str | None = None, path: str = "*", times: int | None = None
    ) -> None:
        """Send no more after this many bytes of the answer, with the connection left open.

        It stays so, also after `clear()`, until the client or the server closes it.
        """
        self._cut(Cut.STALL, size, method, path, times)

    def clear(self) -> None:
        """End all faults: the next request is answered as it should be."""
        with self._lock:
            self._rules.clear()
            self.active = False

    def _cut(self, cut: Cut, size: int, method: str | None, path: str, times: int | None) -> None:
        if size < 0:
            raise ValueError(f"not a number of bytes: {size}")
        self._add(Plan(cut=cut, cut_after=size), method, path, times)

    def _add(self, plan: Plan, method: str | None, path: str, times: int | None) -> None:
        if times is not None and times < 1:
            raise ValueError(f"times is at least 1, or None for always: {times}")
        with self._lock:
            self._rules.append(_Rule(plan, method and method.upper(), path, times))
            self.active = True

    def take(self, method: str, path: str) -> Plan | None:
        """Return what is to go wrong with this request, counted as one time; None is nothing."""
        with self._lock:
            hit = [rule for rule in self._rules if rule.matches(method, path)]
            for rule in hit:
                if rule.times is not None:
                    rule.times -= 1
            self._rules = [rule for rule in self._rules if rule.times != 0]
            self.active = bool(self._rules)
        if not hit:
            return None
        plan = Plan()
        for rule in hit:
            plan = _together(plan, rule.plan)
        return plan


def _together(first: Plan, second: Plan) -> Plan:
    """Return a plan with the faults of both; of the same kind, the second's."""
    if second.delay:
        return dataclasses.replace(first, delay=second.delay)
    if second.status is not None:
        return dataclasses.replace(first, status=second.status, message=second.message)
    return dataclasses.replace(first, cut=second.cut, cut_after=second.cut_after)


class FaultyTransport:
    """What an answer is written to when its connection is to break.

    Args:
        transport: the connection.
        cut: how it breaks.
        size: after how many bytes.
        on_cut: called when it breaks; nothing is read from the connection any more.
    """

    def __init__(
        self, transport: asyncio.Transport, cut: Cut, size: int, on_cut: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._cut = cut
        self._left = size
        self._on_cut = on_cut
        self._is_cut = False

    def write(self, data: bytes) -> None:
        """Write what is still let through, and break the connection there."""
        if self._is_cut:
            return
        if len(data) < self._left:
            self._left -= len(data)
            self._transport.write(data)
            return
        self._is_cut = True
        if self._left:
            self._transport.write(data[: self._left])
        self._on_cut()
        if self._cut is Cut.TRUNCATE:
            self._transport.close()
        elif self._cut is Cut.RESET:
            self._reset(_FLUSH_ATTEMPTS)

    def _reset(self, attempts: int) -> None:
        """Reset the connection once the bytes before are out, or cannot get out."""
        if self._transport.get_write_buffer_size() and attempts:
            loop = asyncio.get_running_loop()
            loop.call_later(_FLUSH_SECONDS, self._reset, attempts - 1)
            return
        connection: socket.socket = self._transport.get_extra_info("socket")
        # Closing without lingering is what makes it a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def close(self) -> None:
        """Close the connection, unless it was cut."""
        if not self._is_cut:
            self._transport.close()

    def is_closing(self) -> bool:
        """Tell whether the connection is closed or about to be."""
        return self._transport.is_closing()
