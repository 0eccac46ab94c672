"""What schemathesis must not send to a real server, and where the server differs from openapi.yaml.

`FATAL` holds one function for each kind of input that ends the server process, and nothing else;
each is true for the requests to stop. `MISMATCHES` is the one list of differences that stay.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple, TypeGuard
from urllib.parse import parse_qsl, unquote, urlsplit

import requests

API = "/api/v1"


class Request(NamedTuple):
    """A request as the server sees it: path and query decoded, header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @classmethod
    def of(cls, prepared: requests.PreparedRequest) -> "Request":
        """Return what `prepared` will put on the wire; the path begins below the API root."""
        parts = urlsplit(str(prepared.url))
        headers = ((name.lower(), value) for name, value in prepared.headers.items())
        return cls(
            str(prepared.method),
            unquote(parts.path.removeprefix(API)),
            # Of a repeated parameter the last one counts, for the server as for a dict.
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            {name: text_of(value) for name, value in headers},
            body_of(prepared),
        )


def body_of(prepared: requests.PreparedRequest) -> bytes:
    """Return the body of a request, empty if it has none."""
    body = prepared.body or b""
    assert isinstance(body, str | bytes)
    return body.encode() if isinstance(body, str) else body


def text_of(value: str | bytes) -> str:
    """Return a header's value as text; on the wire it is Latin-1."""
    return value.decode("latin-1") if isinstance(value, bytes) else value


# --- Conditions -----------------------------------------------------------------------------------


class Query(NamedTuple):
    """The part of a body that may hold a condition, and the entries that it names."""

    content: dict[str, Any]
    entries: list[Any]


def query(request: Request) -> Query | None:
    """Return what a body says to be selected; None if the server reads no condition there."""
    try:
        body = json.loads(request.body)
    except ValueError:
        return None
    if request.method not in {"POST", "PUT"} or not isinstance(body, dict):
        return None
    if entry := re.fullmatch(r"/b/[^/]+/(.+)/q", request.path, re.DOTALL):
        return Query(body, [entry[1]])
    if re.fullmatch(r"/io/[^/]+/q", request.path):
        # Removals over several entries pass over attachments.
        entries = body.get("entries") if body.get("query_type") != "REMOVE" else None
        return Query(body, entries if isinstance(entries, list) else [])
    if request.path.startswith("/links/") and isinstance(body.get("query"), dict):
        return Query(body["query"], body["query"].get("entries") or [body.get("entry")])
    if re.match("/replications/|/lifecycles/", request.path):
        return Query(body, [])
    return None


def conditions(request: Request) -> Iterator[Any]:
    """Yield the conditions of the body, those of extensions included."""
    if found := query(request):
        when = found.content.get("when")
        yield when
        directive = when.get("#ext") if isinstance(when, dict) else None
        for extensions in (found.content.get("ext"), directive):
            for step in extensions if isinstance(extensions, list) else [extensions]:
                if isinstance(step, dict):
                    yield step.get("when")


def nodes(condition: Any) -> Iterator[Any]:
    """Yield all parts of a condition; directives are read with more care and do no harm."""
    yield condition
    if isinstance(condition, list):
        for operand in condition:
            yield from nodes(operand)
    if isinstance(condition, dict):
        for name, operand in condition.items():
            if not name.startswith("#"):
                yield from nodes(operand)


class Unknown(Enum):
    """A value that depends on the record: of a label, or of an expression."""

    VALUE = "any"


UNKNOWN: Final = Unknown.VALUE


def number(operand: Any) -> int | float | Unknown | None:
    """Return what an operand is for arithmetic; None if it is no number."""
    if isinstance(operand, dict):
        return UNKNOWN
    if isinstance(operand, str):
        if re.match(r"[&@]|\$(?!\$)", operand):
            return UNKNOWN
        return microseconds(operand)
    return operand if isinstance(operand, int | float) else None


