"""What this flavour does in its own way; the other one has the same names.

Everything else is the same in both flavours, and held so by a test.
"""

import asyncio
import ssl
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
)
from functools import partial
from typing import Any, BinaryIO, TypeAlias, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx

from reduct_core.errors import NO_ANSWER, ReductError
from reduct_core.payload import READ_BYTES, not_a_payload

T = TypeVar("T")

_DISK_SECONDS = 60.0
"""How long a cancellation waits for one operation of a disk."""

Stream: TypeAlias = AsyncGenerator[T, None]
"""An iterator that can be closed."""

Source: TypeAlias = AsyncIterable[T] | Iterable[T]
"""What this flavour can iterate over."""

BaseTransport: TypeAlias = httpx.AsyncBaseTransport

Event = anyio.Event

sleep = anyio.sleep


def suits_own_transport() -> bool:
    """Tell whether this package's transport works here: under asyncio, not under trio."""
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


def make_stock_transport(
    context: ssl.SSLContext, limits: httpx.Limits, proxy: str | None
) -> BaseTransport:
    """Return httpx's own transport."""
    return httpx.AsyncHTTPTransport(verify=context, limits=limits, proxy=proxy)


def check_transport(transport: object) -> None:
    """Raise TypeError for a transport of another kind."""
    if transport is not None and not isinstance(transport, httpx.AsyncBaseTransport):
        raise TypeError(
            f"transport must be an httpx.AsyncBaseTransport, not {type(transport).__name__}"
        )


def _running_loop() -> object:
    """Return what stands for the running event loop."""
    try:
        # Sooner there than by anyio, which would have to find out which loop it is.
        return asyncio.get_running_loop()
    except RuntimeError:
        return anyio.lowlevel.current_token()


class Home:
    """The event loop in which a client was first used; its connections live there."""

    def __init__(self) -> None:
        self._loop: object | None = None

    def is_here(self) -> bool:
        """Tell whether this is the home loop, or no other loop was used before."""
        return self._loop is None or self._loop == _running_loop()

    def enter(self) -> None:
        """Make the running loop the home; raise ReductError if it is another already."""
        running = _running_loop()
        if self._loop is None:
            self._loop = running
        elif self._loop != running:
            raise ReductError(
                NO_ANSWER,
                "this client was used in another event loop, where its connections live; make a"
                " client for each event loop",
            )


async def wait(event: Event, seconds: float | None) -> bool:
    """Wait until `event` is set, at most `seconds` if given; tell whether it is."""
    with anyio.move_on_after(seconds):
        await event.wait()
    return event.is_set()


def make_lock() -> anyio.Lock:
    """Return a lock for the one who runs a generator."""
    return anyio.Lock(fast_acquire=True)


async def close_idle(generator: Stream[Any], turn: anyio.Lock) -> None:
    """Close a generator, unless somebody runs it at the moment: then it is theirs to end."""
    try:
        turn.acquire_nowait()
    except anyio.WouldBlock:
        return
    try:
        await generator.aclose()
    finally:
        turn.release()


async def finished(work: Callable[[], Awaitable[T]], seconds: float) -> T:
    """Return the result of `work`; a cancellation waits for it, though at most `seconds`.

    A child task does the work, because asyncio's own cancellation knows no shield.
    """
    outcome: list[T | Exception] = []
    done = anyio.Event()
    scope = anyio.CancelScope(shield=True)

    async def child() -> None:
        try:
            with scope:
                outcome.append(await work())
        except Exception as error:
            outcome.append(error)
        done.set()

    async with anyio.create_task_group() as group:
        group.start_soon(child)
        try:
            await done.wait()
        except anyio.get_cancelled_exc_class():
            scope.deadline = anyio.current_time() + seconds
            raise
    result = outcome[0]
    if isinstance(result, Exception):
        raise result
    return result


async def open_file(path: Any) -> BinaryIO:
    """Open a file to be read, without blocking the event loop."""
    return await anyio.to_thread.run_sync(open, path, "rb")


async def read_file(file: Any) -> AsyncIterator[bytes]:
    """Yield the rest of an open file, read without blocking the event loop."""
    while chunk := await anyio.to_thread.run_sync(file.read, READ_BYTES):
        yield chunk


async def each(data: Any) -> AsyncIterator[Any]:
    """Yield the items of an asynchronous or plain iterable.

    Raises TypeError for anything else.
    """
    if hasattr(data, "__aiter__"):
        async for item in data:
            yield item
    else:
        for item in data:
            yield item


def is_file(data: Any) -> bool:
    """Tell whether `data` is an open file, and no asynchronous one."""
    return hasattr(data, "read") and not hasattr(data, "__aiter__")


def check_iterable(data: Any) -> None:
    """Raise TypeError for what is neither an asynchronous nor a plain iterable."""
    if not hasattr(data, "__aiter__") and not hasattr(data, "__iter__"):
        raise not_a_payload(data)


async def disk(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function that waits for a disk, beside the event loop; cancelled, it still ends."""
    work = partial(anyio.to_thread.run_sync, function, *arguments)
    return await finished(work, _DISK_SECONDS)


async def side_by_side(work: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
    """Run `work`, which raises nothing, so many times at once; return when all have ended."""
    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(work)


class Crew:
    """Work that goes on beside its user, and that a cancellation of the user leaves alone."""

    def __init__(self) -> None:
        self._scopes: list[anyio.CancelScope] = []

    async def enter(self) -> None:
        """Begin; `leave` must follow, in the same task."""
        self._group = anyio.create_task_group()
        await self._group.__aenter__()

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work`, which raises nothing."""
        self._group.start_soon(self._run, work)

    async def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        with anyio.CancelScope(shield=True) as scope:
            self._scopes.append(scope)
            await work()
            self._scopes.remove(scope)

    async def leave(self, seconds: float | None) -> None:
        """Wait until all work has ended; what has not after so many seconds is cancelled."""
        if seconds is not None:
            for scope in self._scopes:
                scope.deadline = anyio.current_time() + seconds
        await self._group.__aexit__(None, None, None)
