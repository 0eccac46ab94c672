"""Connections of this flavour: a blocking socket; the other one has the same names."""

import contextlib
import math
import select
import socket
import ssl
from typing import Self

import httpx

from reduct_core.messages import Origin
from reduct_core.outgoing import Piece

SMALL_BYTES = 64 * 1024
RECEIVE_BYTES = 1024 * 1024
"""How much is received at once, at least and at most: more while much comes. A buffer that is
mostly empty would cost more than what is in it (30 us from 128 KiB on, which glibc maps anew).
"""

# Linux delays acknowledgements by 40 ms, for which the server's small writes wait (it leaves
# Nagle's algorithm on). The system forgets the option, so it is set before each receive.
QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)

_INTERNET = (socket.AF_INET, socket.AF_INET6)

_BUSY = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Socket:
    """What a connection is made of."""

    def __init__(self, connection: socket.socket):
        self._socket = connection
        self._quick = QUICK_ACK is not None and connection.family in _INTERNET
        self._unsent: Piece = b""
        self._size = SMALL_BYTES
        self._aborted = False
        self._reading: select.poll | None = None
        connection.setblocking(False)

    def _hurry(self) -> None:
        if self._quick and QUICK_ACK is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)

    def _received(self, data: bytes) -> bytes:
        if not data and self._aborted:
            raise httpx.ReadError("the transport was closed")
        return data

    def _pending(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def _poll(self, writing: bool) -> "select.poll":
        if writing:
            poll = select.poll()
            poll.register(self._socket, select.POLLIN | select.POLLOUT)
            return poll
        if self._reading is None:
            self._reading = select.poll()
            self._reading.register(self._socket, select.POLLIN)
        return self._reading

    def _wait(self, writing: bool, timeout: float | None) -> tuple[bool, bool]:
        """Wait until something can be read, or written if `writing`; tell which."""
        if hasattr(select, "poll"):
            found = self._poll(writing).poll(None if timeout is None else math.ceil(timeout * 1000))
            events = found[0][1] if found else 0
            # Trouble counts as readable: reading tells which.
            return bool(events & ~select.POLLOUT), bool(events & select.POLLOUT)
        wires = [self._socket]
        readable, writable, odd = select.select(wires, wires if writing else [], wires, timeout)
        return bool(readable or odd), bool(writable)


class Wire(_Socket):
    """One connection. Used by one exchange at a time; `abort` may come from another thread."""

    @classmethod
    def connect(
        cls,
        origin: Origin,
        context: ssl.SSLContext | None,
        server_name: str,
        timeout: float | None,
    ) -> Self:
        """Return a connection; httpx.ConnectError or httpx.ConnectTimeout if there is none."""
        try:
            raw = socket.create_connection(origin[1:], timeout)
            try:
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if context is not None:
                    raw = context.wrap_socket(raw, server_hostname=server_name)
                return cls(raw)
            except BaseException:
                raw.close()
                raise
        except TimeoutError as exc:
            raise httpx.ConnectTimeout(str(exc)) from exc
        except OSError as exc:
            raise httpx.ConnectError(str(exc)) from exc

    # --- sending ---------------------------------------------------------------------------

    def put(self, piece: Piece) -> None:
        """Send what the system takes at once; `flush` sends the rest."""
        self._unsent = piece
        with contextlib.suppress(OSError):
            # `flush` meets the error again.
            self._send()

    def _send(self) -> None:
        count = self._socket.send(self._unsent)
        whole = count == len(self._unsent)
        self._unsent = b"" if whole else memoryview(self._unsent)[count:]

    def flush(self, timeout: float | None) -> bool:
        """Send; return True when all is out of hand, False if something arrived first."""
        while self._unsent:
            try:
                self._send()
            except _BUSY:
                readable, writable = self._wait(True, timeout)
                if readable:
                    return False
                if not writable:
                    raise httpx.WriteTimeout("The write operation timed out") from None
            except OSError as exc:
                raise httpx.WriteError(str(exc)) from exc
        return True

    # --- receiving -------------------------------------------------------------------------

    def arrived(self) -> bool:
        """Tell whether `take` has something to say."""
        return self._pending() or self._wait(False, 0)[0]

    def take(self) -> bytes | None:
        """Return what arrived, b"" at the end of the connection, None for nothing yet."""
        try:
            return self._received(self._socket.recv(SMALL_BYTES))
        except _BUSY:
            return None
        except OSError as exc:
            raise httpx.ReadError(str(exc)) from exc

    def receive(self, wanted: int, timeout: float | None) -> bytes:
        """Wait for what comes next, b"" at the end of the connection.

        `wanted` is how much is needed at most, 0 if that is unknown.
        """
        size = min(wanted, self._size) if wanted else SMALL_BYTES
        while True:
            self._hurry()
            if not self._pending() and not self._wait(False, timeout)[0]:
                raise httpx.ReadTimeout("The read operation timed out")
            try:
                data = self._socket.recv(size)
            except _BUSY:
                continue
            except OSError as exc:
                raise httpx.ReadError(str(exc)) from exc
            if len(data) == self._size:
                self._size = min(2 * size, RECEIVE_BYTES)
            elif 2 * len(data) < size:
                self._size = max(size // 2, SMALL_BYTES)
            return self._received(data)

    def grab(self, size: int) -> bytes:
        """Return what is there already, at most `size` bytes; nothing of what is very large."""
        if size > RECEIVE_BYTES:
            return b""
        self._hurry()
        try:
            return self._socket.recv(size)
        except OSError:
            # Nothing is there yet, or `fill` meets the error again.
            return b""

    def fill(self, view: memoryview, timeout: float | None) -> int:
        """Receive until `view` is full or the connection ends; return how many bytes."""
        done = 0
        while done < len(view):
            self._hurry()
            try:
                count = self._socket.recv_into(view[done:])
            except _BUSY:
                if not self._wait(False, timeout)[0]:
                    raise httpx.ReadTimeout("The read operation timed out") from None
                continue
            except OSError as exc:
                raise httpx.ReadError(str(exc)) from exc
            if not count:
                self._received(b"")
                break
            done += count
        return done

    # --- the end ---------------------------------------------------------------------------

    def is_stale(self) -> bool:
        """Tell whether an idle connection can no longer be used: nothing may come meanwhile."""
        return self.arrived()

    def close(self) -> None:
        """Close a connection that nobody uses."""
        self._socket.close()

    def abort(self) -> None:
        """End a connection that is in use: its exchange fails and closes it."""
        self._aborted = True
        with contextlib.suppress(OSError):
            # That of TLS would wait; the system's own does not.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def close_all(idle: list[Wire], used: list[Wire]) -> None:
    """Close what is idle, and end what is in use."""
    for wire in used:
        wire.abort()
    for wire in idle:
        wire.close()
