"""Batch protocol v1: the headers of batches of one entry, read and written.

Requests name each record by a header `x-reduct-time-<us>: <size>,<type>,<labels>`. Whatever the
real server refuses raises ApiError 422. Names of raw headers are lower-case.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .errors import ApiError
from .integers import parse_u64

DEFAULT_TYPE = "application/octet-stream"

TIME_PREFIX = b"x-reduct-time-"

CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What no header can have."""

BLANKS = " \t"
"""What the real server trims; nothing else that is blank gets through a header."""


@dataclass(slots=True, frozen=True)
class RecordHead:
    """What the header of a record says about it: microseconds, bytes, type and labels."""

    timestamp: int
    size: int
    content_type: str
    labels: dict[str, str]


def timed_values(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[int, bytes]]:
    """Return timestamps and unparsed values of the record headers, by ascending time.

    Of a repeated header the first occurrence counts.
    """
    values: dict[bytes, bytes] = {}
    for name, value in headers:
        if name.startswith(TIME_PREFIX):
            values.setdefault(name, value)
    timed = [(_timestamp(name), value) for name, value in values.items()]
    timed.sort(key=lambda item: item[0])
    return timed


def _timestamp(name: bytes) -> int:
    timestamp = parse_u64(name[len(TIME_PREFIX) :].decode("latin-1"))
    if timestamp is None:
        raise ApiError(
            422,
            f"Invalid header '{name.decode('latin-1')}': must be an unix timestamp in microseconds",
        )
    return timestamp


def parse_heads(timed: Iterable[tuple[int, bytes]]) -> list[RecordHead]:
    """Return the records that `timed_values` found, in the order of their contents."""
    return [parse_value(timestamp, value) for timestamp, value in timed]


def parse_value(timestamp: int, value: bytes) -> RecordHead:
    """Return what the value of a record header says; labels may be empty, none is removed."""
    size_text, comma, rest = ascii_text(value).partition(",")
    if not comma:
        raise ApiError(422, "Invalid batched header")
    size = parse_u64(size_text.strip(BLANKS))
    if size is None:
        raise ApiError(422, "Invalid content length")
    content_type, _, labels = rest.partition(",")
    # A type of blanks is stored empty; only the missing one gets the default.
    content_type = content_type.strip(BLANKS) if content_type else DEFAULT_TYPE
    return RecordHead(timestamp, size, content_type, dict(label_pairs(labels, strict=False)))


def ascii_text(value: bytes) -> str:
    """Return a header value as text; 422 unless it is visible ASCII."""
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        raise ApiError(422, "Malformed header received: not visible ASCII") from None


def label_pairs(text: str, *, strict: bool) -> Iterator[tuple[str, str]]:
    """Yield trimmed names and values of `name=value,name="va,lue"`; values may be empty.

    Text without `=` at the end is passed over, or refused when `strict`.
    """
    rest = text.strip(BLANKS)
    while rest:
        name, equals, rest = rest.partition("=")
        if not equals:
            if strict:
                raise ApiError(422, "Invalid batched header")
            return
        if rest.startswith('"'):
            value, quote, rest = rest[1:].partition('"')
            if not quote:
                raise ApiError(422, "Invalid batched header")
            rest = rest.lstrip(",")
        else:
            value, _, rest = rest.partition(",")
        yield name.strip(BLANKS), value.strip(BLANKS)
        rest = rest.strip(BLANKS)


def record_header(
    timestamp: int, size: int, content_type: str, labels: Mapping[str, str]
) -> tuple[bytes, bytes]:
    """Return the header of a record in a read batch.

    The text is UTF-8 where labels are not ASCII, which HTTP cannot carry: see `carries`.
    """
    pairs = sorted(f"{name}={quoted(value)}" for name, value in labels.items())
    text = ",".join([str(size), content_type, *pairs])
    return b"x-reduct-time-%d" % timestamp, text.encode("utf-8", "replace")


def quoted(value: str) -> str:
    """Return the value of a label, in quotes if it has a comma; there is no escaping."""
    return f'"{value}"' if "," in value else value


def carries(labels: Iterable[str]) -> bool:
    """Return whether v1 batches can carry labels of these names: ASCII, no control character."""
    return all(name.isascii() and not CONTROLS.search(name) for name in labels)


def error_header(timestamp: int, error: ApiError) -> tuple[bytes, bytes]:
    """Return the header that reports why one record failed."""
    return b"x-reduct-error-%d" % timestamp, error_value(error)


def error_value(error: ApiError) -> bytes:
    """Return `<status>,<message>`; control characters, which no header can have, become `?`."""
    return f"{error.status},{CONTROLS.sub('?', error.message)}".encode("utf-8", "replace")
