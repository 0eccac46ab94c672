"""The heads of records in batches: protocol v1 and v2, both directions, pure functions.

A head says what belongs to a record; where its payload begins follows from the order, which
is (entry index, time) in both protocols and both directions (http-api.md 3 and 4).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from attrs import frozen

from .errors import ReductError
from .labels import DEFAULT_CONTENT_TYPE, format_pairs, parse_pairs
from .times import MAX_US

RawHeaders: TypeAlias = Iterable[tuple[str, str]]
"""Names in any case, and values; a name may occur several times."""

V1_RECORD = "x-reduct-time-"
V1_ERROR = V2_ERROR = "x-reduct-error-"
ENTRIES = "x-reduct-entries"
START = "x-reduct-start-ts"
LABELS = "x-reduct-labels"
LAST = "x-reduct-last"
SINGLE_LABEL = "x-reduct-label-"

_DIGITS = re.compile(r"[0-9]{1,20}")
_V2_RECORD = re.compile(r"x-reduct-([0-9]+)-([0-9]+)")
_V2_ERROR = re.compile(r"x-reduct-error-([0-9]+)-([0-9]+)")


class RecordHead:
    """What is known of a record without its payload. Not changed once it is made."""

    __slots__ = ("_details", "entry", "size", "timestamp")

    def __init__(
        self,
        timestamp: int,
        entry: str,
        size: int,
        content_type: str,
        labels: dict[str, str],
        computed: dict[str, str],
    ):
        self.timestamp = timestamp
        """Microseconds since 1970-01-01 UTC."""
        self.entry = entry
        self.size = size
        """Bytes of the payload."""
        self._details: _Details | str = (content_type, labels, computed)

    @property
    def content_type(self) -> str:
        """Type of the payload."""
        return self._read()[0]

    @property
    def labels(self) -> dict[str, str]:
        """The stored labels."""
        return self._read()[1]

    @property
    def computed(self) -> dict[str, str]:
        """Labels made by extensions; their names begin with '@'."""
        return self._read()[2]

    def _read(self) -> "_Details":
        details = self._details
        if isinstance(details, str):
            details = self._details = _v1_details(details)
        return details

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RecordHead):
            return NotImplemented
        return self._values() == other._values()

    def _values(self) -> tuple[int, str, int, "_Details"]:
        return self.timestamp, self.entry, self.size, self._read()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RecordHead{self._values()!r}"


_Details: TypeAlias = tuple[str, dict[str, str], dict[str, str]]
"""Content type, stored and computed labels."""


class _V1Head(RecordHead):
    """A head of protocol v1, whose type and labels are read when somebody looks."""

    __slots__ = ()

    def __init__(self, timestamp: int, entry: str, size: int, details: str):
        self.timestamp = timestamp
        self.entry = entry
        self.size = size
        self._details = details


@frozen
class Answer:
    """The heads of one batch answer, in the order of the payloads in its body."""

    heads: Sequence[RecordHead]
    last: bool
    """The query has no more records."""


_SINGLE = re.compile(
    r"\n(?i:(x-reduct-time|content-length|content-type|x-reduct-label-[^:\r\n]*))"
    r":[ \t]*([^\r\n]*?)[ \t]*\r"
)


def single_head(lines: str, entry: str) -> RecordHead:
    """Return the head of a single-record answer; each line follows a line end and has one.

    Raises KeyError or ValueError for an answer that is not one.
    """
    found = {name.lower(): value for name, value in _SINGLE.findall(lines)}
    begin = len(SINGLE_LABEL)
    labels = {name[begin:]: found[name] for name in found if name.startswith(SINGLE_LABEL)}
    return RecordHead(
        _number(found["x-reduct-time"]),
        entry,
        _number(found["content-length"]),
        found.get("content-type", DEFAULT_CONTENT_TYPE),
        *_sorted_out(labels),
    )


def _sorted_out(labels: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return stored and computed labels apart."""
    computed = {name: value for name, value in labels.items() if name[:1] == "@"}
    if not computed:
        return labels, computed
    return {name: labels[name] for name in labels if name[:1] != "@"}, computed


# --- answers -------------------------------------------------------------------------------


# One match for each line; sizes and times of other forms do not match.
_V1_LINE = re.compile(
    r"\n(?i:x-reduct-time-)([0-9]{1,20}):[ \t]*([0-9]{1,20})[ \t]*(?:,([^\r\n]*))?\r"
)
_V1_LAST = re.compile(r"\n(?i:x-reduct-last):[ \t]*true[ \t]*\r")


def parse_v1(lines: str, entry: str) -> Answer:
    """Return the heads of a v1 answer over `entry`; ValueError for a malformed header.

    Each line follows a line end and has one.
    """
    found = _V1_LINE.findall(lines)
    if len(found) != lines.lower().count(f"\n{V1_RECORD}"):
        raise ValueError("the header of a record has no number for its time or size")
    heads: list[RecordHead] = [
        _V1Head(int(time), entry, int(size), details) for time, size, details in found
    ]
    heads.sort(key=_timestamp)
    if heads:
        _u64(heads[-1].timestamp)
    return Answer(heads, _V1_LAST.search(lines) is not None)


_timestamp = attrgetter("timestamp")


def _v1_details(text: str) -> _Details:
    kind, pairs = _kind_and_labels(text, _V1_LABELS)
    labels = dict(parse_pairs(pairs, indexed=False))
    return kind or DEFAULT_CONTENT_TYPE, *_sorted_out(labels)


