"""The life of one request, as steps that a flavour performs; performs no I/O itself.

A generator says what is wanted next (send, discard, sleep) and is resumed with the outcome,
so that attempts, waiting and error mapping are decided once for both flavours.
"""

import json
import logging
import random
import re
import threading
import time
from collections.abc import Generator, Mapping
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlencode

import httpx
from attrs import frozen

from reduct_api.types import RequestSpec, StreamSpec

from . import errors
from .config import API_PREFIX, OLDEST_API, Config, Retry
from .messages import Common, Field, Request, field
from .version import __version__

log = logging.getLogger("reduct")

T = TypeVar("T")

Spec: TypeAlias = RequestSpec[Any] | StreamSpec


ASKING_BYTES = 1024 * 1024
"""From this size on a body that comes from a stream is sent when the server asks for it."""


@frozen
class Send:
    """Send the request; resume with the response, its body unread, or throw the error."""

    request: httpx.Request


@frozen
class Discard:
    """Read the body of a failed response, which is short, and close it."""

    response: httpx.Response
    reusable: bool = True
    """Whether its connection may be used again."""


@frozen
class Sleep:
    """Wait."""

    seconds: float


Step: TypeAlias = Send | Discard | Sleep
Exchange: TypeAlias = Generator[Step, httpx.Response | None, httpx.Response]


def exchange(
    session: "Session", spec: Spec, request: httpx.Request, *, repeatable: bool
) -> Exchange:
    """Yield steps until a successful response to `spec` can be returned, its body unread.

    `repeatable` allows another try after 429 and 503; without a connection nothing was sent,
    so every request is tried again.
    """
    retry = session.config.retry
    for attempt in range(1, retry.attempts + 1):
        final = attempt == retry.attempts
        began = time.monotonic()
        asked = 0.0
        try:
            response = yield Send(request)
        except Exception as exc:
            failure = errors.translate(exc, request)
            if failure is exc:
                raise
            log.debug("%s %s: %s", request.method, request.url.path, failure)
            if final or not _never_sent(exc):
                raise failure from exc
        else:
            assert response is not None
            _log_answer(request, response, began)
            response.request = request
            refusal = session.receive(response)
            if response.is_success and refusal is None:
                return response
            # The server closes the connection behind an early answer, which a request that
            # follows at once may notice too late.
            yield Discard(response, reusable=spec.content is None)
            error = refusal or errors.from_response(response)
            wait = _asked_wait(error)
            if final or not repeatable or wait is None or wait > retry.longest:
                raise error
            asked = wait
        yield Sleep(max(_backoff(retry, attempt), asked))
    raise AssertionError("a Retry has at least one attempt")


def _log_answer(request: httpx.Request, response: httpx.Response, began: float) -> None:
    if log.isEnabledFor(logging.DEBUG):
        elapsed = (time.monotonic() - began) * 1000
        status = response.status_code
        log.debug("%s %s: %d, %.1f ms", request.method, request.url.path, status, elapsed)


def _backoff(retry: Retry, attempt: int) -> float:
    return min(retry.backoff * 2.0 ** min(attempt - 1, 60), retry.longest) * random.uniform(
        0.5, 1.0
    )


def _never_sent(cause: BaseException | None) -> bool:
    return isinstance(cause, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))


_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")

_RETRY_AFTER = re.compile(r"retry_after=([0-9]+)s")


def _asked_wait(error: errors.ReductError) -> float | None:
    """Return the seconds to wait after 429 or 503, 0 if not told; None for other errors.

    The server has no Retry-After header; the number is at the end of its message.
    """
    if error.status_code not in (429, 503):
        return None
    match = _RETRY_AFTER.search(error.message)
    return float(match[1]) if match else 0.0


