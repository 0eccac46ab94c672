"""What of an answer counts: all but its date, the server's own values, and the words of errors."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.differential.wire import Answer

HEADERS = re.compile(
    r"content-(type|length|disposition|range)|accept-(ranges|encoding)|allow|location|vary"
    r"|access-control-.*|x-reduct-(?!log-hint).*"
)
"""The headers that are compared."""

OWN_VALUES = {"created_at", "diagnostics", "is_active", "last_access", "last_run"}
"""Fields whose values differ from server to server and from second to second."""

UNORDERED = {"lifecycles", "replications"}
"""Lists that come in any order."""

OWN_TOTALS = {"bucket_count", "latest_record", "oldest_record", "uptime", "usage", "version"}
"""Fields of `/info` that do so, since they count what each server notes about itself."""

ERROR = re.compile(r"x-reduct-error-.*")
RECORD = re.compile(r"x-reduct-(time-)?\d+(-\d+)?")


class Comparable(NamedTuple):
    """What two servers must agree on."""

    status: int
    headers: Mapping[str, str]
    body: Any


def comparable(answer: Answer) -> Comparable:
    """Return what counts of an answer."""
    headers = {name: value for name, value in answer.headers if HEADERS.fullmatch(name)}
    is_json = headers.get("content-type") == "application/json"
    allowed = headers.pop("allow", None)
    if answer.status == 405:
        headers["allow"] = ",".join(sorted(set((allowed or "").split(","))))
    if answer.status >= 400 or (answer.status == 204 and "x-reduct-error" in headers):
        # The words of an error are free, and with them the length of the body.
        headers.pop("content-length", None)
        if "x-reduct-error" in headers:
            headers["x-reduct-error"] = "..."
        return Comparable(answer.status, headers, "..." if answer.body else "")
    if is_json:
        headers.pop("content-length", None)
        return Comparable(answer.status, headers, plain(parsed(answer.body)))
    return Comparable(answer.status, plain_headers(headers), answer.body)


def parsed(body: bytes) -> Any:
    """Return a JSON document; one that is none as bytes."""
    try:
        return json.loads(body)
    except ValueError:
        return body


def plain(document: Any, name: str = "") -> Any:
    """Return a document without what is a server's own."""
    if isinstance(document, dict):
        own = OWN_TOTALS if "uptime" in document else OWN_VALUES
        return {
            field: "its own" if field in own else plain(value, field)
            for field, value in document.items()
        }
    if isinstance(document, list):
        found = [plain(item) for item in document if not is_system(item)]
        return sorted(found, key=repr) if name in UNORDERED else found
    if name in {"id", "size"}:
        return f"a {type(document).__name__}"
    if name == "value":
        return re.sub(r"-[0-9a-f]{32}$", "-...", document)
    if name == "link":
        place = re.sub(r"^http://127\.0\.0\.1:\d+|\?.*", "", document)
        return f"{place}?{sorted(parameters(document))}"
    return document


def is_system(item: Any) -> bool:
    """Return whether an item of a list is the bucket in which a server notes what it does."""
    return isinstance(item, dict) and item.get("name") == "$system"


def parameters(link: str) -> list[str]:
    """Return the names of the parameters of a link."""
    return re.findall(r"[?&](\w+)=", link)


def plain_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers of a success with the labels of records by name, in one order."""
    listed = headers.get("x-reduct-labels")
    names = listed.split(",") if listed else []
    found = {}
    for name, value in headers.items():
        if name == "x-reduct-labels":
            found[name] = ",".join(sorted(names))
        elif ERROR.fullmatch(name):
            found[name] = value.partition(",")[0]
        elif RECORD.fullmatch(name):
            found[name] = record_header(value, names)
        else:
            found[name] = value
    return found


def record_header(value: str, names: list[str]) -> str:
    """Return the value of a record header with its labels by name, in one order."""
    length, *rest = items(value)
    content_type, labels = rest[:1], rest[1:]
    return ",".join([length, *content_type, *sorted(by_name(label, names) for label in labels)])


def items(value: str) -> list[str]:
    """Cut the value of a record header at its commas, but for those between quotes."""
    found, quoted = [""], False
    for character in value:
        quoted ^= character == '"'
        if character == "," and not quoted:
            found.append("")
        else:
            found[-1] += character
    return found


def by_name(label: str, names: list[str]) -> str:
    """Return a label of a record header with its name in place of its number."""
    key, equals, value = label.partition("=")
    return (names[int(key)] if key.isdecimal() and int(key) < len(names) else key) + equals + value
