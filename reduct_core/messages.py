"""Requests and responses of httpx whose headers become objects only when somebody looks.

A query of small records lives from this: a head of 1,000 lines is read as one text, and the
same few headers go out with every request.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import httpx

Field: TypeAlias = tuple[bytes, bytes]
"""Name and value of a header."""

Source: TypeAlias = httpx.SyncByteStream | httpx.AsyncByteStream
"""A body as httpx has it."""


Origin: TypeAlias = tuple[str, str, int]
"""Scheme, host and port."""

DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(url: httpx.URL) -> Origin:
    """Return where `url` leads; httpx.UnsupportedProtocol for anything but http and https."""
    if url.scheme not in DEFAULT_PORTS or not url.host:
        raise httpx.UnsupportedProtocol(
            f"Request URL needs 'http://' or 'https://' and a host: {str(url)!r}"
        )
    return url.scheme, url.raw_host.decode("ascii"), url.port or DEFAULT_PORTS[url.scheme]


def block(fields: Iterable[Field]) -> bytes:
    """Return header lines as they are sent."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def fields_of(head: bytes) -> list[Field]:
    """Return the headers in a head that was found to be in order."""
    lines = [line.partition(b":") for line in head.split(b"\r\n")[1:-2]]
    return [(name, value.strip(b" \t")) for name, _, value in lines]


class Common:
    """What the requests of one client have in common: where they go, and some headers."""

    def __init__(self, url: httpx.URL, headers: Mapping[str, str]):
        self.url = url
        self.origin = origin_of(url)
        self.fields: list[Field] = [(b"host", url.netloc)]
        self.fields += [(name.encode(), value.encode("ascii")) for name, value in headers.items()]
        self.lines = block(self.fields)


class Request(httpx.Request):
    """A request with a body in memory, whose URL and headers are made when somebody looks."""

    def __init__(
        self,
        common: Common,
        method: str,
        target: bytes,
        fields: list[Field],
        body: bytes,
        extensions: Mapping[str, Any],
    ):
        super().__init__(
            method, common.url, stream=httpx.ByteStream(body), extensions=dict(extensions)
        )
        self.origin = common.origin
        self.target = target
        self.body = body
        self._common = common
        self._fields = fields
        self._made_url: httpx.URL | None = None
        self._made_headers: httpx.Headers | None = None
        self.untouched = True
        """Whether nobody has had a chance to change its headers, nor changed its address."""

    @property
    def url(self) -> httpx.URL:
        """The address, with the path that is sent."""
        if self._made_url is None:
            self._made_url = self._common.url.copy_with(raw_path=self.target)
        return self._made_url

    @url.setter
    def url(self, url: httpx.URL) -> None:
        self._made_url = url
        self.untouched = False

    @property
    def headers(self) -> httpx.Headers:
        """The headers."""
        if self._made_headers is None:
            self._made_headers = httpx.Headers([*self._common.fields, *self._fields])
            self.untouched = False
        return self._made_headers

    @headers.setter
    def headers(self, headers: httpx.Headers) -> None:
        self._made_headers = headers
        self.untouched = False

    @property
    def lines(self) -> tuple[bytes, int]:
        """The header lines as they are sent while it is untouched, and their number."""
        own = self._fields
        return self._common.lines + block(own), len(self._common.fields) + len(own)

    @property
    def content(self) -> bytes:
        """The body."""
        return self.read()


class Response(httpx.Response):
    """A response that keeps its head as it came; headers are made when somebody looks."""

    def __init__(
        self,
        status: int,
        head: bytes,
        lower: bytes,
        stream: Source,
        extensions: dict[str, Any],
        body: bytes | None = None,
    ):
        """`head` begins with its first and ends with its empty line, `lower` is it in lower case.

        `body` is None if it is still to be received.
        """
        super().__init__(status, stream=stream, extensions=extensions)
        self._head = head
        self._lower = lower
        self._made_headers: httpx.Headers | None = None
        self.is_plain = b"\r\ncontent-encoding:" not in self._lower
        """Whether the body is sent as it is, not compressed."""
        self.body = body if self.is_plain else None
        """The whole body, if it came with the head."""

    @property
    def headers(self) -> httpx.Headers:
        """The headers."""
        if self._made_headers is None:
            self._made_headers = httpx.Headers(fields_of(self._head))
        return self._made_headers

    @headers.setter
    def headers(self, headers: httpx.Headers) -> None:
        self._made_headers = headers

    @property
    def content(self) -> bytes:
        """The body, once it is read."""
        return super().content if self.body is None else self.body

    def read(self) -> bytes:
        """Return the whole body."""
        return super().read() if self.body is None else self.body

    async def aread(self) -> bytes:
        """Return the whole body."""
        return await super().aread() if self.body is None else self.body

    def close(self) -> None:
        """Give the connection back, which was done already if the whole body is there."""
        if self.body is None:
            super().close()
        self.is_closed = True

    async def aclose(self) -> None:
        """Give the connection back, which was done already if the whole body is there."""
        if self.body is None:
            await super().aclose()
        self.is_closed = True

    @property
    def lines(self) -> str:
        """The head, decoded as httpx does with headers."""
        return _decoded(self._head)

    def field(self, name: str) -> str | None:
        """Return the first value of a header; `name` is in lower case."""
        begin = self._lower.find(b"\r\n%b:" % name.encode())
        if begin < 0:
            return None
        begin += len(name) + 3
        return _decoded(self._head[begin : self._head.index(b"\r\n", begin)].strip(b" \t"))


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("iso-8859-1")


def lines(response: httpx.Response) -> str:
    """Return the headers of any response as lines, each between line ends."""
    if isinstance(response, Response):
        return response.lines
    found = [f"{name}: {value}\r\n" for name, value in response.headers.multi_items()]
    return "\r\n" + "".join(found)


def field(response: httpx.Response, name: str) -> str | None:
    """Return the value of a header of any response; `name` is in lower case."""
    if isinstance(response, Response):
        return response.field(name)
    value: str | None = response.headers.get(name)
    return value
