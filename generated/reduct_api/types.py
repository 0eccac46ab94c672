"""Shared by every generated module: descriptions of requests, enumerations, and the JSON codec."""

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Generic, Self, TypeVar
from urllib.parse import quote

import httpx
from attrs import evolve, field, frozen

from .errors import UnexpectedBody, UnexpectedStatus

Content = bytes | Iterable[bytes] | AsyncIterable[bytes]
"""A request body: bytes, or chunks of the flavour of the client that sends them."""

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")


@frozen(kw_only=True)
class _Spec:
    method: str
    url: str
    params: Mapping[str, str | int] = field(factory=dict)
    headers: Mapping[str, str] = field(factory=dict)
    content: Content | None = field(default=None, repr=False)
    json: Any = field(default=None, repr=False)

    def with_headers(self, headers: Mapping[str, str]) -> Self:
        """Return a copy with `headers`, which replace those of the same name in any case."""
        replaced = {name.lower() for name in headers}
        kept = {name: self.headers[name] for name in self.headers if name.lower() not in replaced}
        return evolve(self, headers={**kept, **headers})


@frozen(kw_only=True)
class RequestSpec(_Spec, Generic[T]):
    """A request whose response is read whole and decoded by `parse`."""

    parse: Callable[[httpx.Response], T]


@frozen(kw_only=True)
class StreamSpec(_Spec):
    """A request whose response is handed out with its headers, the body unread."""


class OpenEnum(StrEnum):
    """An enumeration that keeps values it does not know, as a newer server may send them.

    The name of such a member is its text.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        return member


# A program names the same few buckets and entries over and over.
@lru_cache(maxsize=1024)
def segment(text: str) -> str:
    """Quote one segment of a path."""
    return _dotless(quote(text, safe=""))


@lru_cache(maxsize=1024)
def segments(text: str) -> str:
    """Quote the segments of a path; the slashes between them stay."""
    quoted = quote(text, safe="/")
    if "." not in quoted:
        return quoted
    return "/".join(map(_dotless, quoted.split("/")))


def _dotless(quoted: str) -> str:
    # A segment of dots would be resolved away before it is sent.
    return quoted.replace(".", "%2E") if quoted in (".", "..") else quoted


def parse_body(response: httpx.Response, decode: Callable[[Any], T]) -> T:
    """Decode the JSON of a response; UnexpectedBody if it is not what `decode` takes."""
    try:
        return decode(response.json())
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise UnexpectedBody(response.content) from error


def unexpected_status(response: httpx.Response) -> UnexpectedStatus:
    """Build the error for a status that the document does not list as a success."""
    return UnexpectedStatus(response.status_code, response.content)


def parse_object(value: Any) -> dict[str, Any]:
    """Copy a JSON object."""
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object, got {type(value).__name__}")
    return dict(value)


def parse_str(value: Any) -> str:
    """Take a JSON string."""
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {type(value).__name__}")
    return value


def parse_int(value: Any) -> int:
    """Take a JSON integer."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected an integer, got {type(value).__name__}")
    return value


def parse_bool(value: Any) -> bool:
    """Take a JSON boolean."""
    if not isinstance(value, bool):
        raise TypeError(f"expected a boolean, got {type(value).__name__}")
    return value


def parse_datetime(value: Any) -> datetime:
    """Take a date-time as RFC 3339 text; digits below a microsecond are cut off."""
    return datetime.fromisoformat(parse_str(value))


def format_datetime(value: datetime) -> str:
    """Write a date-time in UTC; one without a time zone is local time."""
    return value.astimezone(UTC).isoformat()


def nullable(decode: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """Let None pass."""
    return lambda value: None if value is None else decode(value)


def list_of(decode: Callable[[Any], T]) -> Callable[[Any], list[T]]:
    """Decode the items of a JSON array."""

    def decode_list(value: Any) -> list[T]:
        if not isinstance(value, list):
            raise TypeError(f"expected an array, got {type(value).__name__}")
        return [decode(item) for item in value]

    return decode_list


def one_of(first: Callable[[Any], A], second: Callable[[Any], B]) -> Callable[[Any], A | B]:
    """Decode by `first`, or by `second` where that does not fit."""

    def decode_either(value: Any) -> A | B:
        try:
            return first(value)
        except (KeyError, TypeError, ValueError):
            return second(value)

    return decode_either


def without_none(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is not given."""
    return {name: value for name, value in fields.items() if value is not None}


__all__ = ["Content", "OpenEnum", "RequestSpec", "StreamSpec", "unexpected_status"]
