"""Request bodies in a content coding, decoded as they come."""

import zlib
from collections.abc import Iterator
from typing import Protocol

import zstandard
from starlette.types import Message, Receive, Scope

from reduct_local.errors import ApiError

_GZIP_PIECE = 512 * 1024
"""Greatest number of decoded bytes made at once of gzip."""

_ZSTD_PIECE = 1024
"""Encoded bytes fed at once: four may stand for 128 KiB, so this bounds the memory to 32 MiB."""


class UnknownCodingError(Exception):
    """The body is in a coding that this server does not know (415)."""


class BrokenCodingError(ApiError):
    """The body does not decode (400)."""


class _Decoder(Protocol):
    ended: bool
    """Whether the data so far is complete; no data at all stands for an empty body."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes stand for."""


def decoded(scope: Scope, receive: Receive) -> Receive:
    """Return what receives the decoded body; raises UnknownCodingError.

    Takes `content-encoding` and `content-length` from the headers: they say nothing about the
    body that the endpoints see.
    """
    coding = next((value for name, value in scope["headers"] if name == b"content-encoding"), None)
    if coding is None or coding == b"identity":
        return receive
    if coding not in (b"gzip", b"zstd"):
        raise UnknownCodingError
    scope["headers"] = [
        header
        for header in scope["headers"]
        if header[0] not in (b"content-encoding", b"content-length")
    ]
    return _Decoding(_Gzip() if coding == b"gzip" else _Zstd(), receive)


class _Decoding:
    """An ASGI `receive` whose pieces are decoded, each of bounded size."""

    def __init__(self, decoder: _Decoder, receive: Receive) -> None:
        self._decoder = decoder
        self._receive = receive
        self._pieces: Iterator[bytes] = iter(())
        self._more = True

    async def __call__(self) -> Message:
        while True:
            try:
                piece = next(self._pieces, None)
            except (zlib.error, zstandard.ZstdError) as error:
                raise BrokenCodingError(400, f"Invalid compressed body: {error}") from None
            if piece:
                return {"type": "http.request", "body": piece, "more_body": True}
            if piece is not None:
                continue
            if not self._more:
                if not self._decoder.ended:
                    raise BrokenCodingError(400, "Invalid compressed body: it ends too early")
                return {"type": "http.request", "body": b"", "more_body": False}
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._more = message.get("more_body", False)
            self._pieces = self._decoder.decode(message.get("body", b""))


class _Gzip:
    """Gzip: its first member; what follows is dropped, as the real server does."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self.ended = True

    def decode(self, data: bytes) -> Iterator[bytes]:
        while data and not self._member.eof:
            yield self._member.decompress(data, _GZIP_PIECE)
            data = self._member.unconsumed_tail
            self.ended = self._member.eof


class _Zstd:
    """Zstandard, one frame after the other."""

    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self.ended = True

    def decode(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_PIECE):
            piece = data[start : start + _ZSTD_PIECE]
            while piece:
                if self._frame.eof:
                    self._frame = zstandard.ZstdDecompressor().decompressobj()
                yield self._frame.decompress(piece)
                piece = self._frame.unused_data
                self.ended = self._frame.eof
