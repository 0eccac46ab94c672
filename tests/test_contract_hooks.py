"""Each hook of the contract tests stops its input, and lets the nearest harmless one pass.

The samples are requests against the world of `tests/contract_world.py`. On a real server those
that are stopped end the process, and the others do not.
"""

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest
import requests

from tests.contract_hooks import API, FATAL, MISMATCHES, Request, stopped_by
from tests.contract_hooks import control_character_in_a_name as control
from tests.contract_hooks import division_of_the_least_integer as least
from tests.contract_hooks import integer_beyond_64_bits as beyond
from tests.contract_hooks import label_beyond_ascii as foreign
from tests.contract_hooks import label_that_is_no_token as no_token
from tests.contract_hooks import link_range_of_another_unit as unit
from tests.contract_hooks import link_with_a_short_salt as salt
from tests.contract_hooks import link_with_an_odd_nonce as nonce
from tests.contract_hooks import odd_condition_on_attachments as odd
from tests.contract_hooks import remainder_of_zero as remainder
from tests.contract_world import (
    BODIES,
    BUCKET,
    ENTRY,
    NAMES,
    REQUEST_SECONDS,
    TIME,
    World,
    at_home,
    new_session,
)
from tests.document import OPERATIONS
from tools.real_server import RealServer

MIN = -(2**63)
MAX_TIME = 2**64 - 1

BATCH = f"{ENTRY}/batch"
IO = f"/io/{NAMES['bucket']}"
META = f"{ENTRY}/$meta"
LINK = f"/links/{NAMES['file_name']}"
LINK_PARTS = {"ct": "AAAA", "s": "A" * 21 + "Q", "i": "recorder", "n": "A" * 21 + "Q"}
"""What a link may look like; on a real server its own parts take the place of these."""
RANGE = {"start": 0, "stop": MAX_TIME}


END_SECONDS = 10.0
"""The process ends some milliseconds after the connection; against hangs only."""


class Sample(NamedTuple):
    """A request, and what is read afterwards.

    Attributes:
        fatal: the hook that stops it; None for one that may be sent.
        request: what is sent.
        then: what is read next; `{id}` is that of the query, `{link}` that of the link just made.
    """

    fatal: Callable[[Request], bool] | None
    request: Request
    then: tuple[str, ...] = ()


def posted(fatal: Callable[[Request], bool] | None, path: str, body: Any, *then: str) -> Sample:
    return Sample(fatal, Request("POST", path, body=json.dumps(body).encode()), then)


def asked(fatal: Callable[[Request], bool] | None, when: Any, **fields: Any) -> Sample:
    """Return a query of the entry, which is read afterwards."""
    body = {"query_type": "QUERY", **RANGE, "when": when, **fields}
    return posted(fatal, f"{ENTRY}/q", body, f"GET {BATCH}?q={{id}}")


def asked_meta(fatal: Callable[[Request], bool] | None, when: Any) -> Sample:
    """Return a query of the attachments."""
    body = {"query_type": "QUERY", **RANGE, "when": when}
    return posted(fatal, f"{META}/q", body, f"GET {META}/batch?q={{id}}")


def batch(fatal: Callable[[Request], bool] | None, record: str, method: str = "POST") -> Sample:
    """Return a batch that writes or updates one record, which is read afterwards."""
    size, time = (1, TIME + 1) if method == "POST" else (0, TIME)
    headers = {f"x-reduct-time-{time}": f"{size},{record}"}
    request = Request(method, BATCH, headers=headers, body=b"x" * size)
    return Sample(fatal, request, (f"GET {ENTRY}?ts={time}",))


def labelled(
    fatal: Callable[[Request], bool] | None,
    names: str,
    then: tuple[str, ...] = (f"GET {ENTRY}?ts={TIME + 1}",),
) -> Sample:
    """Return a batch over several entries that writes a record with the first of these labels."""
    headers = {**io_headers(NAMES["entry"], TIME + 1, "1,,0=x"), "x-reduct-labels": names}
    return Sample(fatal, Request("POST", f"{IO}/write", headers=headers, body=b"x"), then)


def io_headers(entry: str, time: int, record: str) -> dict[str, str]:
    return {"x-reduct-entries": entry, "x-reduct-start-ts": str(time), "x-reduct-0-0": record}


def io_change(
    fatal: Callable[[Request], bool] | None, call: str, entry: str, record: str = ""
) -> Sample:
    method = {"update": "PATCH", "remove": "DELETE", "write": "POST"}[call]
    body = b"x" if call == "write" else b""
    headers = io_headers(entry, TIME + 1, f"{len(body)},{record}")
    request = Request(method, f"{IO}/{call}", headers=headers, body=body)
    return Sample(fatal, request, (f"GET {ENTRY}?ts={TIME + 1}",))


