"""HTTP/1.1 as a client reads it, for both transports: bytes in, response out; performs no I/O.

`Incoming` reads a response from whatever pieces arrive. Chunked bodies, and heads that are not
of the plainest form, are parsed by httptools (llhttp), which is strict: what could be read in
two ways (both Content-Length and Transfer-Encoding, bare line feeds, folded lines) is refused.
Bodies of a known length, or up to the end of the connection, pass by the parser, since it cannot
be told that a body is absent: the server answers 204 with a Content-Length.
"""

import re
from typing import Any

import httptools
import httpx

from .messages import Field, Response, Source, fields_of
from .outgoing import TOKEN

MAX_HEAD_BYTES = 1024 * 1024
"""The largest head of an answer."""

MAX_HEAD_LINES = 2000
"""Most header lines of an answer."""

HEAD_TOO_LARGE = "the answer's head is larger than 1 MiB or 2,000 lines"
"""How the error for a larger head begins."""

_REASON = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")

# Heads of this form mean the same to every reader, unless their headers contradict each other;
# llhttp judges all others. It calls back for every line, which is slow for 1,000 of them.
_PLAIN = re.compile(
    rb"HTTP/1\.1 ([2-9][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)\r\n(?:"
    + TOKEN
    + rb":[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*\r\n"
)


def _values(lower: bytes, name: bytes) -> list[bytes]:
    """Return the values of a header in a head; all in lower case."""
    values: list[bytes] = []
    mark = b"\r\n%b:" % name
    at = lower.find(mark)
    while at >= 0:
        at += len(mark)
        values.append(lower[at : lower.index(b"\r\n", at)].strip(b" \t"))
        at = lower.find(mark, at)
    return values


class _Sink:
    """What the parser found."""

    __slots__ = ("body", "complete", "in_head", "reason", "surplus")

    def __init__(self) -> None:
        self.reason = b""
        self.in_head = True
        self.body: list[bytes] = []
        self.complete = False
        self.surplus = False

    def on_message_begin(self) -> None:
        """Note whether this is already the next message."""
        self.surplus = self.complete

    def on_status(self, reason: bytes) -> None:
        """Take the reason phrase."""
        if not self.complete:
            self.reason = reason

    def on_headers_complete(self) -> None:
        """Note the end of the head."""
        self.in_head = False

    def on_body(self, piece: bytes) -> None:
        """Take a piece of a chunked body."""
        if not self.complete:
            self.body.append(piece)

    def on_message_complete(self) -> None:
        """Note the end of a chunked body."""
        self.complete = True