class Session:
    """What a client remembers between requests: address, headers, cookies, server version.

    May be used from several threads.
    """

    def __init__(self, config: Config):
        self.config = config
        self.api_version: tuple[int, int] | None = None
        self.closed = False
        self._api_text: str | None = None
        self._cookies = httpx.Cookies()
        self._extensions: dict[str, Any] = {
            "timeout": dict(config.timeout),
            errors.PROXY: config.proxy,
        }
        self._prefix = config.url.raw_path.rstrip(b"/") + API_PREFIX.encode()
        self._common = Common(config.url, config.headers)
        self._clock = UniqueClock()

    def request(self, spec: Spec, timeout: float | None = None) -> httpx.Request:
        """Return the request that `spec` describes; nothing is sent.

        `timeout` shortens the client's own, in seconds.
        """
        if self.closed:
            raise errors.closed()
        path = self._prefix + spec.url.encode("ascii")
        if spec.params:
            path += b"?" + _query(spec.params)
        extensions = self._extensions if timeout is None else self._hurried(timeout)
        if spec.content is None or isinstance(spec.content, bytes):
            body, fields = _body(spec)
            request: httpx.Request = Request(
                self._common, spec.method, path, fields, body, extensions
            )
        else:
            request = httpx.Request(
                spec.method,
                self.config.url.copy_with(raw_path=path),
                headers={**self.config.headers, **spec.headers, **_question(spec)},
                content=spec.content,
                extensions=extensions,
            )
        if self._cookies.jar:
            self._cookies.set_cookie_header(request)
        return request

    def _hurried(self, timeout: float) -> dict[str, Any]:
        phases = self.config.timeout.items()
        shorter = {phase: timeout if s is None else min(s, timeout) for phase, s in phases}
        return {**self._extensions, "timeout": shorter}

    def receive(self, response: httpx.Response) -> errors.ReductError | None:
        """Take cookies and the server's version from an answer.

        Load balancers set cookies to keep a client, and so its queries, on one node.

        Returns the error of a server that is older than this client supports, or of a success
        that comes from somewhere else.
        """
        if field(response, "set-cookie") is not None:
            self._cookies.extract_cookies(response)
        text = field(response, "x-reduct-api")
        if text is not None and text != self._api_text:
            self._api_text = text
            self.api_version = _version(text)
        if self.api_version is not None and self.api_version < OLDEST_API:
            return _too_old(self.api_version, response)
        # What has a header of the API comes from a server.
        if text is None and response.is_success and _is_page(response):
            return errors.not_the_api(response, "a page of a proxy or of another server")
        return None

    def now(self) -> int:
        """Return the present time in microseconds, never the same twice."""
        return self._clock.now()


def _query(params: Mapping[str, str | int]) -> bytes:
    if all(type(value) is int for value in params.values()):
        # Nearly always; names of parameters need no quotes.
        return "&".join([f"{name}={value}" for name, value in params.items()]).encode("ascii")
    return urlencode(params).encode("ascii")


def _question(spec: Spec) -> dict[str, str]:
    """Return the header that asks for leave to send a large body that comes from a stream.

    It cannot be sent twice, and most of the server's errors would come behind all of it (T20).
    """
    sizes = [int(value) for name, value in spec.headers.items() if name.lower() == "content-length"]
    return {"expect": "100-continue"} if sizes and sizes[0] >= ASKING_BYTES else {}


_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


def _body(spec: Spec) -> tuple[bytes, list[Field]]:
    """Return the body in memory, and all headers of `spec` with those that describe the body."""
    body, kind = spec.content, None
    if spec.json is not None:
        body, kind = json.dumps(spec.json, separators=(",", ":"), allow_nan=False).encode(), _JSON
    assert body is None or isinstance(body, bytes)
    fields = [(name.encode("ascii"), value.encode("ascii")) for name, value in spec.headers.items()]
    names = {name.lower() for name, _ in fields}
    if kind is not None and b"content-type" not in names:
        fields.append((b"content-type", kind))
    if (body or spec.method in _BODY_METHODS) and b"content-length" not in names:
        fields.append((b"content-length", b"%d" % len(body or b"")))
    return body or b"", fields


_JSON = b"application/json"


def _version(text: str) -> tuple[int, int] | None:
    """Return the version that a header `<major>.<minor>` tells; None for other text."""
    match = _VERSION.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None


def _too_old(version: tuple[int, int], response: httpx.Response) -> errors.ReductError:
    found, oldest = (".".join(map(str, pair)) for pair in (version, OLDEST_API))
    return errors.ProtocolError(
        response.status_code,
        f"the server speaks API {found}; reduct-httpx {__version__} needs ReductStore {oldest} or"
        " newer",
    )


def _is_page(response: httpx.Response) -> bool:
    """Tell whether a text came without any header of the API; records have several."""
    is_text = (field(response, "content-type") or "").lower().startswith("text/")
    return is_text and not any(name.startswith("x-reduct-") for name in response.headers)


class UniqueClock:
    """Microseconds now, one more than the last where the clock stood still."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def now(self) -> int:
        """Return a time that this clock has not returned before."""
        with self._lock:
            self._last = max(time.time_ns() // 1000, self._last + 1)
            return self._last


def parse(spec: RequestSpec[T], response: httpx.Response) -> T:
    """Return what a fully read response holds; ProtocolError for anything else."""
    with errors.parsing(response):
        return spec.parse(response)
