"""The transport that clients use by default: HTTP/1.1 over connections of our own.

What is decided about bytes is decided in `reduct_core.outgoing` and `reduct_core.http1`, who
gets which connection in `reduct_core.pool`; the connections themselves are in `_wire`.
"""

import ssl
from collections.abc import Iterator, Mapping
from io import BytesIO

import httpx

from reduct_core.http1 import MAX_HEAD_BYTES, Incoming
from reduct_core.messages import Origin, Source
from reduct_core.outgoing import LEAVE_SECONDS, Outgoing, Piece
from reduct_core.pool import Place, Pool

from ._flavour import BaseTransport, Event, make_stock_transport, suits_own_transport, wait
from ._wire import Wire, close_all

Timeouts = Mapping[str, float | None]


class Transport(BaseTransport):
    """An httpx transport for HTTP/1.1, made for answers with many and large headers.

    It works in any httpx client as well, and may be shared between threads.
    It takes heads of 1 MiB and 2,000 lines, acknowledges at once where the system can (Linux),
    and returns an answer that comes while the body is still being sent.

    A request with ``Expect: 100-continue`` and a body from a stream sends the body when the
    server asks for it, at the latest after 1 s, and not at all if the server answers instead.

    Timeouts, `target` and `sni_hostname` come from the request's extensions. Not supported:
    proxies, HTTP/2, upgrades, the extensions `trace` and `network_stream`.
    """

    max_head_bytes = MAX_HEAD_BYTES
    """The largest head of an answer, in bytes."""

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        limits: httpx.Limits = httpx.Limits(max_connections=100, max_keepalive_connections=20),  # noqa: B008
    ):
        """Make a transport; connections are opened when they are needed.

        Args:
            ssl_context: TLS settings for https; None trusts the system's authorities.
            limits: most connections, and how many idle ones are kept how long.
        """
        self._context = ssl_context
        self._pool: Pool[Wire, Event] = Pool(limits, Event)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the response, its body unread; httpx errors for trouble."""
        outgoing = Outgoing(request)
        timeouts: Timeouts = request.extensions.get("timeout", {})
        place = self._enter(outgoing.origin, timeouts.get("pool"))
        incoming = Incoming(request.method, outgoing.has_body)
        exchange = Exchange(self._pool, place, incoming, timeouts)
        try:
            if place.connection is None:
                self._connect(place, request, timeouts.get("connect"))
            return exchange.run(outgoing, request.stream)
        except BaseException:
            exchange.leave()
            raise

    def begin(self, request: httpx.Request) -> "Exchange | None":
        """Send a request with a body in memory at once; `Exchange.finish` gets its answer.

        None if there is no idle connection to spare.
        """
        outgoing = Outgoing(request)
        place = self._pool.enter_idle(outgoing.origin)
        if place is None:
            return None
        timeouts: Timeouts = request.extensions.get("timeout", {})
        incoming = Incoming(request.method, outgoing.has_body)
        exchange = Exchange(self._pool, place, incoming, timeouts)
        try:
            self._freshen(place)
            if place.connection is not None:
                exchange.begin(outgoing.feed(request.read(), last=True))
                return exchange
        except BaseException:
            exchange.leave()
            raise
        exchange.leave()
        return None

    def close(self) -> None:
        """Close all connections; exchanges that still run fail, later ones are refused."""
        close_all(*self._pool.close())

    def _enter(self, origin: Origin, timeout: float | None) -> Place[Wire, Event]:
        place, discarded = self._pool.enter(origin)
        try:
            for wire in discarded:
                wire.close()
            if place.signal is not None:
                if not wait(place.signal, timeout):
                    raise httpx.PoolTimeout("all connections are in use")
                self._pool.check_open(place)
            self._freshen(place)
        except BaseException:
            for wire in self._pool.leave(place):
                wire.close()
            raise
        return place

    def _freshen(self, place: Place[Wire, Event]) -> None:
        for wire in self._pool.freshen(place):
            wire.close()

    def _connect(
        self, place: Place[Wire, Event], request: httpx.Request, timeout: float | None
    ) -> None:
        scheme, host, _ = place.origin
        context = None
        if scheme == "https":
            context = self._context = self._context or ssl.create_default_context()
        name = request.extensions.get("sni_hostname", host)
        place.connection = Wire.connect(place.origin, context, name, timeout)
        self._pool.check_open(place)


def default_transport(
    context: ssl.SSLContext | None, limits: httpx.Limits, proxy: str | None
) -> BaseTransport:
    """Return the transport of a client that was given none, when it is first used.

    It is `Transport`, or httpx's own where that cannot do it: with a proxy, and under trio.
    """
    if proxy is None and suits_own_transport():
        return Transport(ssl_context=context, limits=limits)
    return make_stock_transport(context or ssl.create_default_context(), limits, proxy)


class Exchange(httpx.SyncByteStream):
    """One request and its response, whose body it is."""

    def __init__(
        self,
        pool: Pool[Wire, Event],
        place: Place[Wire, Event],
        incoming: Incoming,
        timeouts: Timeouts,
    ):
        self._pool = pool
        self._place = place
        self._incoming = incoming
        self._read_timeout = timeouts.get("read")
        self._write_timeout = timeouts.get("write")
        self._begun = False
        self._sent = False
        self._left = False
        self._first = b""
        self._unsent: list[Piece] = []

    def run(self, outgoing: Outgoing, stream: Source) -> httpx.Response:
        """Send the request; return the response as soon as its head is there."""
        self._sent = self._send(outgoing, stream)
        return self._answer()

    def begin(self, pieces: list[Piece]) -> None:
        """Send what the system takes at once."""
        self._unsent = pieces
        self._wire.put(pieces.pop(0))
        self._begun = True

    def finish(self) -> httpx.Response:
        """Send the rest of what was begun; return the response as soon as its head is there."""
        try:
            self._sent = self._flush() and self._send_pieces(self._unsent)
            return self._answer()
        except BaseException:
            self.leave()
            raise

    def _answer(self) -> httpx.Response:
        incoming = self._incoming
        while not incoming.head:
            self._first = self._receive()
        if incoming.complete:
            self.leave()
        return incoming.response(self, self._first)

    def leave(self) -> None:
        """Give the connection back, if it is fit for another exchange; close it otherwise."""
        if self._left:
            return
        self._left = True
        keep = self._sent and self._incoming.complete and self._incoming.reusable
        for wire in self._pool.leave(self._place, keep=keep):
            wire.close()

    # --- sending ---------------------------------------------------------------------------

    def _send(self, outgoing: Outgoing, stream: Source) -> bool:
        """Send the whole request; False if the answer came first, or sending failed."""
        if isinstance(stream, httpx.ByteStream):
            return self._send_pieces(outgoing.feed(b"".join(stream), last=True))
        assert isinstance(stream, httpx.SyncByteStream)
        if outgoing.asks and not self._ask(outgoing):
            return False
        for chunk in stream:
            if not self._send_pieces(outgoing.feed(chunk)):
                return False
        return self._send_pieces(outgoing.feed(b"", last=True))

    def _ask(self, outgoing: Outgoing) -> bool:
        """Send the head alone, and wait for leave to send the body; False if it was refused."""
        if not self._send_pieces([outgoing.take_head()]):
            return False
        incoming = self._incoming
        try:
            while not incoming.head and not incoming.may_send:
                data = self._wire.receive(0, LEAVE_SECONDS)
                self._first += self._absorbed(data)
        except httpx.ReadTimeout:
            # It knows no such question.
            return True
        return not self._incoming.head

    def _send_pieces(self, pieces: list[Piece]) -> bool:
        wire = self._wire
        for piece in pieces:
            if self._begun and wire.arrived() and self._is_answered():
                return False
            self._begun = True
            wire.put(piece)
            if not self._flush():
                return False
        return True

    def _flush(self) -> bool:
        try:
            while not self._wire.flush(self._write_timeout):
                if self._is_answered():
                    return False
        except httpx.WriteError:
            # The server may have said why before it closed the connection.
            return False
        return True

    def _is_answered(self) -> bool:
        """Take what arrived while sending; tell whether it is an answer, or the end."""
        data = self._wire.take()
        if data is not None:
            self._first += self._absorbed(data)
        return self._incoming.head

    # --- receiving -------------------------------------------------------------------------

    def __iter__(self) -> Iterator[bytes]:
        try:
            while piece := self.receive():
                yield piece
        finally:
            self.leave()

    def receive(self) -> bytes:
        """Return what comes next of the body, b"" at its end."""
        piece, self._first = self._first, b""
        while not piece and not self._incoming.complete:
            piece = self._receive()
        if self._incoming.complete:
            # The connection is given back as early as possible.
            self.leave()
        return piece

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes of the body, fewer at its end or if that is not known.

        They are received into the object that is returned.
        """
        missing = size - len(self._first)
        if missing <= 0 or self._incoming.wanted < missing:
            return self.receive()
        if not self._first:
            # Where all of it is there already, no buffer has to be made.
            self._first = self._wire.grab(size)
            self._incoming.pass_by(len(self._first))
        if len(self._first) < size:
            self._first = self._filled(size)
        piece, self._first = self._first, b""
        if self._incoming.complete:
            self.leave()
        return piece

    def _filled(self, size: int) -> bytes:
        """Return what came first and what follows, `size` bytes in all."""
        begin = len(self._first)
        buffer = BytesIO(bytes(size))
        with buffer.getbuffer() as view:
            view[:begin] = self._first
            count = self._wire.fill(view[begin:], self._read_timeout)
        self._incoming.pass_by(count)
        if begin + count < size:
            self._incoming.receive_end()
        return buffer.getvalue()

    def absorb(self, most: int) -> None:
        """Receive the rest of the body now, for later; httpx.ReadError if it is too large."""
        if self._incoming.wanted > most:
            raise httpx.ReadError("the answer was given up, because records are removed")
        pieces = [self._first]
        while not self._incoming.complete:
            self._first = b""
            wanted = self._incoming.wanted
            pieces.append(self.read(wanted) if wanted else self.receive())
        self._first = b"".join(pieces)

    def close(self) -> None:
        """End the exchange; a connection on which something is unread is closed."""
        self.leave()

    def _receive(self) -> bytes:
        """Return what comes next of the body, b"" if nothing of it came."""
        wanted = self._incoming.wanted
        return self._absorbed(self._wire.receive(wanted, self._read_timeout))

    def _absorbed(self, data: bytes) -> bytes:
        if data:
            return self._incoming.receive(data)
        self._incoming.receive_end()
        return b""

    @property
    def _wire(self) -> Wire:
        assert self._place.connection is not None
        return self._place.connection
