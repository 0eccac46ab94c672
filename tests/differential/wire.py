"""Raw HTTP calls: whatever bytes a call says go out, and the answer comes back undecoded."""

import http.client
import io
import socket
from typing import Any, NamedTuple
from urllib.parse import urlsplit

TIMEOUT = 30.0
"""Seconds after which a server counts as hanging; the slowest answers here take about one."""

API = "/api/v1"


class Call(NamedTuple):
    """One request.

    Attributes:
        target: path and query below `/api/v1`, as on the wire.
        headers: besides host and content-length, in this order.
        size: the value of content-length; None sends none, "body" the length of the body.
        chunked: whether the body goes in chunks.
        keep: the name under which the id, link or token in the answer is kept for later calls,
            which refer to it as `<name>`.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    size: int | str | None = "body"
    chunked: bool = False
    keep: str | None = None


class Answer(NamedTuple):
    """One response: names of headers in lower case, the body as it came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first header of that name, None if there is none."""
        return next((value for found, value in self.headers if found == name), None)


class NoAnswerError(Exception):
    """The server closed the connection, hung, or sent what is no HTTP."""


class Reader(io.BufferedReader):
    """What comes from a connection; it stays open from answer to answer.

    So bytes behind the end of an answer are not lost, but spoil the next one.
    """

    def close(self) -> None:
        """Leave it open: an answer was read to its end."""

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return itself, in place of the file of a socket."""
        return self


class Connection:
    """A connection to one server, opened again when either side has closed it."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._socket: socket.socket | None = None
        self._reader: Any = None

    def send(self, call: Call) -> Answer:
        """Send a call and return its answer; without one NoAnswerError is raised."""
        sock = self._socket or self._open()
        try:
            sock.sendall(self._bytes_of(call))
        except OSError:
            # An early answer is still there to be read.
            pass
        response = http.client.HTTPResponse(self._reader, method=call.method)
        try:
            response.begin()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NoAnswerError(f"{type(error).__name__}: {error}") from error
        headers = tuple((name.lower(), value) for name, value in response.getheaders())
        if response.will_close or response.status >= 400 or call.chunked:
            # A server that did not read the body closes the connection, without saying so.
            self.close()
        return Answer(response.status, headers, body)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._socket is not None:
            self._reader.raw.close()
            self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        assert self._address.hostname is not None
        address = (self._address.hostname, self._address.port)
        try:
            self._socket = socket.create_connection(address, TIMEOUT)
        except OSError as error:
            raise NoAnswerError(f"the server does not listen any more: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = Reader(socket.SocketIO(self._socket, "r"))
        return self._socket

    def _bytes_of(self, call: Call) -> bytes:
        lines = [f"{call.method} {self._address.path}{API}{call.target} HTTP/1.1"]
        lines.append(f"host: {self._address.netloc}")
        lines += [f"{name}: {value}" for name, value in call.headers]
        if call.chunked:
            lines.append("transfer-encoding: chunked")
        elif call.size is not None:
            lines.append(f"content-length: {len(call.body) if call.size == 'body' else call.size}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return head + (chunks(call.body) if call.chunked else call.body)


def chunks(body: bytes) -> bytes:
    """Return a body as two chunks and the end."""
    middle = len(body) // 2
    parts = [part for part in (body[:middle], body[middle:]) if part]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