class Incoming:
    """The response to one request.

    After an error that answers a request with a body, its connection is not used again: the
    server may have answered without reading the body, and closes the connection behind it.

    Attributes:
        head: whether the head is there; `status`, `reason`, `version` and `fields` come from it.
        text: the head, with its first and its empty last line.
        complete: whether the body is there as well.
        may_send: whether the server gave leave to send the body (100).
        reusable: whether the connection can take another request after that.
    """

    def __init__(self, method: str, has_body: bool = False):
        self.head = False
        self.complete = False
        self.may_send = False
        self.reusable = False
        self.status = 0
        self.reason = b""
        self.version = b"HTTP/1.1"
        self.text = self._lower = b""
        self._bodiless = method == "HEAD"
        self._has_body = has_body
        self._buffer = b""
        self._sink: Any = None
        self._parser: Any = None
        self._chunked = False
        self._length: int | None = None
        self._received = 0
        self._barren = 0

    @property
    def fields(self) -> list[Field]:
        """The headers."""
        return fields_of(self.text)

    @property
    def wanted(self) -> int:
        """How many bytes of the body are to come at most, as far as known; 0 = not known."""
        return 0 if self._length is None or self.complete else self._length - self._received

    def receive(self, data: bytes) -> bytes:
        """Take what arrived; return the bytes of the body in it, b"" if there are none.

        Raises httpx.RemoteProtocolError for what is no HTTP/1.1.
        """
        if not self.head:
            data = self._in_head(data)
        if not data:
            return b""
        if self.complete:
            self.reusable = False
            return b""
        return self._in_chunks(data) if self._chunked else self._in_length(data)

    def receive_end(self) -> None:
        """Note that the connection ended; httpx.RemoteProtocolError if the answer did not."""
        if self.complete:
            return
        if not self.head:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        if self._chunked:
            raise httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body"
                " (incomplete chunked read)"
            )
        if self._length is not None:
            raise httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body"
                f" (received {self._received} bytes, expected {self._length})"
            )
        self.complete = True

    def response(self, stream: Source, body: bytes) -> Response:
        """Return the response as httpx has it; `body` is what arrived of its body already."""
        extensions = {"http_version": self.version, "reason_phrase": self.reason}
        whole = body if self.complete else None
        return Response(self.status, self.text, self._lower, stream, extensions, whole)

    def pass_by(self, count: int) -> None:
        """Note bytes of the body that were received elsewhere; at most `wanted`."""
        self._received += count
        self.complete = self._received == self._length

    # --- head ------------------------------------------------------------------------------

    def _in_head(self, data: bytes) -> bytes:
        """Return what follows the head, b"" while it is incomplete."""
        seen = max(len(self._buffer) - 3, 0)
        if self._buffer:
            data = self._buffer + data
        while (end := _head_end(data, seen)) > 0:
            self._parse(data, end)
            data = data[end:]
            if self.head:
                self._buffer = b""
                return data
            seen = 0
        if len(data) > MAX_HEAD_BYTES:
            raise httpx.RemoteProtocolError(HEAD_TOO_LARGE)
        self._buffer = data
        return b""

    def _parse(self, data: bytes, end: int) -> None:
        if end > MAX_HEAD_BYTES or data.count(b"\n", 0, end) > MAX_HEAD_LINES + 2:
            raise httpx.RemoteProtocolError(HEAD_TOO_LARGE)
        self.text = head = data[:end]
        self._lower = lower = head.lower()
        codings, lengths = _values(lower, b"transfer-encoding"), _values(lower, b"content-length")
        plain = _PLAIN.fullmatch(head)
        if plain is not None and not codings and _is_length(lengths):
            self.status, self.reason = int(plain[1]), plain[2]
        elif not self._judge(head):
            return
        self.head = True
        self._choose_framing(codings, lengths, _values(lower, b"connection"))

    def _judge(self, head: bytes) -> bool:
        """Let the parser read a head; tell whether it is that of a final answer."""
        self._sink = sink = _Sink()
        self._parser = parser = httptools.HttpResponseParser(sink)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as exc:
            raise httpx.RemoteProtocolError(f"illegal head of an answer: {exc}") from exc
        self.status = parser.get_status_code()
        proper = head.startswith(b"HTTP/") and _REASON.fullmatch(sink.reason)
        if self.status < 100 or sink.in_head or not proper:
            raise httpx.RemoteProtocolError("illegal head of an answer")
        if self.status < 200 and self.status != 101:
            self.may_send = self.may_send or self.status == 100
            return False
        self.reason = sink.reason
        self.version = b"HTTP/" + parser.get_http_version().encode("ascii")
        return True

    def _choose_framing(
        self, codings: list[bytes], lengths: list[bytes], connections: list[bytes]
    ) -> None:
        options = b",".join(connections).split(b",")
        close = b"close" in map(bytes.strip, options)
        self.reusable = self.version == b"HTTP/1.1" and not close and self.status != 101
        if self._has_body and self.status >= 400:
            self.reusable = False
        if codings and codings != [b"chunked"]:
            raise httpx.RemoteProtocolError("Only Transfer-Encoding: chunked is supported")
        if self._bodiless or self.status in (101, 204, 304):
            self.complete = True
        elif codings:
            self._chunked = True
            self._sink.complete = False
        elif lengths:
            self._length = int(lengths[0])
            self.complete = self._length == 0
        else:
            self.reusable = False
        if not self._chunked:
            self._parser = None

    # --- body ------------------------------------------------------------------------------

    def _in_length(self, data: bytes) -> bytes:
        if self._length is not None:
            missing = self._length - self._received
            if len(data) > missing:
                self.reusable = False
                data = data[:missing]
            self.complete = len(data) == missing
        self._received += len(data)
        return data

    def _in_chunks(self, data: bytes) -> bytes:
        sink = self._sink
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as exc:
            # What follows the answer is no part of it, whatever it is.
            if not sink.complete:
                raise httpx.RemoteProtocolError(f"illegal chunked body: {exc}") from exc
            sink.surplus = True
        body = sink.body[0] if len(sink.body) == 1 else b"".join(sink.body)
        sink.body.clear()
        self._barren = 0 if body else self._barren + len(data)
        if self._barren > MAX_HEAD_BYTES:
            raise httpx.RemoteProtocolError("a chunked body without content goes on for ever")
        if sink.complete:
            self.complete, self._parser = True, None
            self.reusable = self.reusable and not sink.surplus
        return body


def _is_length(lengths: list[bytes]) -> bool:
    """Tell whether these values of Content-Length are one number, or none."""
    return not lengths or (len(lengths) == 1 and lengths[0].isdigit() and len(lengths[0]) < 19)


def _head_end(data: bytes, begin: int) -> int:
    """Return where a head ends, 0 if it does not yet.

    Bare line feeds count as line ends here, for the parser to refuse them.
    """
    end = data.find(b"\n\r\n", begin)
    bare = data.find(b"\n\n", begin, end if end >= 0 else len(data))
    if bare >= 0:
        return bare + 2
    return end + 3 if end >= 0 else 0
