"""What schemathesis must not send to a real server, and where the server differs from openapi.yaml.

`FATAL` holds one function for each kind of input that ends the server process, and nothing
else; each is true for the requests to stop.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
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
        body = prepared.body or b""
        return cls(
            str(prepared.method),
            unquote(parts.path.removeprefix(API)),
            # Of a repeated parameter the last one counts, for the server as for a dict.
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            {name.lower(): text(value) for name, value in prepared.headers.items()},
            body.encode() if isinstance(body, str) else bytes(body),
        )


def text(value: str | bytes) -> str:
    """Return a header value as text; the wire has Latin-1."""
    return value.decode("latin-1") if isinstance(value, bytes) else value


# --- Conditions -----------------------------------------------------------------------------------

CONDITION_PATHS = re.compile(r"/b/[^/]+/.+/q|/io/[^/]+/q|/links/.+|/(replications|lifecycles)/[^/]+")
"""Where a body may hold a condition."""

MIN_INTEGER = -(2**63)
"""The least integer of conditions, which know 64 bits with a sign."""


def queries(request: Request) -> Iterator[dict[str, Any]]:
    """Yield the objects of the body that may hold `when` and `ext`."""
    if request.method not in {"POST", "PUT"} or not CONDITION_PATHS.fullmatch(request.path):
        return
    try:
        body = json.loads(request.body)
    except ValueError:
        return
    if isinstance(body, dict):
        yield body
        if isinstance(body.get("query"), dict):
            yield body["query"]


def conditions(request: Request) -> Iterator[Any]:
    """Yield the conditions of the body, those of extensions included."""
    for query in queries(request):
        when = query.get("when")
        yield when
        directive = when.get("#ext") if isinstance(when, dict) else None
        for extensions in (query.get("ext"), directive):
            for step in extensions if isinstance(extensions, list) else [extensions]:
                if isinstance(step, dict):
                    yield step.get("when")


def nodes(condition: Any) -> Iterator[Any]:
    """Yield all parts of a condition; not the values of directives, which are read differently."""
    yield condition
    if isinstance(condition, list):
        for operand in condition:
            yield from nodes(operand)
    if isinstance(condition, dict):
        for name, operand in condition.items():
            if not name.startswith("#"):
                yield from nodes(operand)


def divisions(request: Request, operators: set[str]) -> Iterator[tuple[str, Any, Any]]:
    """Yield operator, dividend and divisor of both forms, `{op: [a, b]}` and `{a: {op: b}}`."""
    for condition in conditions(request):
        for node in nodes(condition):
            for name, value in node.items() if isinstance(node, dict) else ():
                if name in operators and isinstance(value, list) and len(value) == 2:
                    yield name, *value
                elif isinstance(value, dict):
                    for inner in operators.intersection(value):
                        yield inner, name, value[inner]


def may_be(operand: Any, number: int) -> bool:
    """Return whether an operand may have this value: a reference or an expression may always."""
    if isinstance(operand, dict):
        return True
    if isinstance(operand, str):
        # A duration counts as its microseconds; any other text is not converted.
        duration = re.fullmatch(r"[-\d\s]*\d[-\d\s]*[dhmsu][-\d\sdhmsu]*", operand)
        certain = number == 0 and re.search(r"[1-9]", operand) and "-" not in operand
        return operand[:1] in {"&", "@", "$"} or bool(duration and not certain)
    return isinstance(operand, int | float) and operand == number


def integer_beyond_64_bits(request: Request) -> bool:
    """Stop integers of 2^63 to 2^64-1 in conditions; larger ones are read as doubles."""
    found = (node for condition in conditions(request) for node in nodes(condition))
    return any(isinstance(node, int) and 2**63 <= node < 2**64 for node in found)


def remainder_of_zero(request: Request) -> bool:
    """Stop `$rem` by an integer that is or may be 0; 0.0 is harmless."""
    return any(
        may_be(divisor, 0) and not isinstance(divisor, float)
        for _, _, divisor in divisions(request, {"$rem"})
    )


def division_of_the_least_integer(request: Request) -> bool:
    """Stop `$rem` and `$div_num` of what is or may be -2^63 by what is or may be -1."""
    return any(
        may_be(dividend, MIN_INTEGER)
        and may_be(divisor, -1)
        and not (name == "$rem" and isinstance(divisor, float))
        for name, dividend, divisor in divisions(request, {"$rem", "$div_num"})
    )


def odd_condition_on_attachments(request: Request) -> bool:
    """Stop queries of `$meta` entries whose `when` is no object, or whose `$not` is no array."""
    for query in queries(request):
        when = query.get("when")
        odd = when is not None and not isinstance(when, dict)
        odd = odd or (isinstance(when, dict) and not isinstance(when.get("$not", []), list))
        if odd and any(re.fullmatch(r"(/?[^*!]+/)?\$meta", name) for name in entries(request, query)):
            return True
    return False


def entries(request: Request, query: Mapping[str, Any]) -> Iterator[str]:
    """Yield the entries that a query names, in its path or in its body."""
    if request.path.startswith("/b/"):
        yield request.path.split("/", 3)[3].removesuffix("/q")
        return
    # Removals over several entries pass over attachments.
    named = query.get("entries") if query.get("query_type") != "REMOVE" else None
    for name in named if isinstance(named, list) else []:
        if isinstance(name, str):
            yield name


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
    names = None if listed is None else [unquote(name).strip() for name in listed.split(",")]
    for record in records(request):
        parts = re.findall(r'(?:[^,"]|"[^"]*")+|(?<=,)(?=,)', record)
        for label in parts[2:]:
            key, equals, value = (part.strip() for part in label.partition("="))
            if names is not None and key.isdigit() and int(key) < len(names):
                key = names[int(key)]
            # Updates remove a label with an empty value.
            if equals and (value or request.method == "POST"):
                yield key


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
    return is_link(request) and not request.headers.get("range", "bytes=").strip().startswith("bytes=")


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
"""Inputs that end the server process, for all clients: the rows of http-api.md 10.2."""


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
    return json.loads(request.body).get("new_name") == ""


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
        frozenset({"write_record"}),
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
        frozenset({"io_update", "io_remove"}),
        ACCEPTED,
        adds_a_header,
        "Headers that the document does not name are ignored, as everywhere in HTTP.",
    ),
)
"""All differences between openapi.yaml and the server; the runs fail on any other."""
