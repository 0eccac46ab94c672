"""The two flavours behind one interface, so that one test body drives both.

A test sees the interface of `reduct_async`. In the flavour "sync" an `AsyncView` stands in front
of each blocking object. What is awaited is decided by the twin class of `reduct_async`, so there
is no list of methods here: a coroutine function there is a call in a worker thread here, all
else is a plain call. Iterators and context managers become asynchronous ones. Since calls run in
threads, `asyncio.gather` over them really runs blocking calls side by side.
"""

import importlib
import inspect
import ssl
from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import AbstractContextManager
from types import ModuleType, TracebackType
from typing import Any, Literal, cast

import anyio
import anyio.from_thread
import anyio.to_thread
import httpx

import reduct_async
import reduct_sync

FlavourName = Literal["sync", "async"]

THREADS = 64
"""How many blocking calls run side by side in one test."""

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of plain HTTP: the authorities that others load take 30 ms a client."""

END = object()


class Flavour:
    """One flavour, for one test; made and closed by the fixture `flavour`.

    Attributes:
        name: "sync" or "async".
        package: the package itself, for its public names: `flavour.package.Batch()`.
    """

    def __init__(self, name: FlavourName) -> None:
        self.name = name
        self.package: ModuleType = reduct_sync if name == "sync" else reduct_async
        self._workers = Workers()
        self._clients: list[reduct_async.Client] = []

    def client(self, *args: Any, **kwargs: Any) -> reduct_async.Client:
        """Return `Client(*args, **kwargs)` of this flavour, closed after the test."""
        client = self.show(self.package.Client(*args, **kwargs))
        self._clients.append(client)
        return cast(reduct_async.Client, client)

    def stock_transport(self, **kwargs: Any) -> Any:
        """Return httpx's own transport of this flavour, for plain HTTP."""
        kind = httpx.HTTPTransport if self.name == "sync" else httpx.AsyncHTTPTransport
        return kind(verify=NO_TLS, **kwargs)

    def show(self, thing: Any) -> Any:
        """Return `thing`, or an asynchronous view if it belongs to the blocking flavour."""
        return self._workers.show(thing) if self.name == "sync" else thing

    async def close(self) -> None:
        """Close all clients that `client` made."""
        for client in self._clients:
            await client.close()


class Workers:
    """Runs blocking calls in threads and translates what goes in and what comes out."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(THREADS)

    async def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `function` in a worker thread; a cancelled call is left to end by itself."""
        return self.show(
            await anyio.to_thread.run_sync(
                lambda: self.call(function, *args, **kwargs),
                abandon_on_cancel=True,
                limiter=self._limiter,
            )
        )

    @staticmethod
    def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `function` with the blocking forms of the arguments."""
        blocking = {name: to_blocking(value) for name, value in kwargs.items()}
        return function(*map(to_blocking, args), **blocking)

    def show(self, value: Any) -> Any:
        """Return `value`, in an asynchronous view if a caller could block on it."""
        ours = type(value).__module__.partition(".")[0] == reduct_sync.__name__
        if ours or isinstance(value, Iterator | AbstractContextManager):
            return AsyncView(value, self)
        return value


class AsyncView:
    """Shows a blocking object, iterator or context manager through the async interface."""

    def __init__(self, target: Any, workers: Workers) -> None:
        self._target = target
        self._workers = workers

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not inspect.isroutine(value):
            return self._workers.show(value)
        if awaited(type(self._target), name):
            return lambda *args, **kwargs: self._workers.run(value, *args, **kwargs)
        return lambda *args, **kwargs: self._workers.show(
            self._workers.call(value, *args, **kwargs)
        )

    def __repr__(self) -> str:
        return repr(self._target)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The class of the blocking object, so that `isinstance` sees through the view."""
        return type(self._target)

    def __aiter__(self) -> "AsyncView":
        iterator = iter(self._target)
        return self if iterator is self._target else AsyncView(iterator, self._workers)

    async def __anext__(self) -> Any:
        # A StopIteration cannot leave a worker thread.
        item = await self._workers.run(next, self._target, END)
        if item is END:
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        """Close a generator, under the name that asynchronous ones have."""
        await self._workers.run(self._target.close)

    async def __aenter__(self) -> Any:
        entered = await self._workers.run(self._target.__enter__)
        return self if to_blocking(entered) is self._target else entered

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        # A cancelled block is left properly, as a blocking `with` would be.
        with anyio.CancelScope(shield=True):
            result: bool | None = await self._workers.run(
                self._target.__exit__, exc_type, exc, traceback
            )
        return result


def awaited(blocking: type, name: str) -> bool:
    """Return whether the twin of the class `blocking` has a coroutine method `name`."""
    package, _, module = blocking.__module__.partition(".")
    if package != reduct_sync.__name__:
        return False
    path = f"{reduct_async.__name__}.{module}" if module else reduct_async.__name__
    twin = getattr(importlib.import_module(path), blocking.__qualname__)
    return inspect.iscoroutinefunction(getattr(twin, name))


def to_blocking(value: Any) -> Any:
    """Return the form of an argument that blocking code takes."""
    if type(value) is AsyncView:
        return value._target
    if isinstance(value, AsyncIterable):
        return pull(value)
    return value


def pull(source: AsyncIterable[Any]) -> Iterator[Any]:
    """Iterate in a worker thread over what lives in the event loop."""
    iterator = aiter(source)

    async def take() -> Any:
        return await anext(iterator, END)

    while (item := anyio.from_thread.run(take)) is not END:
        yield item
