"""Connections of the raw workers: a blocking socket and an asyncio protocol that parse nothing."""

import asyncio
import socket
from typing import IO, NamedTuple

HEAD_END = b"\r\n\r\n"

BUFFER = 1 << 20
"""Bytes that one receive may give."""

KEPT = 1 << 12
"""Bodies up to so many bytes are kept: the number of a query is in one. Others are counted."""

QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class Answer(NamedTuple):
    """The head of an answer, the length of its body, and the body if it is small."""

    head: bytes
    length: int
    body: bytes


def length_of(head: bytes) -> int:
    """Return the length of the body that a head announces; 204 has none."""
    if head.startswith(b"HTTP/1.1 204"):
        return 0
    at = head.find(b"content-length: ")
    return int(head[at + 16 :].split(b"\r", 1)[0])


class Incoming:
    """How far an answer has come."""

    def __init__(self, bodiless: bool) -> None:
        self._bodiless = bodiless
        self._start = b""
        self._head = b""
        self._length = 0
        self.missing = 1

    @property
    def in_body(self) -> bool:
        """Whether the head is complete and all that is missing is the rest of a large body."""
        return bool(self._head) and self._length > KEPT

    def feed(self, data: memoryview) -> None:
        """Take what was received."""
        if self.in_body:
            self.missing -= len(data)
            return
        self._start += data
        end = self._start.find(HEAD_END)
        if end < 0:
            return
        if not self._head:
            self._head = self._start[:end]
            self._length = 0 if self._bodiless else length_of(self._head)
        self.missing = self._length - (len(self._start) - end - len(HEAD_END))

    def answer(self) -> Answer:
        """Return the answer; `missing` is 0."""
        return Answer(self._head, self._length, self._start[len(self._head) + len(HEAD_END) :])


def quick_acknowledgement(connection: socket.socket) -> None:
    """Have the next received segment acknowledged at once, where the platform can."""
    if QUICKACK is not None:
        connection.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)


class Connection:
    """A blocking connection: one request, one answer."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(BUFFER)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

    def send_file(self, file: IO[bytes]) -> None:
        """Send an open file."""
        self._socket.sendfile(file)

    def receive(self, *, bodiless: bool = False, file: IO[bytes] | None = None) -> Answer:
        """Receive one answer; what comes of a large body after its head goes to `file`."""
        incoming = Incoming(bodiless)
        while incoming.missing:
            quick_acknowledgement(self._socket)
            size = min(incoming.missing, BUFFER) if incoming.in_body else BUFFER
            found = self._socket.recv_into(self._buffer, size)
            if not found:
                raise ConnectionError("the server closed the connection")
            data = memoryview(self._buffer)[:found]
            if file is not None and incoming.in_body:
                file.write(data)
            incoming.feed(data)
        return incoming.answer()


class Protocol(asyncio.BufferedProtocol):
    """An asyncio connection: one request, one answer."""

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(BUFFER))
        self._incoming = Incoming(False)
        self._done: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection; asyncio sends small pieces at once by itself."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._socket: socket.socket = transport.get_extra_info("socket")

    async def exchange(self, request: bytes, bodiless: bool) -> Answer:
        """Send a request and return the answer; the bytes of a large body are counted only."""
        assert self._transport is not None
        self._incoming = Incoming(bodiless)
        self._done = asyncio.get_running_loop().create_future()
        quick_acknowledgement(self._socket)
        self._transport.write(request)
        return await self._done

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go: no further than the end of the body."""
        incoming = self._incoming
        return self._buffer[: incoming.missing] if incoming.in_body else self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was received."""
        quick_acknowledgement(self._socket)
        self._incoming.feed(self._buffer[:nbytes])
        if not self._incoming.missing and self._done is not None:
            self._done.set_result(self._incoming.answer())

    def connection_lost(self, exc: Exception | None) -> None:
        """End a waiting exchange."""
        if self._done is not None and not self._done.done():
            self._done.set_exception(exc or ConnectionError("the server closed the connection"))
