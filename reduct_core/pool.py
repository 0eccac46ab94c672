"""The books of a pool of connections; performs no I/O.

Connections are kept and used again last in, first out; who finds no room waits in a queue,
first come, first served. May be used from several threads.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import httpx
from attrs import define

from .messages import Origin


class Connection(Protocol):
    """What the pool asks of a connection."""

    def is_stale(self) -> bool:
        """Tell whether an idle connection can no longer be used."""
        ...


class Signal(Protocol):
    """What wakes one who waits: an event of threading or anyio."""

    def set(self) -> object:
        """Wake who waits."""
        ...


C = TypeVar("C", bound=Connection)
E = TypeVar("E", bound=Signal)


@define(eq=False)
class Place(Generic[C, E]):
    """The place of one exchange: in the queue, then in the pool."""

    origin: Origin
    signal: E | None = None
    """What to wait for; None if the place was there at once."""
    granted: bool = False
    connection: C | None = None
    """An idle connection to `freshen`; None where a new one is to be opened, and kept here."""


@define(eq=False)
class _Idle(Generic[C]):
    origin: Origin
    connection: C
    since: float


class Pool(Generic[C, E]):
    """Who has which connection. Methods return the connections that are to be closed now."""

    def __init__(
        self,
        limits: httpx.Limits,
        make_signal: Callable[[], E],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._most = _endless(limits.max_connections)
        self._most_idle = _endless(limits.max_keepalive_connections)
        self._expiry = _endless(limits.keepalive_expiry)
        self._make_signal = make_signal
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = False
        self._active: set[Place[C, E]] = set()
        self._queue: deque[Place[C, E]] = deque()
        self._idle: list[_Idle[C]] = []

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many connections are in use, how many are idle, and how many exchanges wait."""
        with self._lock:
            return len(self._active), len(self._idle), len(self._queue)

    def enter(self, origin: Origin) -> tuple[Place[C, E], list[C]]:
        """Return a place, to be left in any case; if it has a signal, that comes first.

        Raises httpx.ConnectError if the pool is closed.
        """
        place: Place[C, E] = Place(origin)
        with self._lock:
            if self._closed:
                raise httpx.ConnectError("the transport is closed")
            discarded = self._expired()
            if self._queue or not self._grant(place, discarded):
                place.signal = self._make_signal()
                self._queue.append(place)
        return place, discarded

    def enter_idle(self, origin: Origin) -> Place[C, E] | None:
        """Return a place with an idle connection, or None if there is none to spare.

        Half of the connections are never given away so: who holds one may wait for others.
        """
        place: Place[C, E] = Place(origin)
        with self._lock:
            if self._closed or self._queue or 2 * len(self._active) + 2 > self._most:
                return None
            place.connection = self._take_idle(origin)
            if place.connection is None:
                return None
            place.granted = True
            self._active.add(place)
        return place

    def freshen(self, place: Place[C, E]) -> list[C]:
        """Replace the connection of a granted place while it is stale, at last by None.

        Not done under the lock: to look is a system call, for which other threads would wait.
        """
        discarded: list[C] = []
        while place.connection is not None and place.connection.is_stale():
            discarded.append(place.connection)
            with self._lock:
                place.connection = self._take_idle(place.origin)
        return discarded

    def leave(self, place: Place[C, E], *, keep: bool = False) -> list[C]:
        """Give a place back; its connection is kept for the next one if `keep` says so."""
        with self._lock:
            if not place.granted:
                if place in self._queue:
                    self._queue.remove(place)
                return []
            if place not in self._active:
                return []
            self._active.remove(place)
            discarded: list[C] = []
            if place.connection is not None:
                if keep and not self._closed and self._most_idle > 0:
                    self._idle.append(_Idle(place.origin, place.connection, self._clock()))
                    if len(self._idle) > self._most_idle:
                        discarded.append(self._idle.pop(0).connection)
                else:
                    discarded.append(place.connection)
            while self._queue and self._grant(self._queue[0], discarded):
                self._wake(self._queue.popleft())
        return discarded

    def close(self) -> tuple[list[C], list[C]]:
        """Refuse everybody from now on; return the idle connections and those in use."""
        with self._lock:
            self._closed = True
            idle = [one.connection for one in self._idle]
            self._idle.clear()
            used = [place.connection for place in self._active if place.connection is not None]
            while self._queue:
                self._wake(self._queue.popleft())
        return idle, used

    def check_open(self, place: Place[C, E]) -> None:
        """Raise httpx.ConnectError if the pool was closed before `place` was granted, or since."""
        if self._closed:
            raise httpx.ConnectError("the transport is closed")

    def _wake(self, place: Place[C, E]) -> None:
        assert place.signal is not None
        place.signal.set()

    def _grant(self, place: Place[C, E], discarded: list[C]) -> bool:
        """Give `place` an idle connection, or the room for a new one, if there is any."""
        found = self._take_idle(place.origin)
        if found is None and len(self._active) + len(self._idle) >= self._most:
            if not self._idle:
                return False
            discarded.append(self._idle.pop(0).connection)
        place.connection, place.granted = found, True
        self._active.add(place)
        return True

    def _take_idle(self, origin: Origin) -> C | None:
        for index in range(len(self._idle) - 1, -1, -1):
            if self._idle[index].origin == origin:
                return self._idle.pop(index).connection
        return None

    def _expired(self) -> list[C]:
        """Take out what was idle for too long; the oldest come first."""
        limit = self._clock() - self._expiry
        count = 0
        while count < len(self._idle) and self._idle[count].since < limit:
            count += 1
        expired = [one.connection for one in self._idle[:count]]
        del self._idle[:count]
        return expired


def _endless(limit: float | None) -> float:
    return float("inf") if limit is None else limit
