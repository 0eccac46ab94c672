"""The bucket of another server that a replication writes to, over batch protocol v1."""

import itertools
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias
from urllib.parse import quote

import httpx
import zstandard

from reduct_local.batch_v1 import CONTROLS, parse_value, record_header
from reduct_local.engine import Record
from reduct_local.errors import ApiError
from reduct_local.integers import parse_u64
from reduct_local.replication.settings import Target

TIMEOUT_S = 10
"""How long a connection may take."""

ANSWER_S = 75
"""How long an answer may take: a busy real server answers within a minute."""

TRY_AGAIN = {429, 502, 503, 504}
"""Statuses after which the same records are sent again."""

TIMED_OUT = -2
NOT_CONNECTED = -3
BAD_ADDRESS = -4
"""Statuses of diagnostics where no answer came."""

COMPRESSING_API = (1, 21)
"""The first API version that takes compressed bodies."""

ERROR_PREFIX = "x-reduct-error-"

Content: TypeAlias = Callable[[Record], Iterable[bytes]]
"""Gives the bytes of a record, piece by piece."""


class UnavailableError(Exception):
    """The destination cannot be written to for now; the records have to be sent again."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(str(error))
        self.error = error


class VanishedError(Exception):
    """A record was removed while it was being sent."""


class Destination:
    """A connection to the bucket of a target, which is created where it is missing.

    The user calls `close`.
    """

    def __init__(self, target: Target, content: Content) -> None:
        self.target = target
        self._content = content
        self._compression = ""
        token = target.token
        self._client = httpx.AsyncClient(
            headers={"authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(ANSWER_S, connect=TIMEOUT_S),
            # Without TLS nothing is verified, and reading the certificates takes a while.
            verify=target.host.lower().startswith("https:"),
        )
        self._url = f"{target.host.rstrip('/')}/api/v1/b/{quote(target.bucket, safe='')}"

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def open(self) -> None:
        """Make sure that the bucket is there; UnavailableError where it cannot be had."""
        response = await self._request("GET", self._url)
        if response.status_code == 404:
            response = await self._request("POST", self._url)
        if response.status_code != 200:
            raise UnavailableError(_error(response))
        if self.target.compression != "none" and _takes_compression(response):
            self._compression = self.target.compression

    async def update(self, entry: str, records: Sequence[Record]) -> dict[int, ApiError]:
        """Set the labels of records; return what failed, by timestamp.

        Where the whole request failed for want of the entry, so did every record. Raises
        ApiError for any other refusal of the whole, UnavailableError where it may be repeated.
        """
        headers = [
            record_header(record.timestamp, 0, "", record.labels) for record in _in_order(records)
        ]
        response = await self._request("PATCH", self._batch_url(entry), headers)
        if response.status_code == 404:
            return {record.timestamp: _error(response) for record in records}
        return _failures(response)

    async def write(self, entry: str, records: Sequence[Record]) -> dict[int, ApiError]:
        """Write whole records; return what failed, by timestamp.

        Raises ApiError for a refusal of the whole, UnavailableError where it may be repeated,
        VanishedError where a record was removed meanwhile.
        """
        records = _in_order(records)
        headers = [head(record) for record in records]
        pieces: Iterable[bytes] = itertools.chain.from_iterable(map(self._content, records))
        if self._compression:
            # The compressed size is not known beforehand: such bodies are sent in chunks.
            headers.append((b"content-encoding", self._compression.encode()))
            pieces = _compressed(pieces, self._compression)
        else:
            size = sum(record.size for record in records)
            headers.append((b"content-length", b"%d" % size))
        url = self._batch_url(entry)
        return _failures(await self._request("POST", url, headers, _stream(pieces)))

    def _batch_url(self, entry: str) -> str:
        return f"{self._url}/{quote(entry, safe='/$')}/batch"

    async def _request(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[bytes, bytes]] = (),
        content: AsyncIterator[bytes] | None = None,
    ) -> httpx.Response:
        try:
            response = await self._client.request(
                method, url, headers=list(headers), content=content
            )
        except httpx.TimeoutException as error:
            raise UnavailableError(ApiError(TIMED_OUT, _text(error))) from error
        except httpx.HTTPError as error:
            raise UnavailableError(ApiError(NOT_CONNECTED, _text(error))) from error
        except httpx.InvalidURL as error:
            raise UnavailableError(ApiError(BAD_ADDRESS, _text(error))) from error
        if response.status_code in TRY_AGAIN:
            raise UnavailableError(_error(response))
        return response


def head(record: Record) -> tuple[bytes, bytes]:
    """Return the batch header of a record; ApiError 422 where no such header can carry it.

    One such record would make the destination refuse the whole batch, and ends the real server.
    """
    name, value = record_header(record.timestamp, record.size, record.content_type, record.labels)
    parse_value(record.timestamp, value)
    if CONTROLS.search(value.decode()):
        raise ApiError(422, "Labels or content type do not fit into a header")
    return name, value


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def _compressed(pieces: Iterable[bytes], compression: str) -> Iterator[bytes]:
    compressor: _Compressor
    if compression == "zstd":
        compressor = zstandard.ZstdCompressor().compressobj()
    else:
        compressor = zlib.compressobj(wbits=31)
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()


async def _stream(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    try:
        for piece in pieces:
            # An empty chunk would end a chunked body.
            if piece:
                yield piece
    except ApiError as error:
        raise VanishedError from error


def _in_order(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record.timestamp)


def _failures(response: httpx.Response) -> dict[int, ApiError]:
    """Return the records' errors that an answer names; raises ApiError if all is refused."""
    if response.status_code != 200:
        raise _error(response)
    found: dict[int, ApiError] = {}
    for name, value in response.headers.items():
        timestamp = parse_u64(name.removeprefix(ERROR_PREFIX))
        if name.startswith(ERROR_PREFIX) and timestamp is not None:
            status, _, message = value.partition(",")
            found[timestamp] = ApiError(parse_u64(status) or -1, message)
    return found


def _error(response: httpx.Response) -> ApiError:
    return ApiError(response.status_code, response.headers.get("x-reduct-error", "Unknown"))


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__


def _takes_compression(response: httpx.Response) -> bool:
    major, _, minor = response.headers.get("x-reduct-api", "").partition(".")
    version = (parse_u64(major), parse_u64(minor))
    return version[0] is not None and version[1] is not None and version >= COMPRESSING_API
