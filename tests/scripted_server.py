"""A loopback server that does what a script says, for what no real server does on demand.

    script = [REQUEST, answer(b"{}"), REQUEST, RESET]
    with ScriptedServer(script) as server:
        reduct_sync.Client(server.url)
    assert [request.method for request in server.requests] == ["GET", "POST"]

Each connection gets the next script, further ones the last. It works through the steps until
they end, or until the client closes; then it closes in an orderly way. Leaving the `with` block
ends all connections and threads, and raises what went wrong in them.
"""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from types import TracebackType
from typing import Final, Self, TypeAlias

import httpx
from attrs import frozen

DEADLINE = 60.0
"""Against hangs only: no step of a passing test takes so long."""


class Mark(Enum):
    """Steps without content."""

    REQUEST = "read one request with its body"
    HEAD = "read the head of one request, nothing after it"
    HOLD = "do nothing, not even read, until the server is stopped"
    FINISH = "send no more, but read on until the client closes"
    RESET = "reset the connection"


REQUEST: Final = Mark.REQUEST
HEAD: Final = Mark.HEAD
HOLD: Final = Mark.HOLD
FINISH: Final = Mark.FINISH
RESET: Final = Mark.RESET


@frozen
class Pause:
    """Wait, unless the server is stopped meanwhile."""

    seconds: float


@frozen
class Tls:
    """Begin TLS, as the server."""

    context: ssl.SSLContext


@frozen
class Request:
    """What arrived."""

    method: str
    target: str
    headers: httpx.Headers
    body: bytes
    """What arrived of the body; empty after a HEAD step."""
    complete: bool
    """Whether the whole body arrived."""


Reply: TypeAlias = Callable[[Request], bytes]
"""Reads one request and sends what the function makes of it."""

Step: TypeAlias = bytes | Mark | Pause | Tls | Reply

Script: TypeAlias = Sequence[Step]