def fetched(
    fatal: Callable[[Request], bool] | None, method: str = "GET", part: str = "", **parts: str
) -> Sample:
    """Return the reading of a link, or of a part of it."""
    headers = {"range": part} if part else {}
    return Sample(fatal, Request(method, LINK, {**LINK_PARTS, **parts}, headers))


def linked(fatal: Callable[[Request], bool] | None, query: dict[str, Any]) -> Sample:
    """Return the making of a link, which is read afterwards."""
    body = {**BODIES["create_link"][0], "query": {"query_type": "QUERY", **RANGE, **query}}
    return posted(fatal, LINK, body, "GET {link}")


REPLICATION = at_home(BODIES["create_replication"][0])
LIFECYCLE = BODIES["create_lifecycle"][0]
READ_BATCH = (f"GET {ENTRY}/q", f"GET {BATCH}?q={{id}}")

SAMPLES = [
    # --- Integers beyond 64 bits
    asked(beyond, 2**63),
    asked(beyond, 2**64 - 1),
    asked(beyond, {"&axis": {"$gt": 2**63}}),
    asked(beyond, {"$and": [True, {"$in": ["&axis", 1, 2**63]}]}),
    asked(beyond, None, ext={"any": {}, "when": 2**63}),
    asked(beyond, {"#ext": [{"any": {}, "when": {"$gt": [1, 2**63]}}]}),
    posted(beyond, f"{IO}/q", {"query_type": "QUERY", **RANGE, "when": {"&axis": {"$gt": 2**63}}}),
    posted(beyond, "/replications/new", {**REPLICATION, "when": {"&axis": {"$gt": 2**63}}}),
    posted(beyond, "/lifecycles/new", {**LIFECYCLE, "when": {"&axis": {"$gt": 2**63}}}),
    linked(beyond, {"when": {"&axis": {"$gt": 2**63}}}),
    asked(None, 2**63 - 1),
    asked(None, 2**64),
    asked(None, -(2**63) - 1),
    asked(None, {"&axis": {"$gt": "9223372036854775808"}}),
    asked(None, {"#ctx_before": 2**63}),
    posted(None, f"{BUCKET}-new", {"when": 2**63}),
    # --- Remainders
    asked(remainder, {"$rem": [5, 0]}),
    asked(remainder, {"$rem": ["&peak", 0]}),
    asked(remainder, {"$rem": ["&peak", False]}),
    asked(remainder, {"$rem": [5, "0s"]}),
    asked(remainder, {"$rem": [5, "1s -1s"]}),
    asked(remainder, {"$rem": [5, "u-0s"]}),
    asked(remainder, {"$rem": [5, "9223372036854775807us 9223372036854775807us 2us"]}),
    asked(remainder, {"$rem": [5, {"$sub": [1, 1]}]}),
    asked(remainder, {"&peak": {"$rem": 0}}),
    asked(remainder, {"$not": [{"$gt": [{"$rem": [5, "&offset"]}, 1]}]}),
    linked(remainder, {"when": {"$rem": [5, 0]}}),
    asked(None, {"$rem": [5, 0.0]}),
    asked(None, {"$rem": [5.0, 0]}),
    asked(None, {"$rem": [5, 1]}),
    asked(None, {"$rem": [5, "0"]}),
    asked(None, {"$rem": [5, "1s"]}),
    asked(None, {"$rem": [5, "9223372036854775808us"]}),
    asked(None, {"$rem": [5, "$$0"]}),
    asked(None, {"5": {"$rem": 0}}),
    asked(None, {"$div_num": [5, 0]}),
    asked(None, {"$rem": [5, 6, 0]}),
    # --- Divisions of the least integer
    asked(least, {"$rem": [MIN, -1]}),
    asked(least, {"$div_num": [MIN, -1]}),
    asked(least, {"$div_num": [MIN, -1.5]}),
    asked(least, {"$div_num": [MIN, "-1us"]}),
    asked(least, {"$div_num": [{"$add": [MIN]}, -1]}),
    asked(None, {"$rem": [MIN, -2]}),
    asked(None, {"$rem": [MIN + 1, -1]}),
    asked(None, {"$rem": [MIN, -1.0]}),
    asked(None, {"$div_num": [MIN, 1]}),
    asked(None, {"$div": [MIN, -1]}),
    asked(None, {"$abs": [MIN]}),
    # --- Attachments
    asked_meta(odd, True),
    asked_meta(odd, "&key"),
    asked_meta(odd, {"$not": "&key"}),
    asked_meta(odd, {"$not": {"&key": {"$eq": "k"}}}),
    posted(odd, f"{META}/q", {"query_type": "REMOVE", **RANGE, "when": True}),
    posted(
        odd,
        f"{IO}/q",
        {"query_type": "QUERY", **RANGE, "entries": [f"{NAMES['entry']}/$meta"], "when": True},
    ),
    linked(odd, {"entries": [f"{NAMES['entry']}/$meta"], "when": True}),
    asked_meta(None, None),
    asked_meta(None, {"$not": ["&key"]}),
    asked_meta(None, {"$and": [{"$not": True}]}),
    asked(None, True),
    posted(
        None,
        f"{IO}/q",
        {"query_type": "REMOVE", **RANGE, "entries": [f"{NAMES['entry']}/$meta"], "when": True},
    ),
    posted(None, f"{IO}/q", {"query_type": "QUERY", **RANGE, "entries": ["*/$meta"], "when": True}),
    # --- Labels
    batch(no_token, ",a b=1"),
    batch(no_token, "text/plain,a/b=1"),
    batch(no_token, ",@x=1"),
    batch(no_token, ',b="1,2",a:b=1'),
    batch(no_token, ',a"b=1'),
    batch(no_token, ",a,b=1"),
    batch(no_token, ",a b=1", "PATCH"),
    labelled(no_token, "a%20b"),
    labelled(no_token, "%C3%A9"),
    batch(None, ",a-b.c_d=1"),
    batch(None, ",A=1"),
    batch(None, "a b=1"),
    batch(None, ',b="1,a b=2"'),
    batch(None, ",a b"),
    batch(None, ",a b=", "PATCH"),
    labelled(None, "a"),
    labelled(None, "a,b%20c"),
    batch(no_token, ",a b="),
    batch(None, ",a%20b=1"),
    io_change(None, "write", NAMES["entry"], ",a b="),
    # --- Labels that the other kind of batch cannot say
    labelled(foreign, "%C3%A9", READ_BATCH),
    labelled(foreign, "a%0Ab", READ_BATCH),
    labelled(None, "a-b", READ_BATCH),
    # --- Names
    Sample(control, Request("POST", "/b/a\n/e/batch", headers={"x-reduct-time-1": "0,"})),
    Sample(control, Request("POST", "/io/a\x7f/write", headers=io_headers("e", 1, "0,"))),
    io_change(control, "update", "a%0A"),
    io_change(control, "remove", "a%1F"),
    Sample(None, Request("POST", "/b/a\t/e/batch", headers={"x-reduct-time-1": "0,"})),
    Sample(None, Request("POST", "/b/a\n/e/batch")),
    Sample(None, Request("POST", f"{BUCKET}/a\n/batch", headers={"x-reduct-time-1": "0,"})),
    Sample(None, Request("PATCH", "/b/a\n/e/batch", headers={"x-reduct-time-1": "0,"})),
    Sample(None, Request("PATCH", "/io/a\n/update", headers=io_headers("e", 1, "0,"))),
    Sample(None, Request("GET", "/b/a\n")),
    io_change(None, "update", "a%09"),
    io_change(None, "write", "a%0A"),
    # --- Links
    fetched(unit, part="items=0-1"),
    fetched(unit, part="bytes"),
    fetched(unit, "HEAD", part="Bytes=0-1"),
    fetched(salt, s=""),
    fetched(salt, s="A" * 10),
    fetched(nonce, n="A" * 20),
    fetched(nonce, "HEAD", n="A" * 23),
    fetched(None),
    fetched(None, part="bytes=0-1"),
    fetched(None, part="bytes=x"),
    fetched(None, s="A" * 11),
    fetched(None, s="A"),
    fetched(None, n="A" * 22),
    fetched(None, n="!"),
    Sample(None, Request("GET", ENTRY, headers={"range": "items=0-1"})),
]


