"""Performs the steps of `reduct_core.transport`: the only module that touches a transport."""

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx

from reduct_api.types import RequestSpec
from reduct_core import errors
from reduct_core.config import Config
from reduct_core.gates import Claim, Gates, Ticket, note_held
from reduct_core.transport import (
    Discard,
    Exchange,
    Send,
    Session,
    Spec,
    exchange,
    parse,
)

from ._flavour import BaseTransport, Event, Home, sleep

T = TypeVar("T")

SAFE = frozenset({"GET", "HEAD"})
"""Methods that change nothing, unless the call says otherwise."""


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
        self._home = Home()

    async def send(
        self, spec: RequestSpec[T], *, repeatable: bool | None = None, timeout: float | None = None
    ) -> T:
        """Return the decoded answer to `spec`."""
        return parse(spec, await self.complete(spec, repeatable=repeatable, timeout=timeout))

    async def complete(
        self, spec: Spec, *, repeatable: bool | None = None, timeout: float | None = None
    ) -> httpx.Response:
        """Return the successful response to `spec`, read whole and closed."""
        response = await self.open(spec, repeatable=repeatable, timeout=timeout)
        try:
            with errors.mapped(response.request):
                await response.aread()
        finally:
            await response.aclose()
        return response

    async def open(
        self, spec: Spec, *, repeatable: bool | None = None, timeout: float | None = None
    ) -> httpx.Response:
        """Return the successful response to `spec`, its body unread; the caller closes it.

        `repeatable` tells whether it may be sent again after 429 and 503; GET and HEAD may,
        if it is None. `timeout` shortens the client's own.
        """
        again = spec.method in SAFE if repeatable is None else repeatable
        steps = exchange(self.session, spec, repeatable=again, timeout=timeout)
        return await self._perform(steps, self.enter())

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

    async def _perform(self, steps: Exchange, transport: BaseTransport) -> httpx.Response:
        try:
            step = next(steps)
            while True:
                if isinstance(step, Send):
                    try:
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
        try:
            for ticket in tickets:
                self._gates.enter(ticket)
                if ticket.signal is not None:
                    await ticket.signal.wait()
            release = note_held(tickets)
            try:
                yield
            finally:
                release()
        finally:
            for ticket in reversed(tickets):
                self._gates.leave(ticket)

    async def close(self) -> None:
        """Close all connections; calls after that are refused."""
        if self.session.closed:
            return
        self.session.closed = True
        if self.transport is not None and self._home.is_here():
            await self.transport.aclose()