# The server writes a content type as it was stored, perhaps with commas; labels begin where a
# name, in v2 an index, and "=" follow.
_V1_LABELS = re.compile(r',(?=\s*[^\s,="]+\s*=)')
_V2_LABELS = re.compile(r",(?=\s*[0-9]+\s*=)")


def _kind_and_labels(text: str, labels: re.Pattern[str]) -> tuple[str, str]:
    match = labels.search(text)
    if match is None:
        return text.strip().removesuffix(","), ""
    return text[: match.start()].strip(), text[match.end() :]


def _number(text: str) -> int:
    """Return a number that is written with ASCII digits alone; ValueError for any other."""
    if not _DIGITS.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a number")
    return _u64(int(text))


def _u64(number: int) -> int:
    if number > MAX_US:
        raise ValueError(f"{number} is larger than 2^64-1")
    return number


def parse_v2(headers: RawHeaders) -> Answer:
    """Return the heads of a v2 answer; ValueError or IndexError for a malformed header.

    Labels and content types are stateful per entry: what a head does not mention is that of
    the entry's previous record. Computed labels are never carried over.
    """
    plain: dict[str, str] = {}
    records: list[tuple[int, int, str]] = []
    for name, value in headers:
        name = name.lower()
        match = _V2_RECORD.fullmatch(name)
        if match:
            records.append((int(match[1]), int(match[2]), value))
        else:
            plain[name] = value
    start = _number(plain[START])
    entries = _decode_list(plain[ENTRIES])
    names = _decode_list(plain.get(LABELS, ""))
    previous: dict[str, RecordHead] = {}
    heads: list[RecordHead] = []
    for index, delta, value in sorted(records):
        entry = entries[index]
        head = _parse_v2_record(value, previous.get(entry), names, entry, _u64(start + delta))
        previous[entry] = head
        heads.append(head)
    return Answer(heads, plain.get(LAST) == "true")


def _parse_v2_record(
    value: str, previous: RecordHead | None, names: Sequence[str], entry: str, timestamp: int
) -> RecordHead:
    size, comma, rest = value.partition(",")
    if not comma and previous is None:
        raise ValueError("the first record of an entry has no content type")
    kind, changes = _kind_and_labels(rest, _V2_LABELS)
    labels = dict(previous.labels) if previous else {}
    for key, text in parse_pairs(changes, indexed=True):
        name = names[int(key)] if key.isdigit() and names else key
        if text:
            labels[name] = text
        else:
            labels.pop(name, None)
    return RecordHead(
        timestamp,
        entry,
        _number(size.strip()),
        kind or (previous.content_type if previous else DEFAULT_CONTENT_TYPE),
        *_sorted_out(labels),
    )


def _decode_list(text: str) -> list[str]:
    text = text.strip()
    return [unquote_to_bytes(item.strip()).decode() for item in text.split(",")] if text else []


def v1_errors(headers: RawHeaders) -> dict[int, ReductError]:
    """Return the per-record errors of a v1 answer by timestamp."""
    return {
        _number(name[len(V1_ERROR) :]): ReductError.from_header(value)
        for name, value in headers
        if name.lower().startswith(V1_ERROR)
    }


def v2_errors(headers: RawHeaders) -> dict[tuple[str, int], ReductError]:
    """Return the per-record errors of a v2 answer by (entry, timestamp)."""
    found = [(name.lower(), value) for name, value in headers]
    plain = dict(found)
    errors: dict[tuple[str, int], ReductError] = {}
    for name, value in found:
        if not name.startswith(V2_ERROR):
            continue
        match = _V2_ERROR.fullmatch(name)
        if match is None:
            raise ValueError(f"{name[:60]!r} names no record")
        entry = _decode_list(plain[ENTRIES])[int(match[1])]
        errors[entry, _number(plain[START]) + int(match[2])] = ReductError.from_header(value)
    return errors


# --- requests ------------------------------------------------------------------------------


def v1_record(size: int, content_type: str, labels: Mapping[str, str]) -> str:
    """Return the value of a record header of protocol v1.

    >>> v1_record(3, "text/plain", {"a": "1"})
    '3,text/plain,a=1'
    """
    pairs = format_pairs(labels)
    return f"{size},{content_type},{pairs}" if pairs else f"{size},{content_type}"


_TOKEN = frozenset(b"!#$&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def _encode_item(text: str) -> str:
    return "".join(chr(byte) if byte in _TOKEN else f"%{byte:02X}" for byte in text.encode())


def v2_headers(records: Sequence[RecordHead]) -> dict[str, str]:
    """Return the headers of a v2 write of `records`, which are sorted by (entry, time).

    Each head is given in full relative to its predecessor of the same entry: labels that it
    has not are removed, because the server carries them over.
    """
    entries = list(dict.fromkeys(record.entry for record in records))
    names = list(dict.fromkeys(name for record in records for name in record.labels))
    positions = {name: index for index, name in enumerate(names)}
    start = min(record.timestamp for record in records)
    headers = {ENTRIES: ",".join(map(_encode_item, entries)), START: str(start)}
    if names:
        headers[LABELS] = ",".join(map(_encode_item, names))
    previous: Mapping[str, str] = {}
    index = -1
    for record in records:
        if index < 0 or entries[index] != record.entry:
            index += 1
            previous = {}
        gone = previous.keys() - record.labels.keys()
        changes = {str(positions[name]): value for name, value in record.labels.items()}
        changes |= {str(positions[name]): "" for name in sorted(gone)}
        value = v1_record(record.size, record.content_type, changes)
        headers[f"x-reduct-{index}-{record.timestamp - start}"] = value
        previous = record.labels
    return headers
