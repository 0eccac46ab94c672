"""What is not sent, since the real server does not survive it, hang on it, or is of two minds."""

import re
import zlib
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.contract_hooks import FATAL, Request, query
from tests.differential.wire import Call


class Exclusion(NamedTuple):
    """A kind of call that is not sent.

    Attributes:
        reason: what the real server does with it.
        applies: whether a call is of that kind.
    """

    reason: str
    applies: Callable[[Request], bool]


def content_of_a_query_without_content(request: Request) -> bool:
    """Tell GET of a query that was made with `only_metadata`; its placeholder is `<head...>`."""
    place = request.query.get("q", request.headers.get("x-reduct-query-id", ""))
    return request.method == "GET" and place.startswith("<head")


def range_beyond_the_record(request: Request) -> bool:
    """Tell a range whose end may be beyond the record; here records of links have 10 bytes."""
    ends = re.findall(r"-\s*(\d+)", request.headers.get("range", ""))
    starts = re.findall(r"(\d+)\s*-", request.headers.get("range", ""))
    return request.path.startswith("/links/") and any(
        int(number) >= 10 for number in (*ends, *starts)
    )


def several_attachments_at_once(request: Request) -> bool:
    """Tell a batch with several attachments."""
    records = [name for name in request.headers if re.fullmatch(r"x-reduct-(time-)?[\d-]+", name)]
    place = f"{request.path} {request.headers.get('x-reduct-entries', '')}"
    return "$meta" in unquote(place) and len(records) > 1


def comma_and_quote_in_a_label(request: Request) -> bool:
    """Tell a label whose value has both; only a header of its own can carry it."""
    labels = [text for name, text in request.headers.items() if name.startswith("x-reduct-label-")]
    return any("," in text and '"' in text for text in labels)


def compressed_body_without_its_end(request: Request) -> bool:
    """Tell gzip that is cut off in the 8 bytes behind the compressed content."""
    if request.headers.get("content-encoding") != "gzip" or not request.body:
        return False
    content = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        # Python writes heads of 10 bytes.
        content.decompress(request.body[10:])
    except zlib.error:
        return False
    return content.eof and len(content.unused_data) < 8


def small_answers_about_several_entries(request: Request) -> bool:
    """Tell a query of several entries whose answers hold less than it finds."""
    found = query(request)
    when = found.content.get("when") if found else None
    return (
        request.path.startswith("/io/")
        and isinstance(when, dict)
        and any(name.startswith("#batch_") for name in when)
    )


def name_beyond_the_file_system(request: Request) -> bool:
    """Tell a name with a segment that is too long for a folder."""
    names = f"{request.path},{unquote(request.headers.get('x-reduct-entries', ''))}"
    renamed = re.search(rb'[^"/]{256}', request.body) if b"new_name" in request.body else None
    return re.search(r"[^/,]{256}", names) is not None or renamed is not None


def system_bucket(request: Request) -> bool:
    """Tell calls about the bucket in which the server notes what it does."""
    return re.match(r"/(b|io)/[$]system", request.path) is not None


EXCLUDED = {
    **{
        fatal.__name__: Exclusion(f"ends the server process. {fatal.__doc__}", fatal)
        for fatal in FATAL
    },
    "content_of_a_query_without_content": Exclusion(
        "closes the connection without an answer", content_of_a_query_without_content
    ),
    "range_beyond_the_record": Exclusion(
        "sends bytes that the record does not have, or closes the connection",
        range_beyond_the_record,
    ),
    "several_attachments_at_once": Exclusion(
        "sometimes fails with 500, since it removes and writes side by side",
        several_attachments_at_once,
    ),
    "compressed_body_without_its_end": Exclusion(
        "takes it; a listed deviation of the embedded server, which refuses it",
        compressed_body_without_its_end,
    ),
    "small_answers_about_several_entries": Exclusion(
        "merges what the entries have ready, so that chance decides which records share an answer",
        small_answers_about_several_entries,
    ),
    "name_beyond_the_file_system": Exclusion(
        "fails with 500 as its file system says", name_beyond_the_file_system
    ),
    "system_bucket": Exclusion("holds the events of each server", system_bucket),
    "comma_and_quote_in_a_label": Exclusion(
        "batches have no way to write it, and what is cut off depends on the order of labels,"
        " which is free",
        comma_and_quote_in_a_label,
    ),
}
"""Everything that is kept from the servers, by name."""


def excluded_by(call: Call) -> str | None:
    """Return the name of the exclusion that a call falls under, None if it may be sent."""
    request = as_request(call)
    return next((name for name, kind in EXCLUDED.items() if kind.applies(request)), None)


def as_request(call: Call) -> Request:
    """Return a call as the server sees it."""
    parts = urlsplit(call.target)
    headers: dict[str, str] = {}
    for name, value in call.headers:
        headers.setdefault(name.lower(), value)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Request(call.method, unquote(parts.path), query, headers, call.body)
