"""Requests as HTTP/1.1 frames them, for both transports; performs no I/O."""

import re
from typing import TypeAlias

import httpx

from .messages import Request, block, origin_of

JOIN_BYTES = 64 * 1024
"""Bodies up to this size leave in one piece with the head."""

LEAVE_SECONDS = 1.0
"""How long a request that asks for leave waits for it; then the body is sent all the same."""

PIECE_BYTES = 256 * 1024
"""How much is sent before a look at whether an answer has come already."""

Piece: TypeAlias = bytes | memoryview

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""The name of a header, or a method."""

# One pattern over the whole head; the number of its lines tells that no value holds a line end.
_HEAD = re.compile(
    TOKEN + rb" [\x21-\x7e]+ HTTP/1\.1\r\n(?:" + TOKEN + rb": [^\x00-\x08\x0a-\x1f\x7f]*\r\n)*\r\n"
)


class Outgoing:
    """One request: gives its body the framing that its headers announce.

    Attributes:
        origin: where it goes.
        has_body: whether it announces a body that is not empty.
        asks: whether it asks for leave to send its body (``Expect: 100-continue``).

    Raises httpx.LocalProtocolError for what must not be sent.
    """

    def __init__(self, request: httpx.Request):
        # `_missing` is None where the length is unknown and the body is sent in chunks.
        if isinstance(request, Request) and request.untouched:
            self.origin = request.origin
            self._pending = _request_head(request.method, request.target, *request.lines)
            self._missing: int | None = len(request.body)
            self.asks = False
        else:
            self.origin = origin_of(request.url)
            fields = request.headers.raw
            target = request.extensions.get("target", request.url.raw_path)
            self._pending = _request_head(request.method, target, block(fields), len(fields))
            self._missing = _announced(fields)
            self.asks = any(
                name.lower() == b"expect" and value.lower() == b"100-continue"
                for name, value in fields
            )
        self.has_body = self._missing != 0

    def take_head(self) -> bytes:
        """Return the head, which is to be sent before anything of the body."""
        head, self._pending = self._pending, b""
        return head

    def feed(self, chunk: Piece, last: bool = False) -> list[Piece]:
        """Return what is to be sent for the next chunk of the body, in pieces.

        The head is held back for the first chunk, so that small ones leave together with it.
        """
        if not chunk and not last:
            return []
        framed = self._framed(chunk, last)
        head = self.take_head()
        if head and sum(map(len, framed)) <= JOIN_BYTES:
            return [b"".join([head, *framed])]
        pieces: list[Piece] = [head] if head else []
        for part in framed:
            pieces += _cut(part)
        return pieces

    def _framed(self, chunk: Piece, last: bool) -> list[Piece]:
        if self._missing is None:
            begin: list[Piece] = [b"%x\r\n" % len(chunk), chunk, b"\r\n"] if chunk else []
            return [*begin, b"0\r\n\r\n"] if last else begin
        self._missing -= len(chunk)
        if self._missing < 0:
            raise httpx.LocalProtocolError("Too much data for declared Content-Length")
        if last and self._missing:
            raise httpx.LocalProtocolError("Too little data for declared Content-Length")
        return [chunk] if chunk else []


def _cut(part: Piece) -> list[Piece]:
    if len(part) <= PIECE_BYTES:
        return [part]
    view = memoryview(part)
    return [view[begin : begin + PIECE_BYTES] for begin in range(0, len(view), PIECE_BYTES)]


def _request_head(method: str, target: bytes, lines: bytes, count: int) -> bytes:
    verb = method.encode("ascii", "replace")
    head = b"%b %b HTTP/1.1\r\n%b\r\n" % (verb, target, lines)
    if head.count(b"\r\n") != count + 2 or _HEAD.fullmatch(head) is None:
        # The values stay out of the message: one may be a token.
        raise httpx.LocalProtocolError(
            "the request's head has a character that must not be sent, e.g. a line end"
        )
    if verb == b"CONNECT":
        raise httpx.LocalProtocolError("CONNECT needs a transport for proxies")
    return head


def _announced(fields: list[tuple[bytes, bytes]]) -> int | None:
    """Return the announced length of a body, 0 without one, None for chunked coding."""
    framing = _framing(fields)
    codings, lengths = framing[b"transfer-encoding"], framing[b"content-length"]
    if len(codings) + len(lengths) > 1:
        raise httpx.LocalProtocolError("more than one header announces the length of the body")
    if codings and codings[0].lower() != b"chunked":
        raise httpx.LocalProtocolError("Only Transfer-Encoding: chunked is supported")
    if codings:
        return None
    if lengths and not lengths[0].isdigit():
        raise httpx.LocalProtocolError("bad Content-Length")
    return int(lengths[0]) if lengths else 0


_FRAMING = (b"transfer-encoding", b"content-length", b"connection")
_LONGEST = max(map(len, _FRAMING))


def _framing(fields: list[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    """Return the values of the headers that say where a message ends."""
    found: dict[bytes, list[bytes]] = {name: [] for name in _FRAMING}
    for name, value in fields:
        # Nearly all lines of a batch have longer names.
        if len(name) <= _LONGEST and (values := found.get(name.lower())) is not None:
            values.append(value)
    return found