def answer(
    body: bytes = b"",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    reason: str = "Reason",
    length: int | None = None,
) -> bytes:
    """Return the bytes of an answer as the real server frames it.

    `length` is what Content-Length says, the length of `body` if None. A header of the value
    "" replaces a standard one by nothing.
    """
    standard = {
        "x-reduct-api": "1.21",
        "content-length": str(len(body) if length is None else length),
    }
    fields = {**standard, **(headers or {})}
    lines = [f"HTTP/1.1 {status} {reason}"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(*pieces: bytes) -> bytes:
    """Return a body in chunked coding, of these chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """Give a URL where connections are refused, and keep its port from other programs."""
    with socket.socket() as reserved:
        # Bound, never listening.
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}"


class ClientGoneError(Exception):
    """The client closed the connection where a step needs it."""


class ScriptedServer:
    """Plays one script per connection; see the module.

    Attributes:
        requests: what arrived, in order.
        connections: how many connections there were.
        finished: how many of them will get no more bytes.
        tls_failures: handshakes that failed.
    """

    def __init__(self, *scripts: Script) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.finished = 0
        self.tls_failures: list[Exception] = []
        self._scripts = scripts
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._faults: list[Exception] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        # Wakes the thread that waits for a connection, on every platform.
        socket.create_connection(("127.0.0.1", self.port), DEADLINE).close()
        self._threads[0].join(DEADLINE)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join(DEADLINE)
        if any(thread.is_alive() for thread in self._threads):
            self._faults.append(RuntimeError("a thread of the scripted server did not end"))
        if self._faults and exc is None:
            raise ExceptionGroup("in the scripted server", self._faults)

    def _spawn(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._stopping.is_set():
                connection.close()
                return
            connection.settimeout(DEADLINE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            player = _Player(self, connection, script)
            self._spawn(player.run)

    # --- for the players -------------------------------------------------------------------

    def note_open(self, connection: socket.socket) -> None:
        """Remember a connection, so that stopping ends it."""
        with self._lock:
            self._open.add(connection)
            if self._stopping.is_set():
                connection.shutdown(socket.SHUT_RDWR)

    def note_closed(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self._lock:
            self._open.discard(connection)

    def note_finished(self) -> None:
        """Count a connection that gets no more bytes."""
        with self._lock:
            self.finished += 1

    def note_fault(self, fault: Exception) -> None:
        """Keep what must not happen."""
        self._faults.append(fault)

    def wait(self, seconds: float) -> None:
        """Wait, at most until the server is stopped."""
        self._stopping.wait(seconds)


class _Player:
    """Plays a script on one connection."""

    def __init__(self, server: ScriptedServer, connection: socket.socket, script: Script) -> None:
        self._server = server
        self._socket = connection
        self._script = script
        self._received = bytearray()
        self._finished = False

    def run(self) -> None:
        self._server.note_open(self._socket)
        try:
            for step in self._script:
                self._play(step)
            self._finish()
        except ssl.SSLError as fault:
            self._server.tls_failures.append(fault)
        except (ClientGoneError, OSError):
            # The client, or the end of the server, cut the script short.
            pass
        except Exception as fault:
            self._server.note_fault(fault)
        finally:
            self._server.note_closed(self._socket)
            self._socket.close()
            self._note_finished()

    def _play(self, step: Step) -> None:
        if isinstance(step, bytes):
            self._socket.sendall(step)
        elif isinstance(step, Pause):
            self._server.wait(step.seconds)
        elif isinstance(step, Tls):
            self._begin_tls(step.context)
        elif not isinstance(step, Mark):
            self._socket.sendall(step(self._read_request()))
        elif step is REQUEST:
            self._read_request()
        elif step is HEAD:
            self._record(self._read_head(), b"")
        elif step is HOLD:
            self._server.wait(DEADLINE)
        elif step is FINISH:
            self._finish()
        else:
            self._reset()

    def _begin_tls(self, context: ssl.SSLContext) -> None:
        plain = self._socket
        self._socket = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self._server.note_closed(plain)
        self._server.note_open(self._socket)
        self._socket.do_handshake()

    def _read_request(self) -> Request:
        head = self._read_head()
        length = _body_length(head)
        while len(self._received) < length and self._receive():
            pass
        body = bytes(self._received[:length])
        del self._received[:length]
        request = self._record(head, body)
        if not request.complete:
            raise ClientGoneError
        return request

    def _read_head(self) -> bytes:
        while b"\r\n\r\n" not in self._received:
            if not self._receive():
                raise ClientGoneError
        head, separator, _ = self._received.partition(b"\r\n\r\n")
        del self._received[: len(head) + len(separator)]
        return bytes(head)

    def _receive(self) -> bool:
        try:
            piece = self._socket.recv(65536)
        except ConnectionError:
            piece = b""
        self._received += piece
        return bool(piece)

    def _record(self, head: bytes, body: bytes) -> Request:
        method, target, _ = head.split(b"\r\n")[0].decode("ascii").split(" ")
        complete = len(body) == _body_length(head)
        request = Request(method, target, _fields(head), body, complete)
        self._server.requests.append(request)
        return request

    def _finish(self) -> None:
        """Say that no more comes, and take what the client still sends: closing a socket with
        unread bytes resets the connection, and the client could lose what was sent before.
        """
        self._socket.shutdown(socket.SHUT_WR)
        self._note_finished()
        while self._receive():
            self._received.clear()

    def _note_finished(self) -> None:
        if not self._finished:
            self._finished = True
            self._server.note_finished()

    def _reset(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ClientGoneError


def _body_length(head: bytes) -> int:
    return int(_fields(head).get("content-length", "0"))


def _fields(head: bytes) -> httpx.Headers:
    lines = head.split(b"\r\n")[1:]
    pairs = (line.partition(b":") for line in lines)
    return httpx.Headers([(name.strip(), value.strip()) for name, _, value in pairs])