def name_of(sample: Sample) -> str:
    return sample.fatal.__name__ if sample.fatal else "harmless"


each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=name_of)


@each_sample
def test_hooks_stop_what_is_fatal_and_nothing_else(sample: Sample) -> None:
    if sample.fatal is None:
        assert stopped_by(sample.request) is None
    else:
        assert sample.fatal(sample.request)
        assert stopped_by(sample.request) is not None


def test_each_hook_has_a_sample() -> None:
    assert {sample.fatal for sample in SAMPLES} == {*FATAL, None}


def test_a_request_is_seen_as_the_server_sees_it() -> None:
    url = f"http://host{API}/b/a%0A/c%2Fd/q?ts=1&q=a+b&ts=%C3%A9"
    sent = requests.Request("PUT", url, headers={"X-A": "b", "x-c": b"\xe9"}, data="\xe9").prepare()

    seen = Request.of(sent)

    assert seen[:3] == ("PUT", "/b/a\n/c/d/q", {"ts": "\xe9", "q": "a b"})
    assert seen.headers == {"x-a": "b", "x-c": "\xe9", "content-length": "2"}
    assert seen.body == "\xe9".encode()


WRITTEN = {"content-length": "1", "x-reduct-content-length": "1"}

EXPECTED = {
    "rename_bucket": (
        Request("PUT", f"{BUCKET}/rename", body=b'{"new_name": ""}'),
        Request("PUT", f"{BUCKET}/rename", body=b'{"new_name": "a"}'),
    ),
    "create_token": (
        Request("POST", "/tokens/a", body=b"{}"),
        Request("POST", "/tokens/a", body=b'{"permissions": {}}'),
    ),
    "write_record": (
        Request("POST", ENTRY, headers={**WRITTEN, "x-reduct-content-length": "-1"}, body=b"x"),
        Request("POST", ENTRY, headers=WRITTEN, body=b"x"),
    ),
    "write_batch": (
        Request("POST", f"{BUCKET}/a./batch", headers=WRITTEN, body=b"x"),
        Request("POST", BATCH, headers=WRITTEN, body=b"x"),
    ),
    "io_write": (
        Request("POST", f"{IO}/write", headers=WRITTEN),
        Request("POST", f"{IO}/write", headers=WRITTEN, body=b"x"),
    ),
    "io_update": (
        Request("PATCH", f"{IO}/update", headers={"x-schemathesis-unknown-property": "42"}),
        Request("PATCH", f"{IO}/update"),
    ),
}
"""A request of each operation that the table speaks of, and its neighbour that is not excused."""