UNITS = {"us": 1, "ms": 10**3, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
"""The units of durations in microseconds."""


def microseconds(duration: str) -> int | None:
    """Return the length of a duration as the server reads it; None for any other text.

    It has 64 bits with a sign, and wraps around.
    """
    total = 0
    for part in duration.split():
        digits, unit = re.sub(r"[^0-9.-]", "", part), re.sub(r"[0-9.-]", "", part)
        if not re.fullmatch(r"-?\d+", digits) or unit not in UNITS:
            return None
        if not -(2**63) <= int(digits) < 2**63:
            return None
        total += int(digits) * UNITS[unit]
    return (total + 2**63) % 2**64 - 2**63 if duration.strip() else None


def divisions(request: Request) -> Iterator[tuple[str, Any, Any]]:
    """Yield operator, dividend and divisor of `{operator: [a, b]}` and of `{a: {operator: b}}`."""
    for node in (node for condition in conditions(request) for node in nodes(condition)):
        for name, value in node.items() if isinstance(node, dict) else ():
            if name in {"$rem", "$div_num"} and isinstance(value, list) and len(value) == 2:
                yield name, number(value[0]), number(value[1])
            elif isinstance(value, dict):
                for operator in value.keys() & {"$rem", "$div_num"}:
                    yield operator, number(name), number(value[operator])


def integer_beyond_64_bits(request: Request) -> bool:
    """Stop integers of 2^63 to 2^64-1 in conditions; larger ones are read as doubles."""
    found = (node for condition in conditions(request) for node in nodes(condition))
    return any(isinstance(node, int) and 2**63 <= node < 2**64 for node in found)


def remainder_of_zero(request: Request) -> bool:
    """Stop `$rem` of integers by what is or may be 0."""
    return any(
        isinstance(dividend, int | Unknown)
        and isinstance(divisor, int | Unknown)
        and divisor in {0, UNKNOWN}
        for operator, dividend, divisor in divisions(request)
        if operator == "$rem"
    )


def division_of_the_least_integer(request: Request) -> bool:
    """Stop `$rem` and `$div_num` of what is or may be -2^63 by what is or may be -1."""
    for operator, *operands in divisions(request):
        if operator == "$div_num":
            # It cuts off fractions.
            operands = [math.trunc(value) if is_finite(value) else value for value in operands]
        dividend, divisor = operands
        integers = isinstance(dividend, int | Unknown) and isinstance(divisor, int | Unknown)
        if integers and dividend in {-(2**63), UNKNOWN} and divisor in {-1, UNKNOWN}:
            return True
    return False


def is_finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, float) and math.isfinite(value)


def odd_condition_on_attachments(request: Request) -> bool:
    """Stop queries of `$meta` entries whose `when` is no object, or whose `$not` is no array."""
    found = query(request)
    if not found or not any(is_attachments(name) for name in found.entries):
        return False
    when = found.content.get("when")
    if isinstance(when, dict):
        return not isinstance(when.get("$not", []), list)
    return when is not None


def is_attachments(name: Any) -> bool:
    """Return whether a name is that of attachments; patterns never match them."""
    return isinstance(name, str) and bool(re.fullmatch(r"/?([^*!]+/)?\$meta", name))


# --- Batches --------------------------------------------------------------------------------------

V1_PATH = re.compile(r"/b/([^/]+)/(.+)/batch", re.DOTALL)
V2_PATH = re.compile(r"/io/(.+)/(write|update|remove)", re.DOTALL)

TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]*")
"""Label names that can be part of a header's name."""

CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Characters that cannot stand in a header's value; a tab can."""


def records(request: Request) -> list[str]:
    """Return the values of the record headers of a batch."""
    if V1_PATH.fullmatch(request.path):
        name = re.compile(r"x-reduct-time-\d+")
    elif V2_PATH.fullmatch(request.path):
        name = re.compile(r"x-reduct-\d+-\d+")
    else:
        return []
    return [value for header, value in request.headers.items() if name.fullmatch(header)]


def stored_labels(request: Request) -> Iterator[str]:
    """Yield the names of labels that a batch writes or sets, as the server stores them."""
    if request.method not in {"POST", "PATCH"}:
        return
    listed = request.headers.get("x-reduct-labels")
    names = [] if listed is None else [unquote(name).strip() for name in listed.split(",")]
    by_number = {str(number): name for number, name in enumerate(names)}
    # Elsewhere an empty value removes the label.
    with_empty = request.method == "POST" and V1_PATH.fullmatch(request.path)
    for record in records(request):
        for name, value in labels(record):
            if value or with_empty:
                yield by_number.get(name, name)


def labels(record: str) -> Iterator[tuple[str, str]]:
    """Yield names and values of labels of a record header, cut as the server cuts them."""
    rest = "".join(record.split(",", 2)[2:])
    while "=" in rest:
        name, _, value = rest.partition("=")
        if value.startswith('"'):
            value, _, rest = value[1:].partition('"')
            rest = rest.lstrip(",")
        else:
            value, _, rest = value.partition(",")
        yield name.strip(), value.strip()


def label_that_is_no_token(request: Request) -> bool:
    """Stop batches that store such a label: a single read of its record needs it as a header."""
    return any(not TOKEN.fullmatch(name) for name in stored_labels(request))


def label_beyond_ascii(request: Request) -> bool:
    """Stop batches that store such a label, or control characters: v1 reads need it as text."""
    return any(not name.isascii() or CONTROL.search(name) for name in stored_labels(request))


def control_character_in_a_name(request: Request) -> bool:
    """Stop names that come back in the error header of a record.

    Those of buckets in batch writes, those of entries in updates and removals of several.
    """
    if not records(request):
        return False
    one, several = V1_PATH.fullmatch(request.path), V2_PATH.fullmatch(request.path)
    bucket = one or several
    if request.method == "POST":
        return bool(bucket and CONTROL.search(bucket[1]))
    return bool(several and CONTROL.search(unquote(request.headers.get("x-reduct-entries", ""))))


# --- Links ----------------------------------------------------------------------------------------


