"""The server's side of both batch protocols, written after `http-api.md` 3 and 4 alone.

`answer_v1` and `answer_v2` make what the server sends; `request_v1`, `request_v2` and
`updates_v1` read what it is sent, and raise Refused where it would answer 422. Nothing here comes
from `reduct_core`, which is held against it.
"""

import random
import re
from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, field, frozen
from hypothesis import strategies as st

Headers = list[tuple[str, str]]

DEFAULT_TYPE = "application/octet-stream"


class Refused(Exception):
    """The server answers 422."""


@frozen
class Stored:
    """A record on the server."""

    entry: str
    timestamp: int
    data: bytes
    content_type: str = DEFAULT_TYPE
    labels: Mapping[str, str] = field(factory=dict)
    computed: Mapping[str, str] = field(factory=dict)
    """Names without the '@' that the server puts before them."""


# --- answers -------------------------------------------------------------------------------


def quoted(value: str) -> str:
    return f'"{value}"' if "," in value else value


def answer_v1(records: Sequence[Stored], *, last: bool) -> tuple[Headers, bytes]:
    """Return headers and body of a v1 answer; `records` of one entry are in order of time."""
    headers: Headers = [
        ("content-length", str(sum(len(record.data) for record in records))),
        ("content-type", DEFAULT_TYPE),
        ("x-reduct-last", "true" if last else "false"),
    ]
    for record in records:
        pairs = [f"{name}={quoted(value)}" for name, value in record.labels.items()]
        pairs += [f"@{name}={quoted(value)}" for name, value in record.computed.items()]
        parts = [str(len(record.data)), record.content_type, *sorted(pairs)]
        headers.append((f"x-reduct-time-{record.timestamp}", ",".join(parts)))
    return headers, b"".join(record.data for record in records)


def percent_encoded(text: str) -> str:
    plain = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]")
    return "".join(
        chr(byte) if plain.fullmatch(bytes([byte])) else f"%{byte:02X}" for byte in text.encode()
    )


def answer_v2(
    records: Sequence[Stored], *, last: bool, order: random.Random
) -> tuple[Headers, bytes]:
    """Return headers and body of a v2 answer; `records` are in the order of the query.

    `order` decides what the server leaves to its hash maps: how the labels of the first record
    of an entry, and computed labels, are numbered.
    """
    numbers: dict[str, int] = {}
    previous: dict[str, Stored] = {}
    values = []
    for record in records:
        values.append(_v2_value(record, previous.get(record.entry), numbers, order))
        previous[record.entry] = record
    first: dict[str, int] = {}
    for record in records:
        first[record.entry] = min(first.get(record.entry, record.timestamp), record.timestamp)
    entries = sorted(first, key=lambda entry: (first[entry], entry))
    start = min(first.values(), default=0)
    headers: Headers = [
        ("x-reduct-entries", ",".join(map(percent_encoded, entries))),
        ("x-reduct-start-ts", str(start)),
        ("content-length", str(sum(len(record.data) for record in records))),
        ("content-type", DEFAULT_TYPE),
        ("x-reduct-last", "true" if last else "false"),
    ]
    if numbers:
        headers.append(("x-reduct-labels", ",".join(map(percent_encoded, numbers))))
    placed = sorted(
        (entries.index(record.entry), record.timestamp, record, value)
        for record, value in zip(records, values, strict=True)
    )
    for index, timestamp, _, value in placed:
        headers.append((f"x-reduct-{index}-{timestamp - start}", value))
    return headers, b"".join(record.data for _, _, record, _ in placed)


def _v2_value(
    record: Stored, previous: Stored | None, numbers: dict[str, int], order: random.Random
) -> str:
    changes: list[tuple[int, str]] = []

    def change(name: str, value: str) -> None:
        changes.append((numbers.setdefault(name, len(numbers)), quoted(value)))

    if previous is None:
        for name in _shuffled(record.labels, order):
            change(name, record.labels[name])
    else:
        for name in sorted({*previous.labels, *record.labels}):
            if previous.labels.get(name) != record.labels.get(name):
                change(name, record.labels.get(name, ""))
    for name in _shuffled(record.computed, order):
        change(f"@{name}", record.computed[name])
    known = previous is not None and previous.content_type == record.content_type
    parts = [str(len(record.data)), "" if known else record.content_type]
    if changes:
        parts.append(",".join(f"{number}={value}" for number, value in sorted(changes)))
    return parts[0] if parts[1:] == [""] else ",".join(parts)


def _shuffled(names: Iterable[str], order: random.Random) -> list[str]:
    shuffled = sorted(names)
    order.shuffle(shuffled)
    return shuffled


# --- requests ------------------------------------------------------------------------------


@frozen
class Announced:
    """A record as the server understands its header in a request."""

    entry: str
    timestamp: int
    size: int
    content_type: str
    labels: Mapping[str, str]


