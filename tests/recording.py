"""A transport that records what a client sends, in either flavour.

    recorder = Recorder(flavour)
    client = flavour.client(server.url, transport=recorder.transport)
    ...
    assert recorder.sent == ["GET /b/name"]
    assert not recorder.clashes

It stands in front of a stock httpx transport. A request is in flight from the call of the
transport until its answer is closed; changes of one entry that are in flight together are counted
in `together`.
"""

import json
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeAlias, cast
from urllib.parse import parse_qs, unquote

import anyio
import anyio.from_thread
import httpx
from attrs import define, frozen

from reduct_core.gates import Gates, Key, Mode, Ticket
from tests.flavours import NO_TLS, Flavour

Hook: TypeAlias = Callable[[httpx.Request], Coroutine[Any, Any, httpx.Response | None]]
"""Runs in the event loop before a request is sent; an answer it returns is used instead."""

Closing: TypeAlias = Callable[[httpx.Request], Coroutine[Any, Any, None]]
"""Runs in the event loop before the answer to a request is closed."""

HANG_SECONDS = 20.0
"""Against hangs only."""

CLASHES = frozenset({("write", "write"), ("remove", "write"), ("remove", "update")})
"""Pairs of changes that must never be in flight together on one entry."""

_RECORDS = re.compile(r"/b/(?P<bucket>[^/]+)/(?P<entry>.+)")


@frozen(eq=False)
class Change:
    """A request that changes records: "write", "update" or "remove", and the entries."""

    kind: str
    entries: frozenset[str]

    def meets(self, other: "Change") -> bool:
        """Tell whether both concern one entry; a pattern concerns every entry."""
        patterns = any("*" in entry for entry in self.entries | other.entries)
        return patterns or bool(self.entries & other.entries)


class Recorder:
    """What a client sent through `transport`.

    Attributes:
        transport: for `Client(transport=...)`; closed with the client.
        requests: all requests, in the order in which they were sent.
        together: how often two changes of one entry were in flight together, by the sorted pair
            of their kinds.
    """

    def __init__(
        self, flavour: Flavour, hook: Hook | None = None, closing: Closing | None = None
    ) -> None:
        self.transport = Blocking(self) if flavour.name == "sync" else Async(self)
        self.hook = hook
        self.closing = closing
        self.requests: list[httpx.Request] = []
        self.together: Counter[tuple[str, str]] = Counter()
        self._flying: list[Change] = []
        self._lock = threading.Lock()

    @property
    def sent(self) -> list[str]:
        """Method and path of all requests, without the prefix of the API."""
        return [f"{request.method} {path(request)}" for request in self.requests]

    @property
    def clashes(self) -> dict[tuple[str, str], int]:
        """What was in flight together and must not be."""
        return {pair: count for pair, count in self.together.items() if pair in CLASHES}

    @property
    def pool(self) -> Any:
        """The connections of the stock transport."""
        return cast(Any, self.transport.inner)._pool

    def began(self, request: httpx.Request) -> Change | None:
        """Note a request that is about to be sent."""
        change = change_of(request)
        with self._lock:
            self.requests.append(request)
            if change is not None:
                for other in self._flying:
                    if change.meets(other):
                        first, second = sorted((change.kind, other.kind))
                        self.together[first, second] += 1
                self._flying.append(change)
        return change

    def ended(self, change: Change | None) -> None:
        """Note that an answer was closed, or did not come."""
        with self._lock:
            if change in self._flying:
                self._flying.remove(change)


def path(request: httpx.Request) -> str:
    """Return the decoded path of a request without the prefix of the API."""
    return request.url.path.removeprefix("/api/v1")


def change_of(request: httpx.Request) -> Change | None:
    """Return what a request changes, None if it changes no records."""
    if path(request).startswith("/io/"):
        return _change_of_several(request)
    match = _RECORDS.fullmatch(path(request))
    if match is None or match["entry"].endswith("/q"):
        return None
    entries = frozenset({match["entry"].removesuffix("/batch")})
    if request.method == "DELETE" and not _names_records(request, match["entry"]):
        return None
    kind = {"POST": "write", "PATCH": "update", "DELETE": "remove"}.get(request.method)
    return Change(kind, entries) if kind else None


