"""Batch protocol v2: the headers of batches over several entries, read and written.

Entries and labels are listed once and named by their index; `x-reduct-<entry>-<delta>` is the
record `delta` microseconds after `x-reduct-start-ts`. Whatever the real server refuses raises
ApiError 422. Names of raw headers are lower-case.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from .batch_v1 import BLANKS, DEFAULT_TYPE, RecordHead, ascii_text, error_value, label_pairs, quoted
from .errors import ApiError
from .integers import U64_MAX, parse_u64

RawHeaders = Iterable[tuple[bytes, bytes]]

PREFIX = "x-reduct-"

_MARKED = re.compile(rb"%([0-9A-Fa-f]{2})?")

_TOKEN_BYTES = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~"
)


# -- Percent-coding ---------------------------------------------------------------------------


def encode_name(name: str) -> str:
    """Return an entry or label name as it stands in a list; `%` itself is not encoded."""
    return "".join(
        chr(byte) if byte in _TOKEN_BYTES else f"%{byte:02X}"
        for byte in name.encode("utf-8", "replace")
    )


def decode_name(text: str) -> str:
    """Return the name that stands in a list; 422 for bad escapes and what is not UTF-8."""

    def byte_of(match: re.Match[bytes]) -> bytes:
        if match[1] is None:
            raise ApiError(422, f"Invalid entry encoding in header name: '{text}'")
        return bytes([int(match[1], 16)])

    try:
        return _MARKED.sub(byte_of, text.encode()).decode()
    except UnicodeDecodeError:
        raise ApiError(422, f"Entry name is not valid UTF-8 in header '{text}'") from None


# -- Requests ---------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True)
class Place:
    """Where a request puts a record: its entry's index and name, delta and timestamp."""

    index: int
    entry: str
    delta: int
    timestamp: int


