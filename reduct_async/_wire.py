"""Connections of this flavour: an asyncio protocol; the other one has the same names."""

import asyncio
import contextlib
import select
import socket
import ssl
from collections import deque
from typing import Any, Self, cast

import httpx

from reduct_core.messages import Origin
from reduct_core.outgoing import Piece

SMALL_BYTES = 64 * 1024
RECEIVE_BYTES = 1024 * 1024
"""How much is received at once, at least and at most: more while much comes. A buffer that is
mostly empty would cost more than what is in it (30 us from 128 KiB on, which glibc maps anew).
"""

_WAITING_BYTES = 1024 * 1024
"""How much may arrive before anybody takes it."""

# Linux delays acknowledgements by 40 ms, for which the server's small writes wait (it leaves
# Nagle's algorithm on). The system forgets the option, so it is set after each receive.
QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)

_INTERNET = (socket.AF_INET, socket.AF_INET6)


class _Protocol(asyncio.BufferedProtocol):
    """What a connection is made of: it takes what arrives, and waits for it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = cast(asyncio.Transport, None)
        self._socket: Any = None
        self._tls = False
        self._quick = False
        self._buffer = bytearray(SMALL_BYTES)
        self._chunks: deque[bytes] = deque()
        self._target: memoryview | None = None
        self._size = 0
        self._paused = False
        self._blocked = False
        self._ended = False
        self._lost = False
        self._error: Exception | None = None
        self._aborted = False
        self._waiter: asyncio.Future[bool] | None = None
        self._patience: float | None = None
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._left: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the new connection."""
        self._transport = cast(asyncio.Transport, transport)
        self._socket = transport.get_extra_info("socket")
        self._tls = transport.get_extra_info("ssl_object") is not None
        # Writing is blocked until the system has taken everything; TLS of asyncio would see an
        # empty buffer as full at 0.
        self._transport.set_write_buffer_limits(high=1 if self._tls else 0, low=0)
        self._quick = QUICK_ACK is not None and self._socket.family in _INTERNET
        self._hurry()

    def get_buffer(self, sizehint: int) -> bytearray | memoryview:
        """Return where the next bytes go."""
        return self._buffer if self._target is None else self._target

    def buffer_updated(self, nbytes: int) -> None:
        """Take what arrived."""
        self._hurry()
        if self._target is not None:
            self._target = self._target[nbytes:]
            self._progress()
            return
        with memoryview(self._buffer) as view:
            self._chunks.append(bytes(view[:nbytes]))
        self._size += nbytes
        size = len(self._buffer)
        if nbytes == size < RECEIVE_BYTES:
            self._buffer = bytearray(2 * size)
        elif 4 * nbytes < size > SMALL_BYTES:
            self._buffer = bytearray(SMALL_BYTES)
        if self._size > _WAITING_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Note that no more comes; what is still sent may go on, but TLS cannot."""
        self._ended = True
        self._wake()
        return not self._tls

    def pause_writing(self) -> None:
        """Note that the system takes no more."""
        self._blocked = True

    def resume_writing(self) -> None:
        """Note that the system has taken everything."""
        self._blocked = False
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, after a look at what the server said before it."""
        self._lost = True
        self._error = exc
        if exc is not None and not self._tls and not self._aborted:
            self._salvage()
        if self._timer is not None:
            self._timer.cancel()
        self._wake()
        if not self._left.done():
            self._left.set_result(None)

    def _salvage(self) -> None:
        """Read what the system still holds.

        Where sending fails, asyncio does not look at what arrived: the reason of the server.
        """
        with contextlib.suppress(OSError), self._socket.dup() as rest:
            while data := rest.recv(SMALL_BYTES):
                self._chunks.append(data)

    def _hurry(self) -> None:
        if self._quick and QUICK_ACK is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)

    def _progress(self) -> None:
        """Wake who fills a buffer once it is full; until then, time begins anew."""
        if not self._target:
            self._target = None
            self._wake()
        elif self._patience is not None:
            self._deadline = self._loop.time() + self._patience

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    # --- waiting ---------------------------------------------------------------------------

    async def _wait(self, timeout: float | None) -> bool:
        """Wait until something happens; False if nothing did."""
        self._patience = timeout
        self._deadline = None if timeout is None else self._loop.time() + timeout
        if self._deadline is not None:
            self._set_timer(self._deadline)
        self._waiter = self._loop.create_future()
        try:
            return await self._waiter
        finally:
            self._waiter = None

    def _set_timer(self, deadline: float) -> None:
        """See to it that there is a timer, at most at `deadline`; it is kept between waits."""
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._waiter is None or self._deadline is None:
            return
        if self._loop.time() < self._deadline:
            self._set_timer(self._deadline)
        elif not self._waiter.done():
            self._waiter.set_result(False)