def pairs_of(text: str, *, strict: bool) -> list[tuple[str, str]]:
    """Return names and values of a request; v1 passes over text without "=" at the end."""
    pairs: list[tuple[str, str]] = []
    rest = text.strip()
    while rest:
        name, equals, rest = rest.partition("=")
        if not equals:
            if strict:
                raise Refused(f"no value: {name!r}")
            break
        if rest.startswith('"'):
            value, quote, rest = rest[1:].partition('"')
            if not quote:
                raise Refused(f"no closing quote: {value!r}")
            rest = rest.lstrip(",")
        else:
            value, _, rest = rest.partition(",")
        pairs.append((name.strip(), value.strip()))
        rest = rest.strip()
    return pairs


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]+", text) or int(text) >= 2**64:
        raise Refused(f"no number: {text!r}")
    return int(text)


def check_visible(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not re.fullmatch(r"[\t\x20-\x7e]*", value) or value != value.strip(" \t"):
            raise Refused(f"{name}: {value!r} does not arrive as it is")
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise Refused(f"no header name: {name!r}")


def request_v1(headers: Mapping[str, str], entry: str) -> list[Announced]:
    """Return the records of a v1 write, in the order of their payloads."""
    check_visible(headers)
    records = []
    for name, value in headers.items():
        if not name.lower().startswith("x-reduct-time-"):
            continue
        size, comma, rest = value.partition(",")
        if not comma:
            raise Refused(value)
        kind, comma, labels = rest.partition(",")
        records.append(
            Announced(
                entry,
                _number(name[len("x-reduct-time-") :]),
                _number(size.strip()),
                kind.strip() or DEFAULT_TYPE,
                dict(pairs_of(labels, strict=False)),
            )
        )
    return sorted(records, key=lambda record: record.timestamp)


def updates_v1(headers: Mapping[str, str]) -> dict[int, dict[str, str | None]]:
    """Return what a v1 update does to the labels of records, by timestamp; None removes."""
    return {
        record.timestamp: {name: value or None for name, value in record.labels.items()}
        for record in request_v1(headers, "")
    }


def _decoded(text: str) -> str:
    if re.search("%(?![0-9A-Fa-f]{2})", text):
        raise Refused(f"bad coding: {text!r}")
    data = re.sub(
        rb"%([0-9A-Fa-f]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode()
    )
    return data.decode()


def _decoded_list(text: str) -> list[str]:
    items = [item.strip() for item in text.split(",")]
    if not all(items):
        raise Refused(f"empty item: {text!r}")
    return [_decoded(item) for item in items]


def request_v2(headers: Mapping[str, str]) -> list[Announced]:
    """Return the records of a v2 write, in the order of their payloads."""
    check_visible(headers)
    plain = {name.lower(): value for name, value in headers.items()}
    entries = _decoded_list(plain["x-reduct-entries"])
    start = _number(plain["x-reduct-start-ts"])
    names = _decoded_list(plain["x-reduct-labels"]) if "x-reduct-labels" in plain else None
    found: list[tuple[int, int, str]] = []
    for name, value in plain.items():
        if re.fullmatch(r"x-reduct-.*-[0-9]*", name):
            match = re.fullmatch("x-reduct-([0-9]+)-([0-9]+)", name)
            if not match:
                raise Refused(f"stray header {name}")
            found.append((_number(match[1]), _number(match[2]), value))
    previous: dict[str, Announced] = {}
    records = []
    for index, delta, value in sorted(found):
        if index >= len(entries):
            raise Refused(f"no entry {index}")
        record = _announced(value, entries[index], previous.get(entries[index]), names)
        previous[record.entry] = record
        records.append(evolve(record, timestamp=start + delta))
    return records


def _announced(
    value: str, entry: str, previous: Announced | None, names: Sequence[str] | None
) -> Announced:
    size, comma, rest = value.partition(",")
    if not comma:
        if previous is None:
            raise Refused("the first record of an entry must have type and labels")
        return evolve(previous, size=_number(size.strip()))
    kind, _, changes = rest.partition(",")
    labels = dict(previous.labels) if previous else {}
    for key, text in pairs_of(changes, strict=True):
        name = _label_name(key, names)
        if text:
            labels[name] = text
        else:
            labels.pop(name, None)
    default = previous.content_type if previous else DEFAULT_TYPE
    return Announced(entry, 0, _number(size.strip()), kind.strip() or default, labels)


def _label_name(key: str, names: Sequence[str] | None) -> str:
    if names is not None and re.fullmatch("[0-9]+", key):
        if int(key) >= len(names):
            raise Refused(f"no label {key}")
        return names[int(key)]
    if key.startswith("@"):
        raise Refused("'@' is for computed labels")
    return key


# --- what can be stored --------------------------------------------------------------------

LABEL_NAMES = st.text("abkz019-_.!#$&'*+^`|~", min_size=1, max_size=6)

PIECES = ['"', '"', ",", ",", "=", " ", "\t", "a", "b", "0", "1", '",', ",1=", '"x"', "{", "%2C"]

LABEL_VALUES = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=6).map("".join),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12),
).map(lambda text: text.strip(" \t"))

PLAIN_VALUES = st.text("abc019:/;=. -{}'", max_size=10).map(str.strip)

CONTENT_TYPES = st.sampled_from([DEFAULT_TYPE, "text/plain", "a=b; q", 'x/y; z="1"', "0", '"'])

STORED_TYPES = CONTENT_TYPES | st.sampled_from(["a, b", 'multipart/x; boundary="a,b"', "a,b,c; d"])
"""Among them what only the single-record call of another client can store."""
