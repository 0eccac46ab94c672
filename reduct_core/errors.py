"""The errors that reach a user, and the two places where foreign ones become ours.

ReductError                      base: ``status_code`` (-1 without an answer), ``message``
|-- TransportError               no usable answer: not connected, lost, closed; the cause is kept
|   `-- TimeoutError             one phase took too long; also the built-in TimeoutError
|-- ApiError                     the server answered with an error
|   |-- AuthenticationError      401
|   |-- PermissionDeniedError    403
|   |-- NotFoundError            404
|   `-- ConflictError            409
|-- ProtocolError                an answer that is not the API's: short body, bad header, HTML
`-- WriteError                   records of a writer are not stored (`write_report`)

Bad arguments are ValueError or TypeError, raised before anything is sent.
"""

import builtins
import json
import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from reduct_api.errors import UnexpectedBody, UnexpectedStatus

PROXY = "reduct_proxy"
"""The request extension that names the proxy in between, if there is one."""

NO_ANSWER = -1
"""The status code of an error without an answer, as in reduct-py."""

# The server's own words for a lock that was held too long (it answers 500 after 30 or 60 s).
_WEDGE = "Failed to acquire async"
_WEDGE_ADVICE = (
    " (another process writes to or removes from the same entry: use one writer process per"
    " entry, wait up to 60 s, then repeat one call at a time)"
)


class ReductError(Exception):
    """Base of every error of this client.

    ``method`` and ``path`` name the request, where there was one.
    """

    def __init__(
        self,
        status_code: int,
        message: str,
        *,
        method: str | None = None,
        path: str | None = None,
    ):
        super().__init__(status_code, message)
        self.status_code = status_code
        self.message = message
        self.method = method
        self.path = path

    @classmethod
    def from_header(cls, header: str) -> "ReductError":
        """Return the error that a per-record header ``<status>,<message>`` describes."""
        status, _, message = header.partition(",")
        return for_status(int(status), message)

    def __str__(self) -> str:
        return f"Status {self.status_code}: {self.message}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.status_code}, {self.message!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReductError):
            return NotImplemented
        return (self.status_code, self.message) == (other.status_code, other.message)

    def __hash__(self) -> int:
        return hash((self.status_code, self.message))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.status_code, self.message), self.__dict__)


def _rebuild(cls: type[ReductError], status: int, message: str) -> ReductError:
    return cls(status, message)


class TransportError(ReductError):
    """There is no usable answer: not connected, connection lost, or client closed."""


class TimeoutError(TransportError, builtins.TimeoutError):
    """One phase of a request (connect, read, write, pool) took longer than allowed."""


class ApiError(ReductError):
    """The server answered with an error status."""


class AuthenticationError(ApiError):
    """401: the token is missing, unknown, expired, or not allowed from this address."""


class PermissionDeniedError(ApiError):
    """403: the token is valid and may not do this."""


class NotFoundError(ApiError):
    """404: the bucket, entry, record, token or task does not exist."""


class ConflictError(ApiError):
    """409: the name or timestamp exists, or the resource is being deleted or provisioned."""


