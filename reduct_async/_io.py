"""Performs the steps of `reduct_core.transport`: the only module that touches a transport."""

import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx

from reduct_api.types import RequestSpec
from reduct_core import errors
from reduct_core.config import Config
from reduct_core.gates import Claim, Gates, Key, Mode, Ticket, note_held
from reduct_core.own_writes import OwnWrites
from reduct_core.records import IN_MEMORY_BYTES
from reduct_core.transport import (
    Discard,
    Exchange,
    Send,
    Session,
    Spec,
    exchange,
    parse,
)

from ._flavour import BaseTransport, Event, Home, make_lock, sleep
from ._transport import Exchange as WireExchange
from ._transport import Transport

T = TypeVar("T")

ABSORBED_BYTES = 2 * IN_MEMORY_BYTES
"""The largest answer that is received at once: a full one, and a large record behind it."""

SAFE = frozenset({"GET", "HEAD"})
"""Methods that change nothing, unless the call says otherwise."""


class Early:
    """A request that was sent before its answer was asked for."""

    def __init__(self, request: httpx.Request, exchange: WireExchange, waiting: "set[Early]"):
        """It is among the `waiting` until it is finished or closed."""
        self.request = request
        self.began = time.monotonic()
        self._exchange = exchange
        self._turn = make_lock()
        self._response: httpx.Response | None = None
        self._error: Exception | None = None
        self._waiting = waiting
        waiting.add(self)

    async def finish(self) -> httpx.Response:
        """Return the answer."""
        async with self._turn:
            self._waiting.discard(self)
            if self._error is not None:
                raise self._error
            return self._response or await self._exchange.finish()

    async def absorb(self) -> None:
        """Receive the whole answer; one that is too large for that is given up."""
        async with self._turn:
            if self in self._waiting and self._response is None and self._error is None:
                try:
                    self._response = await self._exchange.finish()
                    await self._exchange.absorb(ABSORBED_BYTES)
                except Exception as error:
                    self._exchange.leave()
                    self._error = error
                except BaseException:
                    self._exchange.leave()
                    self._error = httpx.ReadError("receiving the answer was interrupted")
                    raise

    def close(self) -> None:
        """Give up: the connection is closed, since an answer will come on it."""
        self._waiting.discard(self)
        self._exchange.leave()


class Io:
    """Sends the requests of one client, and lets them pass the gates."""

    def __init__(
        self,
        config: Config,
        transport: BaseTransport | None,
        choose: Callable[[], BaseTransport],
    ):
        """`choose` gives a transport when one is first needed, if `transport` is None."""
        self.session = Session(config)
        self.transport = transport
        self._choose = choose
        self._choosing = threading.Lock()
        self._gates: Gates[Event] = Gates(Event)
        self._early: set[Early] = set()
        self._removals: Counter[Key] = Counter()
        self.own_writes = OwnWrites()
        self._home = Home()

    async def send(
        self,
        spec: RequestSpec[T],
        *,
        repeatable: bool | None = None,
        timeout: float | None = None,
        early: "Early | None" = None,
    ) -> T:
        """Return the decoded answer to `spec`."""
        return parse(
            spec, await self.complete(spec, repeatable=repeatable, timeout=timeout, early=early)
        )

    async def complete(
        self,
        spec: Spec,
        *,
        repeatable: bool | None = None,
        timeout: float | None = None,
        early: "Early | None" = None,
    ) -> httpx.Response:
        """Return the successful response to `spec`, read whole and closed."""
        response = await self.open(spec, repeatable=repeatable, timeout=timeout, early=early)
        try:
            with errors.mapped(response.request):
                await response.aread()
        finally:
            await response.aclose()
        return response

    async def open(
        self,
        spec: Spec,
        *,
        repeatable: bool | None = None,
        timeout: float | None = None,
        early: "Early | None" = None,
    ) -> httpx.Response:
        """Return the successful response to `spec`, its body unread; the caller closes it.

        `repeatable` tells whether it may be sent again after 429 and 503; GET and HEAD may,
        if it is None. `timeout` shortens the client's own. `early` is what `begin` returned.
        """
        again = spec.method in SAFE if repeatable is None else repeatable
        request = self.session.request(spec, timeout) if early is None else early.request
        steps = exchange(self.session, spec, request, repeatable=again)
        return await self._perform(steps, self.enter(), early)

    def begin(self, spec: Spec) -> "Early | None":
        """Send a request without waiting for its answer, which `open` returns.

        None if that is not possible: it needs a transport of ours with an idle connection.
        """
        transport = self.enter()
        if not isinstance(transport, Transport):
            return None
        request = self.session.request(spec)
        exchange = transport.begin(request)
        return None if exchange is None else Early(request, exchange, self._early)

    def enter(self) -> BaseTransport:
        """Return the transport to use here; its first use decides which it is."""
        self._home.enter()
        if self.transport is None:
            with self._choosing:
                return self._chosen()
        return self.transport

    def _chosen(self) -> BaseTransport:
        if self.transport is None:
            self.transport = self._choose()
        return self.transport

    async def _perform(
        self, steps: Exchange, transport: BaseTransport, early: "Early | None"
    ) -> httpx.Response:
        try:
            step = next(steps)
            while True:
                if isinstance(step, Send):
                    try:
                        if early is not None:
                            response, early = await early.finish(), None
                        else:
                            response = await transport.handle_async_request(step.request)
                    except Exception as exc:
                        step = steps.throw(exc)
                    else:
                        step = steps.send(response)
                elif isinstance(step, Discard):
                    await self._discard(step.response, step.reusable)
                    step = steps.send(None)
                else:
                    await sleep(step.seconds)
                    step = steps.send(None)
        except StopIteration as stop:
            result: httpx.Response = stop.value
            return result

    async def _discard(self, response: httpx.Response, reusable: bool) -> None:
        """Read and close a response, so that its connection can be used again, or closes."""
        try:
            await response.aread()
        except httpx.HTTPError:
            # The status tells enough: the server closes the connection after early errors.
            pass
        finally:
            await response.aclose()
        stream = response.extensions.get("network_stream")
        if stream is not None and not reusable:
            await stream.aclose()

    @asynccontextmanager
    async def gate(self, claims: Sequence[Claim]) -> AsyncIterator[None]:
        """Wait until no conflicting call of this client is in flight, and keep others out."""
        self._home.enter()
        tickets: list[Ticket[Event]] = [Ticket(key, mode) for key, mode in claims]
        removed = [key for key, mode in claims if mode is Mode.REMOVE]
        try:
            for ticket in tickets:
                self._gates.enter(ticket)
                if ticket.signal is not None:
                    await ticket.signal.wait()
            release = note_held(tickets)
            try:
                await self._spoil(removed)
                yield
            finally:
                if removed:
                    self._removals.update(removed)
                release()
        finally:
            for ticket in reversed(tickets):
                self._gates.leave(ticket)

    async def _spoil(self, removed: Sequence[Key]) -> None:
        """Have readers of this client know of a removal, which would spoil what they read.

        The server sends wrong payloads of records that it looked up before a removal in their
        block. Answers that are on their way are received before it; later ones are asked for
        anew.
        """
        if removed:
            for early in list(self._early):
                await early.absorb()
            self._removals.update(removed)

    def removals(self, bucket: str, entry: str) -> int:
        """Return a number that changes with every removal from an entry."""
        return self._removals[Key(bucket)] + self._removals[Key(bucket, entry)]

    async def close(self) -> None:
        """Close all connections; calls after that are refused."""
        if self.session.closed:
            return
        self.session.closed = True
        if self.transport is not None and self._home.is_here():
            await self.transport.aclose()