def link_part(request: Request, name: str) -> bytes | None:
    """Return a decoded parameter of a link; None if it cannot be decoded, which is harmless."""
    value = request.query.get(name)
    if value is None or not re.fullmatch(r"[\w-]*", value, re.ASCII):
        return None
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except binascii.Error:
        return None


def is_link(request: Request) -> bool:
    return request.method in {"GET", "HEAD"} and request.path.startswith("/links/")


def link_range_of_another_unit(request: Request) -> bool:
    """Stop links with a Range that does not begin with `bytes=`."""
    unit = request.headers.get("range", "bytes=").strip()
    return is_link(request) and not unit.startswith("bytes=")


def link_with_a_short_salt(request: Request) -> bool:
    """Stop links with a salt of less than 8 bytes."""
    salt = link_part(request, "s")
    return is_link(request) and salt is not None and len(salt) < 8


def link_with_an_odd_nonce(request: Request) -> bool:
    """Stop links with a nonce of another length than 16 bytes."""
    nonce = link_part(request, "n")
    return is_link(request) and nonce is not None and len(nonce) != 16


FATAL: tuple[Callable[[Request], bool], ...] = (
    integer_beyond_64_bits,
    remainder_of_zero,
    division_of_the_least_integer,
    odd_condition_on_attachments,
    label_that_is_no_token,
    label_beyond_ascii,
    control_character_in_a_name,
    link_range_of_another_unit,
    link_with_a_short_salt,
    link_with_an_odd_nonce,
)
"""Inputs that end the server process, for all its clients."""


def stopped_by(request: Request) -> str | None:
    """Return the name of the function that stops a request, or None if it may be sent."""
    return next((fatal.__name__ for fatal in FATAL if fatal(request)), None)


# --- Where server and document differ -------------------------------------------------------------

ACCEPTED = "Schema-violating request accepted"
"""What schemathesis calls a success of a request that the document rules out."""

BUCKET_NAME = re.compile(r"[$]?[A-Za-z0-9_-]+")
ENTRY_NAME = re.compile(r"([A-Za-z0-9_-]+/)*([A-Za-z0-9_-]+|[$]meta)")


class Mismatch(NamedTuple):
    """A difference that stays, because no document could express what the server does.

    Attributes:
        operations: where it shows; empty means that it may show anywhere.
        title: what schemathesis calls it.
        applies: whether it explains the answer to a request, given with its status.
        reason: why it stays.
    """

    operations: frozenset[str]
    title: str
    applies: Callable[[Request, int], bool]
    reason: str


def is_error(request: Request, status: int) -> bool:
    return status >= 400


def renames_to_nothing(request: Request, status: int) -> bool:
    return bool(json.loads(request.body)["new_name"] == "")


def has_no_permissions(request: Request, status: int) -> bool:
    return "permissions" not in json.loads(request.body)


def announces_no_size(request: Request, status: int) -> bool:
    size = request.headers.get("x-reduct-content-length", "0")
    sent = "content-length" in request.headers
    return sent and not (size.isdecimal() and size.isascii() and int(size) < 2**64)


def has_no_content(request: Request, status: int) -> bool:
    return not request.body


def names_are_invalid(request: Request, status: int) -> bool:
    batch = V1_PATH.fullmatch(request.path) or V2_PATH.fullmatch(request.path)
    assert batch is not None
    invalid_entry = request.path.startswith("/b/") and not ENTRY_NAME.fullmatch(batch[2])
    return invalid_entry or not BUCKET_NAME.fullmatch(batch[1])


def adds_a_header(request: Request, status: int) -> bool:
    return "x-schemathesis-unknown-property" in request.headers


MISMATCHES = (
    Mismatch(
        frozenset(),
        "JSON deserialization error",
        is_error,
        "The server does not escape the message of an error, so the body may be no JSON. The"
        " document says so, and names the header that holds the message.",
    ),
    Mismatch(
        frozenset({"rename_bucket"}),
        "Server error",
        renames_to_nothing,
        "The document rules out an empty name; the server tries to rename the folder and fails.",
    ),
    Mismatch(
        frozenset({"create_token"}),
        ACCEPTED,
        has_no_permissions,
        "The form of older clients is accepted too; the document describes it in words only.",
    ),
    Mismatch(
        frozenset({"write_record", "write_batch", "io_write"}),
        ACCEPTED,
        announces_no_size,
        "`x-reduct-content-length` is not looked at where `Content-Length` is there.",
    ),
    Mismatch(
        frozenset({"write_record", "write_batch", "io_write"}),
        ACCEPTED,
        has_no_content,
        "HTTP does not tell a missing body from an empty one, which is a record of size 0.",
    ),
    Mismatch(
        frozenset({"write_batch", "io_write"}),
        ACCEPTED,
        names_are_invalid,
        "Batch writes answer 200 whatever fails; the headers of the answer say what did.",
    ),
    Mismatch(
        frozenset({"io_write", "io_update"}),
        ACCEPTED,
        adds_a_header,
        "Headers that the document does not name are ignored, as everywhere in HTTP.",
    ),
)
"""All differences between openapi.yaml and the server; the runs fail on any other."""