@dataclass(slots=True, frozen=True)
class BatchRequest:
    """The common headers of a write, update or removal.

    `records` are sorted by entry index, then delta: the order of their contents.
    """

    entries: list[str]
    start: int
    label_names: list[str] | None
    records: list[tuple[Place, bytes]]

    def places(self) -> list[Place]:
        """Return where the records are."""
        return [place for place, _ in self.records]

    def first_place(self, place: Place) -> Place:
        """Return a place with the first index of its entry, by which updates report errors."""
        return replace(place, index=self.entries.index(place.entry))

    def echo(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that every answer repeats."""
        return [
            (b"x-reduct-entries", ",".join(map(encode_name, self.entries)).encode()),
            (b"x-reduct-start-ts", b"%d" % self.start),
        ]


def parse_request(headers: RawHeaders, *, with_labels: bool = True) -> BatchRequest:
    """Return what the headers of a request say; removals do not look at `x-reduct-labels`."""
    # Of a repeated header the first occurrence counts.
    first: dict[str, bytes] = {}
    for name, value in headers:
        first.setdefault(name.decode("latin-1"), value)
    entries = _entries(first.get("x-reduct-entries"))
    start = _start(first.get("x-reduct-start-ts"))
    names = _label_names(first.get("x-reduct-labels")) if with_labels else None
    return BatchRequest(entries, start, names, _placed(first, entries, start))


def _entries(value: bytes | None) -> list[str]:
    if value is None:
        return []
    text = ascii_text(value)
    if not text.strip(BLANKS):
        raise ApiError(422, "x-reduct-entries header is required")
    items = [item.strip(BLANKS) for item in text.split(",")]
    if not all(items):
        raise ApiError(422, "x-reduct-entries header must not contain empty entry names")
    return [decode_name(item) for item in items]


def _start(value: bytes | None) -> int:
    if value is None:
        raise ApiError(422, "x-reduct-start-ts header is required")
    start = parse_u64(value.decode("latin-1"))
    if start is None:
        raise ApiError(422, "Invalid x-reduct-start-ts header")
    return start


def _label_names(value: bytes | None) -> list[str] | None:
    if value is None:
        return None
    text = ascii_text(value)
    if not text.strip(BLANKS):
        raise ApiError(422, "x-reduct-labels header is empty")
    return [decode_name(item.strip(BLANKS)) for item in text.split(",")]


def _placed(
    headers: Mapping[str, bytes], entries: Sequence[str], start: int
) -> list[tuple[Place, bytes]]:
    found: list[tuple[int, int, bytes]] = []
    for name, value in headers.items():
        if name.startswith(PREFIX):
            # `x-reduct-` and `x-reduct-a-` count as records too, and are refused.
            front, _, delta = name.rpartition("-")
            if not delta or (delta.isascii() and delta.isdigit()):
                found.append((*_indexes(name, front[len(PREFIX) :], delta), value))
    found.sort(key=lambda item: item[:2])
    records = []
    for index, delta_us, value in found:
        if index >= len(entries):
            raise ApiError(
                422, f"Invalid header '{PREFIX}{index}-{delta_us}': entry index out of range"
            )
        # The real server's sum wraps around.
        timestamp = (start + delta_us) & U64_MAX
        records.append((Place(index, entries[index], delta_us, timestamp), value))
    return records


def _indexes(name: str, index_text: str, delta_text: str) -> tuple[int, int]:
    index = parse_u64(index_text)
    if index is None:
        raise ApiError(422, f"Invalid header '{name}': entry index must be a number")
    delta = parse_u64(delta_text)
    if delta is None:
        raise ApiError(422, f"Invalid header '{name}': must be an unix timestamp in microseconds")
    return index, delta


def parse_heads(request: BatchRequest) -> list[tuple[Place, RecordHead]]:
    """Return the records of a write: each builds on the one of the same entry before it."""
    previous: dict[str, RecordHead] = {}
    heads = []
    for place, value in request.records:
        head = _head(place.timestamp, value, previous.get(place.entry), request.label_names)
        previous[place.entry] = head
        heads.append((place, head))
    return heads


def parse_updates(request: BatchRequest) -> list[tuple[Place, dict[str, str]]]:
    """Return what an update does to the labels of each record; empty values remove.

    As on the real server a record gets all changes that the request names for its entry up to
    and including it.
    """
    state: dict[str, dict[str, str]] = {}
    updates = []
    for (place, _), (_, value) in zip(parse_heads(request), request.records, strict=True):
        changes = state.setdefault(place.entry, {})
        parts = ascii_text(value).split(",", 2)
        if len(parts) == 3:
            changes.update(_ordered_changes(parts[2], request.label_names))
        updates.append((place, dict(changes)))
    return updates


def _ordered_changes(text: str, names: Sequence[str] | None) -> dict[str, str]:
    """Return the changes of one record; where it both sets and removes a label, it is removed."""
    pairs = list(_changes(text, names))
    return {name: value for name, value in pairs if value} | {
        name: "" for name, value in pairs if not value
    }


def _changes(text: str, names: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    for key, value in label_pairs(text, strict=True):
        yield _label_name(key, names), value


def _label_name(key: str, names: Sequence[str] | None) -> str:
    if names is not None:
        index = parse_u64(key)
        if index is not None:
            if index >= len(names):
                raise ApiError(422, f"Label index '{key}' is out of range")
            return names[index]
    if key.startswith("@"):
        raise ApiError(422, "Label names must not start with '@': reserved for computed labels")
    return key


def _head(
    timestamp: int, value: bytes, previous: RecordHead | None, names: Sequence[str] | None
) -> RecordHead:
    size_text, comma, rest = ascii_text(value).partition(",")
    size = parse_u64(size_text.strip(BLANKS))
    if size is None:
        raise ApiError(422, "Invalid batched header")
    if not comma:
        if previous is None:
            raise ApiError(
                422, "Content-type and labels must be provided for the first record of an entry"
            )
        return RecordHead(timestamp, size, previous.content_type, previous.labels)
    content_type, _, label_text = rest.partition(",")
    content_type = content_type.strip(BLANKS)
    if not content_type:
        content_type = previous.content_type if previous else DEFAULT_TYPE
    labels = dict(previous.labels) if previous else {}
    for name, text in _changes(label_text, names):
        if text:
            labels[name] = text
        else:
            labels.pop(name, None)
    return RecordHead(timestamp, size, content_type, labels)


def error_header(place: Place, error: ApiError) -> tuple[bytes, bytes]:
    """Return the header that reports why one record failed."""
    return b"x-reduct-error-%d-%d" % (place.index, place.delta), error_value(error)


# -- Answers ----------------------------------------------------------------------------------


class Stored(Protocol):
    """What is written of a record."""

    @property
    def entry(self) -> str: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def content_type(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...


R = TypeVar("R", bound=Stored)


class Encoder(Generic[R]):
    """Writes the headers of a read batch; records are added in the order of the query."""

    def __init__(self) -> None:
        self._added: list[tuple[R, int, bytes]] = []
        self._last_of: dict[str, tuple[int, R]] = {}
        self._label_numbers: dict[str, int] = {}
        self._start = U64_MAX
        self._first: dict[str, int] = {}
        self._size = 0

    def add(self, record: R) -> int:
        """Take the next record; return by how many bytes the record headers grow."""
        before = self._size
        index, previous = self._last_of.get(record.entry, (len(self._last_of), None))
        value = self._value(record, previous)
        self._last_of[record.entry] = (index, record)
        first = self._first.get(record.entry, U64_MAX)
        self._first[record.entry] = min(first, record.timestamp)
        self._added.append((record, index, value))
        if record.timestamp < self._start:
            self._start = record.timestamp
            self._size = sum(self._line_size(*added) for added in self._added)
        else:
            self._size += self._line_size(record, index, value)
        return self._size - before

    def _line_size(self, record: R, index: int, value: bytes) -> int:
        return len(f"{PREFIX}{index}-{record.timestamp - self._start}") + len(value) + 2

    def _value(self, record: R, previous: R | None) -> bytes:
        labels = self._label_changes(record.labels, previous.labels if previous else {})
        known = previous is not None and previous.content_type == record.content_type
        content_type = "" if known else record.content_type
        parts = [str(record.size)]
        if content_type or labels:
            parts.append(content_type)
        if labels:
            parts.append(labels)
        return ",".join(parts).encode("utf-8", "replace")

    def _label_changes(self, labels: Mapping[str, str], previous: Mapping[str, str]) -> str:
        if labels == previous:
            return ""
        numbers = self._label_numbers
        changes = []
        for name in sorted({*previous, *labels}):
            value = labels.get(name)
            if value is None or value != previous.get(name):
                changes.append((numbers.setdefault(name, len(numbers)), quoted(value or "")))
        return ",".join(f"{number}={value}" for number, value in sorted(changes))

    def finish(self) -> tuple[list[tuple[bytes, bytes]], list[R]]:
        """Return the headers of the batch, and the records in the order of their contents."""
        entries = sorted(self._first, key=lambda entry: (self._first[entry], entry))
        start = self._start if self._added else 0
        headers = [
            (b"x-reduct-entries", ",".join(map(encode_name, entries)).encode()),
            (b"x-reduct-start-ts", b"%d" % start),
        ]
        if self._label_numbers:
            names = ",".join(map(encode_name, self._label_numbers))
            headers.append((b"x-reduct-labels", names.encode()))
        numbers = {entry: number for number, entry in enumerate(entries)}
        placed = sorted(
            (
                (numbers[record.entry], record.timestamp, record, value)
                for record, _, value in self._added
            ),
            key=lambda item: item[:2],
        )
        for number, timestamp, _, value in placed:
            headers.append((b"x-reduct-%d-%d" % (number, timestamp - start), value))
        return headers, [record for _, _, record, _ in placed]