@pytest.mark.parametrize("name", EXPECTED)
def test_the_table_excuses_what_it_says_and_nothing_else(name: str) -> None:
    rows = [row for row in MISMATCHES if name in row.operations]
    excused, neighbour = EXPECTED[name]

    assert any(row.applies(excused, 200) for row in rows)
    assert not any(row.applies(neighbour, 200) for row in rows)


def test_only_errors_may_be_no_json() -> None:
    (row,) = (row for row in MISMATCHES if not row.operations)

    assert row.applies(Request("GET", BUCKET), 404)
    assert not row.applies(Request("GET", BUCKET), 200)


def test_the_table_speaks_of_operations_that_exist_and_gives_reasons() -> None:
    named = {name for row in MISMATCHES for name in row.operations}

    assert named == EXPECTED.keys()
    assert named < {operation.name for operation in OPERATIONS}
    assert all(len(row.reason) > 20 for row in MISMATCHES)


@pytest.mark.contract
@pytest.mark.real
@each_sample
def test_only_what_is_stopped_ends_a_real_server(sample: Sample) -> None:
    with RealServer() as server:
        world = World(server)
        world.record()
        attachment = {"x-reduct-label-key": "k"}
        world.call("POST", f"{META}?ts={TIME}", data=b"{}", headers=attachment)

        answered = send_all(sample, world)

        assert answered == (sample.fatal is None)
        deadline = time.monotonic() + END_SECONDS
        while not answered and server.alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.alive() == answered


def send_all(sample: Sample, world: World) -> bool:
    """Send the requests of a sample and return whether all were answered."""
    method, path, query, headers, body = sample.request
    if path == LINK and method != "POST":
        changed = {name: part for name, part in query.items() if LINK_PARTS[name] != part}
        query = {**world.link(), **changed}
    address = f"{quote(path, safe='/$')}?{urlencode(query)}".removesuffix("?")
    known: dict[str, Any] = {}
    for request in (f"{method} {address}", *sample.then):
        # An error has neither id nor link, and there is nothing to read then.
        method, address = request.format_map({"id": 0, "link": LINK, **known}).split(" ", 1)
        try:
            with new_session() as session:
                response = session.request(
                    method, world.url + address, headers=headers, data=body, timeout=REQUEST_SECONDS
                )
        except requests.ConnectionError:
            return False
        headers, body = {}, b""
        made = response.content.startswith((b'{"id":', b'{"link":'))
        known = response.json() if made else {}
        known = {name: str(value).removeprefix(world.url) for name, value in known.items()}
    return True