class Wire(_Protocol):
    """One connection. Used by one exchange at a time, in the event loop that made it."""

    @classmethod
    async def connect(
        cls,
        origin: Origin,
        context: ssl.SSLContext | None,
        server_name: str,
        timeout: float | None,
    ) -> Self:
        """Return a connection; httpx.ConnectError or httpx.ConnectTimeout if there is none."""
        _, host, port = origin
        loop = asyncio.get_running_loop()
        racing: Any = {"happy_eyeballs_delay": 0.25} if _may_race(loop, host) else {}
        name = None if context is None else server_name
        # A task of its own: cancelled at the moment of success, asyncio would leave it open.
        connecting = loop.create_task(
            loop.create_connection(cls, host, port, ssl=context, server_hostname=name, **racing)
        )
        try:
            async with asyncio.timeout(timeout):
                _, wire = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(_drop)
            raise
        except TimeoutError as exc:
            connecting.cancel()
            connecting.add_done_callback(_drop)
            raise httpx.ConnectTimeout(str(exc)) from exc
        except OSError as exc:
            raise httpx.ConnectError(str(exc)) from exc
        return wire

    # --- sending ---------------------------------------------------------------------------

    def put(self, piece: Piece) -> None:
        """Send what the system takes at once; `flush` sends the rest."""
        if not self._lost:
            self._transport.write(piece)
            self._hurry()

    async def flush(self, timeout: float | None) -> bool:
        """Send; return True when all is out of hand, False if something arrived first."""
        while self._blocked or self._lost:
            if self._chunks or self._ended:
                return False
            if self._lost:
                raise httpx.WriteError(str(self._error or "the connection is closed"))
            if not await self._wait(timeout):
                raise httpx.WriteTimeout("The write operation timed out")
        return True

    # --- receiving -------------------------------------------------------------------------

    def arrived(self) -> bool:
        """Tell whether `take` has something to say."""
        return bool(self._chunks) or self._ended or self._lost

    def take(self) -> bytes | None:
        """Return what arrived, b"" at the end of the connection, None for nothing yet."""
        if self._chunks:
            chunk = self._chunks[0]
            self._use_up(len(chunk))
            return chunk
        if self._aborted:
            raise httpx.ReadError("the transport was closed")
        if self._lost and self._error is not None:
            raise httpx.ReadError(str(self._error)) from self._error
        return b"" if self._ended or self._lost else None

    def _use_up(self, count: int) -> None:
        """Forget the first `count` bytes that arrived, at most those of one chunk."""
        rest = self._chunks.popleft()[count:]
        if rest:
            self._chunks.appendleft(rest)
        self._size -= count
        if self._paused and self._size <= _WAITING_BYTES // 2:
            self._paused = False
            self._transport.resume_reading()

    async def receive(self, wanted: int, timeout: float | None) -> bytes:
        """Wait for what comes next, b"" at the end of the connection.

        `wanted` is how much is needed at most, 0 if that is unknown.
        """
        while (data := self.take()) is None:
            if not await self._wait(timeout):
                raise httpx.ReadTimeout("The read operation timed out")
        return data

    def grab(self, size: int) -> bytes:
        """Return what is there already, at most `size` bytes; here `fill` does it as well."""
        return b""

    async def fill(self, view: memoryview, timeout: float | None) -> int:
        """Receive until `view` is full or the connection ends; return how many bytes."""
        done = 0
        while done < len(view) and self._chunks:
            chunk = self._chunks[0]
            part = min(len(chunk), len(view) - done)
            view[done : done + part] = chunk[:part]
            done += part
            self._use_up(part)
        if done == len(view):
            return done
        self._target = view[done:]
        try:
            while self._left_to_fill() and not (self._ended or self._lost):
                if not await self._wait(timeout):
                    raise httpx.ReadTimeout("The read operation timed out")
            left = self._left_to_fill()
        finally:
            self._target = None
        if left:
            # Which tells the error, if there was one.
            self.take()
        return len(view) - left

    def _left_to_fill(self) -> int:
        return 0 if self._target is None else len(self._target)

    # --- the end ---------------------------------------------------------------------------

    def is_stale(self) -> bool:
        """Tell whether an idle connection can no longer be used: nothing may come meanwhile."""
        if self.arrived() or self._loop is not asyncio.get_running_loop():
            return True
        # The event loop may not have looked for a while.
        if not hasattr(select, "poll"):
            return bool(select.select([self._socket], [], [], 0)[0])
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close a connection that nobody uses."""
        if not self._loop.is_closed():
            self._transport.abort()

    def abort(self) -> None:
        """End a connection that is in use: its exchange fails and closes it."""
        self._aborted = True
        self.close()

    async def _gone(self) -> None:
        """Return when a connection that was closed has left the event loop."""
        if self._loop is asyncio.get_running_loop():
            await asyncio.shield(self._left)


def _drop(connecting: "asyncio.Task[tuple[asyncio.Transport, Wire]]") -> None:
    """Close a connection that came too late."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result()[0].abort()


def _may_race(loop: asyncio.AbstractEventLoop, host: str) -> bool:
    """Tell whether addresses of `host` should be tried side by side.

    uvloop cannot, and an address has no other.
    """
    literal = ":" in host or host.replace(".", "").isdigit()
    return isinstance(loop, asyncio.BaseEventLoop) and not literal


async def close_all(idle: list[Wire], used: list[Wire]) -> None:
    """Close what is idle, and end what is in use."""
    for wire in used:
        wire.abort()
    for wire in idle:
        wire.close()
    for wire in [*idle, *used]:
        await wire._gone()
