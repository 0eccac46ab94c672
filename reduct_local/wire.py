"""The byte layer below ASGI: limits of request heads, slow senders, faults.

uvicorn parses requests and writes answers; this adds what ASGI cannot express.
"""

import asyncio
import socket
from http import HTTPStatus

import httptools
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config as UvicornConfig
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from reduct_local.api.common import error_answer
from reduct_local.errors import ApiError
from reduct_local.faults import Faults, FaultyTransport, Plan

MAX_HEAD = 524_288
"""Bytes of a request head; the real server's read buffer ends there."""

MAX_TARGET = 65_534
"""Bytes of path and query string."""

SLOW_SECONDS = 60.0
"""How long a request head may take."""

IDLE_SECONDS = 300
"""How long an unused connection stays open."""

_MAX_JOINED = 65_536
"""Bytes of a body that are copied behind its head, so that both go out at once."""

LINGER_SECONDS = 1.0
"""How long a refused sender may go on sending, so that it can read the refusal."""

MAX_UNREAD = 64 * 1024 * 1024
"""How much of a body is read and dropped after its request was answered."""


class _RefusedError(Exception):
    """A request head is beyond the limits; ends the parsing."""


class Protocol(HttpToolsProtocol):
    """One connection.

    Args:
        config: uvicorn's settings, with the application.
        server_state: the connections and tasks of the server.
        faults: what is to go wrong.
        max_headers: how many header lines a request may have.
    """

    def __init__(
        self, config: UvicornConfig, server_state: ServerState, faults: Faults, max_headers: int
    ) -> None:
        super().__init__(config, server_state, {})
        self._faults = faults
        self._max_headers = max_headers
        self._in_head = False
        self._head_size = 0
        """Bytes of an unfinished head that were parsed so far, at least."""
        self._status: HTTPStatus | None = None
        """Why the request is refused."""
        self._refused = False
        """Whether nothing more is read."""
        self._refusal: HTTPStatus | None = None
        """What is answered once the requests before it are."""
        self._unread_size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        # Many answers are two small segments; Nagle's algorithm would hold the second one back.
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wait(SLOW_SECONDS)

    def _wait(self, seconds: float) -> None:
        """Close the connection unless something comes within this time."""
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse what is not HTTP or too long."""
        if self._refused:
            return
        was_in_head = self._in_head
        if not was_in_head:
            self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Upgrades are not served: the request is answered as if it had not asked.
            pass
        except httptools.HttpParserError:
            self._refuse(self._status or HTTPStatus.BAD_REQUEST)
            return
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            elif not was_in_head:
                self._wait(SLOW_SECONDS)
        elif self._is_answered():
            self._unread(len(data))

    def _is_answered(self) -> bool:
        """Tell whether the request that came last has its whole answer."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and cycle.response_complete

    def _unread(self, size: int) -> None:
        """Go on without the rest of an answered request's body, up to a limit."""
        self._unread_size += size
        if self._unread_size > MAX_UNREAD:
            self.transport.close()
        else:
            self._wait(IDLE_SECONDS)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = True
        self._head_size = 0
        self._unread_size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header line; the parser leaves spaces at its end."""
        name = name.lower()
        value = value.rstrip(b" \t")
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Refuse a head that is beyond the limits, or start the request."""
        self._in_head = False
        self._unset_keepalive_if_required()
        if len(self.url) > MAX_TARGET:
            self._status = HTTPStatus.REQUEST_URI_TOO_LONG
            raise _RefusedError
        if len(self.headers) > self._max_headers or (self._head_size and self._is_long()):
            self._status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise _RefusedError
        super().on_headers_complete()
        scope: Scope = self.scope  # type: ignore[assignment]
        scope["reduct.cycle"] = self.cycle
        scope["reduct.plan"] = self._plan(scope) if self._faults.active else None
        self.cycle.transport = _Together(self.cycle)  # type: ignore[assignment]

    def _is_long(self) -> bool:
        """Tell whether a head that came in several pieces is beyond the limit."""
        lines = sum(len(name) + len(value) + 4 for name, value in self.headers)
        return len(self.url) + lines > MAX_HEAD

    def _plan(self, scope: Scope) -> Plan | None:
        plan = self._faults.take(scope["method"], scope["path"])
        if plan is not None and plan.cut is not None:
            self.cycle.transport = FaultyTransport(  # type: ignore[assignment]
                self.transport, plan.cut, plan.cut_after, self._ignore
            )
        return plan

    def _ignore(self) -> None:
        """Read nothing more: the connection is broken on purpose."""
        self._refused = True

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer what cannot be parsed, after the requests before it, and close the connection."""
        self._refused = True
        self._unset_keepalive_if_required()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self._send_refusal(status)
        elif not cycle.more_body:
            self._refusal = status
        else:
            # Broken in the middle of a body: for its endpoint the client has left.
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
            else:
                self._send_refusal(status)

    def on_response_complete(self) -> None:
        """Go on with what waits: another request, or a refusal."""
        super().on_response_complete()
        cycle: RequestResponseCycle = self.cycle
        if self._refusal is not None and cycle.response_complete:
            self._send_refusal(self._refusal)
            self._refusal = None

    def _send_refusal(self, status: HTTPStatus) -> None:
        """Send an answer without the application, as the real server's parser does.

        The sending side is closed at once, the other one a little later: closing with unread
        bytes would reset the connection and take the answer with it.
        """
        if self.transport.is_closing():
            return
        lines = [b"HTTP/1.1 %d %s" % (status.value, status.phrase.encode()), b"connection: close"]
        lines += [name + b": " + value for name, value in self.server_state.default_headers]
        self.transport.write(b"\r\n".join([*lines, b"content-length: 0", b"", b""]))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._wait(LINGER_SECONDS)


class _Together:
    """What an answer is written to: its head goes out with the first bytes of its body.

    A system call is a large part of the time that a small answer takes. An answer to HEAD, which
    has no body, is flushed.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._transport = cycle.transport
        self._head: bytes | None = None
        self._has_head = False

    def write(self, data: bytes) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            if len(data) > _MAX_JOINED:
                self._transport.write(head)
            else:
                data = head + data
        elif self._cycle.response_started and not self._has_head:
            # Before it only `100 Continue` is written.
            self._has_head = True
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Write a head that no body follows."""
        if self._head is not None:
            self.write(b"")

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class WithFaults:
    """The ASGI application under a protocol: delays and errors on purpose, then the real one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            plan: Plan | None = scope["reduct.plan"]
            if plan is None or not await self._replace(plan, scope, receive, send):
                await self._app(scope, receive, send)
        except asyncio.CancelledError:
            # Only the end of the server cancels requests, and it has closed their connections;
            # uvicorn would report a failure.
            return

    async def _replace(self, plan: Plan, scope: Scope, receive: Receive, send: Send) -> bool:
        """Do what is planned before the application; tell whether that answers the request."""
        if plan.delay:
            await asyncio.sleep(plan.delay)
        if plan.status is None:
            return False
        scope["reduct.headers"] = ()
        await error_answer(ApiError(plan.status, plan.message))(scope, receive, send)
        return True
