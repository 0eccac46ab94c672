"""The settings of a client, checked once when it is made."""

import math
from collections.abc import Mapping
from typing import Any

import httpx
from attrs import field, frozen

from .network import is_port
from .version import __version__

API_PREFIX = "/api/v1"

OLDEST_API = (1, 20)
"""The oldest server API that this client speaks."""

CONNECT_SECONDS = 10.0
INACTIVITY_SECONDS = 75.0
"""Above the 60 s after which the server answers when an entry is locked."""

LONGEST_SECONDS = 10 * 366 * 24 * 3600.0
"""The longest timeout; the system's own clocks take no more than some decades."""

MAX_EXTRA_HEADERS = 8
"""With these, HTTP's own and a proxy's, 80 records of a batch still fit into 100 lines."""


@frozen(kw_only=True)
class Retry:
    """When a request is sent again by itself.

    Only where nothing was sent (no connection), and on 429 and 503 for calls that change
    nothing. Writes and reads of a query are never repeated blindly.
    """

    attempts: int = field(default=3)
    """How often a request is tried in all, at least 1."""
    backoff: float = field(default=0.1)
    """Seconds before the second try; doubled each time, shortened by up to a half at random."""
    longest: float = field(default=10.0)
    """Seconds; an error that asks for a longer wait (``retry_after``) is raised at once."""

    @attempts.validator
    def _(self, _attribute: object, value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"attempts={value!r} must be an int of at least 1")

    @backoff.validator
    @longest.validator
    def _(self, attribute: Any, value: object) -> None:
        if not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
            raise ValueError(f"{attribute.name}={value!r} must be seconds, not negative")


@frozen(kw_only=True)
class Config:
    """What every request of a client needs."""

    url: httpx.URL
    """The server's address, without the API's own path and without a final slash."""
    headers: Mapping[str, str] = field(repr=False)
    proxy: str | None
    """The address of the proxy in between, for error messages; without its password."""
    timeout: Mapping[str, float | None]
    """Seconds of inactivity per phase, None = for ever; as httpx's extension has it."""
    retry: Retry


def make_config(
    url: httpx.URL,
    api_token: str | None,
    timeout: float | httpx.Timeout | None,
    extra_headers: Mapping[str, str] | None,
    user_agent: str | None,
    retry: Retry | None,
    proxy: str | None,
) -> Config:
    """Return the checked settings; ValueError or TypeError names the argument."""
    if retry is not None and not isinstance(retry, Retry):
        raise TypeError(f"retry must be a Retry or None, not {type(retry).__name__}")
    return Config(
        url=url,
        headers=_headers(api_token, extra_headers, user_agent),
        proxy=proxy,
        timeout=_timeout(timeout),
        retry=retry or Retry(attempts=1),
    )


def refuse_session(session: object) -> None:
    """Raise TypeError for the aiohttp session that reduct-py takes."""
    if session is not None:
        raise TypeError("session= is not supported; pass an httpx transport as transport= instead")


def base_url(url: object) -> httpx.URL:
    """Return the checked address of a server; ValueError or TypeError names `url`."""
    if not isinstance(url, str):
        raise TypeError(f"url must be a str, not {type(url).__name__}")
    try:
        parsed = httpx.URL(url.rstrip("/"))
    except httpx.InvalidURL as exc:
        raise ValueError(f"url is not a URL: {exc}") from None
    if parsed.userinfo:
        raise ValueError("url must not hold a user or password; pass api_token= instead")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"url={url!r} must begin with http:// or https:// and name a host")
    if "?" in url or "#" in url:
        raise ValueError(f"url={url!r} must not have a query or fragment")
    if parsed.path.endswith(API_PREFIX):
        raise ValueError(f"url={url!r} must not hold the API's own path; leave {API_PREFIX} out")
    _check_host(parsed)
    return parsed


def _check_host(url: httpx.URL) -> None:
    """Refuse what would fail in, or be bent by, the look-up of the address."""
    if not is_port(url.port):
        raise ValueError(f"url={str(url)!r}: a port is a number from 0 to 65535")
    if "%" in url.host and ":" not in url.host:
        raise ValueError(f"url={str(url)!r}: {url.host!r} is no host name")
    try:
        url.host.encode("idna")
    except UnicodeError:
        raise ValueError(f"url={str(url)!r}: {url.host!r} is no host name") from None


def _headers(
    api_token: object, extra: Mapping[str, str] | None, user_agent: str | None
) -> Mapping[str, str]:
    headers = httpx.Headers(
        {
            "user-agent": _user_agent(user_agent),
            "accept": "*/*",
            # The server never compresses; a proxy that did would change record bodies.
            "accept-encoding": "identity",
        }
    )
    if api_token is not None:
        headers["authorization"] = f"Bearer {_secret(api_token)}"
    if extra is not None and not isinstance(extra, Mapping):
        raise TypeError(f"extra_headers must be a dict, not {type(extra).__name__}")
    if extra is not None and len(extra) > MAX_EXTRA_HEADERS:
        raise ValueError(
            f"extra_headers: {len(extra)} given, at most {MAX_EXTRA_HEADERS} are allowed, because"
            " the server takes 100 header lines a request and batches need most of them"
        )
    for name, value in (extra or {}).items():
        _check_header(name, value)
        headers[name] = value
    return dict(headers.items())


def _user_agent(text: str | None) -> str:
    if text is None:
        return f"reduct-httpx/{__version__}"
    _check_value(text, "user_agent")
    return text


def _secret(token: object) -> str:
    if not isinstance(token, str):
        raise TypeError(f"api_token must be a str or None, not {type(token).__name__}")
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        # The value stays out of the message: it is a secret, though a broken one.
        raise ValueError("api_token must be printable ASCII without spaces, and not empty")
    return token


def _check_header(name: object, value: object) -> None:
    if not isinstance(name, str):
        raise TypeError("extra_headers must map str to str")
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"extra_headers: {name!r} is not a header name")
    if name.lower() in _OWN_HEADERS or name.lower().startswith("x-reduct-"):
        raise ValueError(f"extra_headers: {name!r} is set by the calls themselves")
    _check_value(value, f"extra_headers[{name!r}]")


# With Content-Encoding the server would store records decompressed.
_OWN_HEADERS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
    }
)


def _check_value(value: object, what: str) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    if not value.isascii() or not (value.isprintable() or not value) or value != value.strip():
        raise ValueError(f"{what} must be printable ASCII, without spaces at its ends")


def _timeout(timeout: object) -> Mapping[str, float | None]:
    if timeout is None:
        seconds = httpx.Timeout(INACTIVITY_SECONDS, connect=CONNECT_SECONDS, pool=None)
    elif isinstance(timeout, httpx.Timeout):
        seconds = timeout
    elif isinstance(timeout, (int, float)) and not isinstance(timeout, bool):
        seconds = httpx.Timeout(float(timeout))
    else:
        raise TypeError(f"timeout={timeout!r} must be seconds, an httpx.Timeout or None")
    phases = {phase: _endless(value) for phase, value in seconds.as_dict().items()}
    if not all(value is None or 0 < value <= LONGEST_SECONDS for value in phases.values()):
        raise ValueError(f"timeout={timeout!r} must be seconds, above 0 and at most 10 years")
    return phases


def _endless(seconds: float | None) -> float | None:
    return None if seconds == math.inf else seconds
