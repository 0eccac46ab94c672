"""What this flavour does in its own way; the other one has the same names.

Everything else is the same in both flavours, and held so by a test.
"""

import contextvars
import math
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, BinaryIO, TypeAlias, TypeVar

import httpx

from reduct_core.payload import READ_BYTES, not_a_payload

T = TypeVar("T")

Stream: TypeAlias = Generator[T, None, None]
"""An iterator that can be closed."""

Source: TypeAlias = Iterable[T]
"""What this flavour can iterate over."""

BaseTransport: TypeAlias = httpx.BaseTransport

_NAP_SECONDS = 1.0
"""How long a wait goes without a look at signals.

Python takes note of Ctrl-C when a wait ends; one that comes at the moment a wait begins does
not end it.
"""


def _naps(seconds: float) -> Iterator[float]:
    """Yield short times until `seconds` are over; at least one."""
    deadline = time.monotonic() + seconds
    left = seconds
    while left > _NAP_SECONDS:
        yield _NAP_SECONDS
        left = deadline - time.monotonic()
    yield max(left, 0.0)


class _Event(threading.Event):
    """An event; Ctrl-C ends a wait for it."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, at most `timeout` seconds if given; tell whether it is."""
        naps = _naps(math.inf if timeout is None else timeout)
        return any(super(_Event, self).wait(nap) for nap in naps)


def _sleep(seconds: float) -> None:
    """Wait; Ctrl-C ends it."""
    for nap in _naps(seconds):
        time.sleep(nap)


Event = _Event

sleep = _sleep


def suits_own_transport() -> bool:
    """Tell whether this package's transport works here: everywhere."""
    return True


def make_stock_transport(
    context: ssl.SSLContext, limits: httpx.Limits, proxy: str | None
) -> BaseTransport:
    """Return httpx's own transport."""
    return httpx.HTTPTransport(verify=context, limits=limits, proxy=proxy)


def check_transport(transport: object) -> None:
    """Raise TypeError for a transport of another kind."""
    if transport is not None and not isinstance(transport, httpx.BaseTransport):
        raise TypeError(f"transport must be an httpx.BaseTransport, not {type(transport).__name__}")


class Home:
    """Where a client was first used; a blocking one is at home in every thread."""

    def is_here(self) -> bool:
        """Tell whether the client may be used here."""
        return True

    def enter(self) -> None:
        """Make this the home."""


def wait(event: Event, seconds: float | None) -> bool:
    """Wait until `event` is set, at most `seconds` if given; tell whether it is."""
    return event.wait(seconds)


def make_lock() -> threading.Lock:
    """Return a lock for the one who runs a generator."""
    return threading.Lock()


def close_idle(generator: Stream[Any], turn: threading.Lock) -> None:
    """Close a generator, unless somebody runs it at the moment: then it is theirs to end."""
    if not turn.acquire(blocking=False):
        return
    try:
        generator.close()
    finally:
        turn.release()


def finished(work: Callable[[], T], seconds: float) -> T:
    """Return the result of `work`; a blocking call cannot be cancelled."""
    return work()


def open_file(path: Any) -> BinaryIO:
    """Open a file to be read."""
    return open(path, "rb")


def read_file(file: Any) -> Iterator[bytes]:
    """Yield the rest of an open file."""
    while chunk := file.read(READ_BYTES):
        yield chunk


def each(data: Any) -> Iterator[Any]:
    """Yield the items of an iterable."""
    return iter(data)


def is_file(data: Any) -> bool:
    """Tell whether `data` is an open file, and no asynchronous one."""
    return hasattr(data, "read") and not hasattr(data, "__aiter__")


def check_iterable(data: Any) -> None:
    """Raise TypeError for what is not iterable without an event loop."""
    if hasattr(data, "__aiter__"):
        raise TypeError("data is an asynchronous iterator; reduct_async takes it, or a plain one")
    if not hasattr(data, "__iter__"):
        raise not_a_payload(data)


def disk(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function that waits for a disk."""
    return function(*arguments)


def side_by_side(work: Callable[[], None], count: int) -> None:
    """Run `work`, which raises nothing, so many times at once; return when all have ended."""
    crew = Crew()
    for _ in range(count):
        crew.start(work)
    crew.leave(None)


class Crew:
    """Work that goes on beside its user, in threads that do not keep a program from ending."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def enter(self) -> None:
        """Begin; `leave` must follow."""

    def start(self, work: Callable[[], None]) -> None:
        """Run `work`, which raises nothing; it sees which gates its user holds."""
        run = contextvars.copy_context().run
        thread = threading.Thread(target=run, args=(work,), daemon=True, name="reduct-worker")
        thread.start()
        self._threads.append(thread)

    def leave(self, seconds: float | None) -> None:
        """Wait until all work has ended, though at most so many seconds if given."""
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        for thread in self._threads:
            for nap in _naps(deadline - time.monotonic()):
                thread.join(nap)
                if not thread.is_alive():
                    break
