"""A destination of replications that notes what arrives and answers as it is told."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Arrived:
    """One request; header names in lower case, the body without its chunks."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer with an empty body; status 0 closes the connection instead."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class FakeDestination:
    """What arrived, and what is answered.

    Attributes:
        port: where it listens on 127.0.0.1.
        requests: what arrived, in order.
        replies: what the next requests of a method get; after them all is well.
        api_version: what it says its API version is.
        open: answers wait while this is clear.
    """

    port: int
    requests: list[Arrived] = field(default_factory=list)
    replies: dict[str, list[Reply]] = field(default_factory=dict)
    api_version: str = "1.21"
    open: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """The address for replications."""
        return f"http://127.0.0.1:{self.port}"

    def expect(self, method: str, *replies: Reply) -> None:
        """Answer the next requests of a method like this."""
        self.replies[method] = list(replies)

    def methods(self) -> list[str]:
        """Return the methods of what arrived."""
        return [request.method for request in self.requests]

    def take(self, request: Arrived) -> Reply:
        """Note a request and return its answer."""
        self.requests.append(request)
        waiting = self.replies.get(request.method)
        return waiting.pop(0) if waiting else Reply()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeDestination

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.fake.take(Arrived(self.command, self.path, headers, self._body()))
        self.fake.open.wait()
        if not reply.status:
            self.close_connection = True
            return
        try:
            self._send(reply)
        except ConnectionError:
            # The source was stopped while it waited.
            self.close_connection = True

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        standard = {"x-reduct-api": self.fake.api_version, "content-length": "0"}
        for name, value in {**standard, **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    do_GET = do_POST = do_PATCH = _answer

    def _body(self) -> bytes:
        if "transfer-encoding" not in self.headers:
            return self.rfile.read(int(self.headers.get("content-length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def fake_destination() -> Iterator[FakeDestination]:
    """Give a running destination."""

    class Handler(_Handler):
        """The handler of this destination alone."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        fake = Handler.fake = FakeDestination(server.server_address[1])
        fake.open.set()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake
        finally:
            fake.open.set()
            server.shutdown()
            thread.join()