class ProtocolError(ReductError):
    """An answer that cannot be the API's: short body, malformed header, another document."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
}


def for_status(
    status: int, message: str, *, method: str | None = None, path: str | None = None
) -> ReductError:
    """Return the error of the class that belongs to `status`."""
    if _WEDGE in message:
        message += _WEDGE_ADVICE
    cls: type[ReductError] = _BY_STATUS.get(status, ApiError)
    return cls(status, message, method=method, path=path)


def closed() -> TransportError:
    """Return the error of a call on a client that was closed."""
    return TransportError(NO_ANSWER, "the client is closed")


def from_response(response: httpx.Response) -> ReductError:
    """Return the error that an unsuccessful response describes, its body read if it could be."""
    request = response.request
    status = response.status_code
    if 300 <= status < 400:
        target = response.headers.get("location", "an unnamed address")
        message = f"redirected to {target}; redirects are not followed, use that address as url"
    else:
        message = _server_message(response)
    return for_status(status, message, method=request.method, path=request.url.path)


def _server_message(response: httpx.Response) -> str:
    """Return the server's text: the header, else `detail` of the body, else the reason phrase.

    The header comes first because the server does not escape the body's text.
    """
    header = response.headers.get("x-reduct-error")
    if header:
        return str(header)
    try:
        detail = json.loads(response.content)["detail"]
    except (ValueError, KeyError, TypeError, RecursionError, httpx.ResponseNotRead):
        detail = None
    return detail if isinstance(detail, str) else response.reason_phrase or "no message"


def is_away(error: ReductError) -> bool:
    """Tell whether the server gave no answer; a closed client, which never asks, has no cause."""
    return isinstance(error, TransportError) and error.__cause__ is not None


_HEAD_TOO_LARGE = "the answer's head is larger than"


def is_head_refused(error: ReductError) -> bool:
    """Tell whether somebody on the way did not take the head of an answer: we, or a proxy.

    Proxies say 431 or 502.
    """
    return error.status_code in (431, 502) or error.message.startswith(_HEAD_TOO_LARGE)


class parsing:
    """A context that turns whatever a parser raises over `response` into a ProtocolError."""

    __slots__ = ("_response",)

    def __init__(self, response: httpx.Response):
        self._response = response

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None:
        if isinstance(exc, _UNREADABLE):
            raise not_the_api(self._response, _reason(exc)) from exc


_UNREADABLE = (UnexpectedBody, UnexpectedStatus, LookupError, ValueError, TypeError)


def _reason(exc: BaseException) -> str:
    """Return what was wrong with an answer, without its content, which may hold a token."""
    cause = exc.__cause__ or exc
    return f"{cause} is missing" if isinstance(cause, KeyError) else str(cause)


def check_status(response: httpx.Response, expected: int) -> None:
    """Raise ProtocolError for a success that the API does not give, as gateways do."""
    if response.status_code != expected:
        raise not_the_api(response, f"status {response.status_code} instead of {expected}")


def not_the_api(response: httpx.Response, reason: str) -> ProtocolError:
    """Return the error of a successful answer that the API would not give."""
    kind = response.headers.get("content-type", "no content type")
    return ProtocolError(
        response.status_code,
        f"the answer does not follow the API ({kind}): {reason}",
        method=response.request.method,
        path=response.request.url.path,
    )


class mapped:
    """A context that turns what httpx raises over `request` and its answer into our errors.

    Some errors of sockets and TLS come through httpx as they are.
    """

    __slots__ = ("_request",)

    def __init__(self, request: httpx.Request):
        self._request = request

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None:
        if isinstance(exc, Exception):
            translated = translate(exc, self._request)
            if translated is not exc:
                raise translated from exc


def translate(exc: Exception, request: httpx.Request) -> Exception:
    """Return our error for what httpx raises while `request` is sent or answered, or `exc`."""
    if isinstance(exc, ReductError):
        return exc
    if isinstance(exc, httpx.TimeoutException):
        return _timeout(exc, request)
    if isinstance(exc, (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError)):
        return _lost(exc, request)
    return exc


_PHASES: Mapping[type[httpx.TimeoutException], str] = {
    httpx.ConnectTimeout: "connect",
    httpx.ReadTimeout: "read",
    httpx.WriteTimeout: "write",
    httpx.PoolTimeout: "pool",
}


def _timeout(exc: httpx.TimeoutException, request: httpx.Request) -> TimeoutError:
    phase = _PHASES.get(type(exc), "read")
    seconds = request.extensions.get("timeout", {}).get(phase)
    limit = f"{phase} timeout of {seconds:g} s" if seconds is not None else f"{phase} timeout"
    place = _address(request.url)
    begin = f"Cannot connect to {place}: " if phase == "connect" else ""
    end = "" if phase == "connect" else f" ({request.method} {place}{request.url.path})"
    return TimeoutError(
        NO_ANSWER, f"{begin}{limit} passed{end}", method=request.method, path=request.url.path
    )


def _lost(exc: Exception, request: httpx.Request) -> ReductError:
    where: dict[str, str] = {"method": request.method, "path": request.url.path}
    place = _address(request.url)
    text = str(exc) or type(exc).__name__
    # Older httpcore lets errors of certificates out of the handshake as they are.
    unconnected = (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.ProxyError)
    if isinstance(exc, (*unconnected, ssl.SSLCertVerificationError)):
        proxy = request.extensions.get(PROXY)
        via = f" (through the proxy {proxy}, which the environment names)" if proxy else ""
        return TransportError(NO_ANSWER, f"Cannot connect to {place}{via}: {text}", **where)
    # h11's words for a head above the 100 KiB that httpx's stock transports accept.
    if "Receive buffer too long" in text:
        text = f"{_HEAD_TOO_LARGE} 100 KiB"
    if text.startswith(_HEAD_TOO_LARGE):
        return ProtocolError(
            NO_ANSWER,
            f"{text}, the limit of this transport; ask for smaller answers, e.g."
            " when={'#batch_records': 10}, or use shorter labels",
            **where,
        )
    if isinstance(exc, httpx.DecodingError):
        return ProtocolError(NO_ANSWER, f"the answer's body cannot be decoded: {text}", **where)
    return TransportError(
        NO_ANSWER, f"Connection to {place} was lost before the answer was complete: {text}", **where
    )


def _address(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"