def _names_records(request: httpx.Request, entry: str) -> bool:
    return entry.endswith("/batch") or "ts" in parse_qs(request.url.query.decode())


def _change_of_several(request: httpx.Request) -> Change | None:
    if path(request).endswith("/write"):
        names = request.headers["x-reduct-entries"].split(",")
        return Change("write", frozenset(map(unquote, names)))
    if request.method == "POST" and path(request).endswith("/q"):
        query = json.loads(request.content)
        if query["query_type"] == "REMOVE":
            return Change("remove", frozenset(query["entries"]))
    return None


class Blocking(httpx.BaseTransport):
    """The transport of a blocking client."""

    def __init__(self, recorder: Recorder) -> None:
        self.inner = httpx.HTTPTransport(verify=NO_TLS)
        self._recorder = recorder

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request by the stock transport."""
        recorder = self._recorder
        change = recorder.began(request)
        try:
            response = anyio.from_thread.run(recorder.hook, request) if recorder.hook else None
            response = response or self.inner.handle_request(request)
        except BaseException:
            recorder.ended(change)
            raise
        stream = cast(httpx.SyncByteStream, response.stream)
        return with_stream(response, BlockingAnswer(recorder, request, change, stream))

    def close(self) -> None:
        """Close all connections."""
        self.inner.close()


def with_stream(
    response: httpx.Response, stream: httpx.SyncByteStream | httpx.AsyncByteStream
) -> httpx.Response:
    """Return the response with another body, yet to be read."""
    return httpx.Response(
        response.status_code,
        headers=response.headers,
        stream=stream,
        extensions=response.extensions,
    )


@define(eq=False)
class BlockingAnswer(httpx.SyncByteStream):
    """A body that tells when it is closed."""

    _recorder: Recorder
    _request: httpx.Request
    _change: Change | None
    _stream: httpx.SyncByteStream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        """Close the answer."""
        if self._recorder.closing:
            anyio.from_thread.run(self._recorder.closing, self._request)
        self._stream.close()
        self._recorder.ended(self._change)


class Async(httpx.AsyncBaseTransport):
    """The transport of an async client."""

    def __init__(self, recorder: Recorder) -> None:
        self.inner = httpx.AsyncHTTPTransport(verify=NO_TLS)
        self._recorder = recorder

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request by the stock transport."""
        recorder = self._recorder
        change = recorder.began(request)
        try:
            response = await recorder.hook(request) if recorder.hook else None
            response = response or await self.inner.handle_async_request(request)
        except BaseException:
            recorder.ended(change)
            raise
        stream = cast(httpx.AsyncByteStream, response.stream)
        return with_stream(response, AsyncAnswer(recorder, request, change, stream))

    async def aclose(self) -> None:
        """Close all connections."""
        await self.inner.aclose()


@define(eq=False)
class AsyncAnswer(httpx.AsyncByteStream):
    """A body that tells when it is closed."""

    _recorder: Recorder
    _request: httpx.Request
    _change: Change | None
    _stream: httpx.AsyncByteStream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk

    async def aclose(self) -> None:
        """Close the answer."""
        if self._recorder.closing:
            await self._recorder.closing(self._request)
        await self._stream.aclose()
        self._recorder.ended(self._change)


async def until(condition: Callable[[], bool]) -> None:
    """Return when `condition` holds; TimeoutError if it does not for long."""
    with anyio.fail_after(HANG_SECONDS):
        while not condition():
            await anyio.sleep(0.005)


def entered(gates: Gates[Any], key: Key, mode: Mode) -> Ticket[Any]:
    """Return a ticket with a place at a gate."""
    ticket: Ticket[Any] = Ticket(key, mode)
    gates.enter(ticket)
    return ticket
