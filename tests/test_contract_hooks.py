"""Each hook of the contract tests stops its input, and lets the nearest harmless one pass.

The samples are requests against the world of `tests/contract_world.py`. On a real server those
that are stopped end the process, and the others do not.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import requests

from tests.contract_hooks import FATAL, MISMATCHES, Request, stopped_by
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
from tests.contract_world import BODIES, BUCKET, ENTRY, NAMES, TIME, World, at_home
from tests.document import OPERATIONS
from tests.real_server import RealServer

MIN = -(2**63)
MAX_TIME = 2**64 - 1

BATCH = f"{ENTRY}/batch"
IO = f"/io/{NAMES['bucket']}"
META = f"{ENTRY}/$meta"
LINK = f"/links/{NAMES['file_name']}"
LINK_PARTS = {"ct": "AAAA", "s": "A" * 22, "i": "recorder", "n": "A" * 22}
RANGE = {"start": 0, "stop": MAX_TIME}


class Sample(NamedTuple):
    """A request, and what is read afterwards.

    Attributes:
        fatal: the hook that stops it; None for one that may be sent.
        request: its query completes that of a link, if it is one.
        then: method and path of the requests that follow; `{q}` is the id in the answer.
    """

    fatal: Callable[[Request], bool] | None
    request: Request
    then: tuple[str, ...] = ()


def posted(fatal: Callable[[Request], bool] | None, path: str, body: Any, *then: str) -> Sample:
    return Sample(fatal, Request("POST", path, body=json.dumps(body).encode()), then)


def asked(fatal: Callable[[Request], bool] | None, when: Any, **fields: Any) -> Sample:
    """Return a query of the entry, which is read afterwards."""
    body = {"query_type": "QUERY", **RANGE, "when": when, **fields}
    return posted(fatal, f"{ENTRY}/q", body, f"GET {BATCH}?q={{q}}")


def asked_meta(fatal: Callable[[Request], bool] | None, when: Any) -> Sample:
    """Return a query of the attachments."""
    body = {"query_type": "QUERY", **RANGE, "when": when}
    return posted(fatal, f"{META}/q", body, f"GET {META}/batch?q={{q}}")


def batch(fatal: Callable[[Request], bool] | None, record: str, method: str = "POST") -> Sample:
    """Return a batch that writes or updates one record, which is read afterwards."""
    size, time = (1, TIME + 1) if method == "POST" else (0, TIME)
    headers = {f"x-reduct-time-{time}": f"{size},{record}"}
    request = Request(method, BATCH, headers=headers, body=b"x" * size)
    return Sample(fatal, request, (f"GET {ENTRY}?ts={time}",))


def labelled(fatal: Callable[[Request], bool] | None, names: str, *then: str) -> Sample:
    """Return a batch over several entries that writes a record with the first of these labels."""
    headers = {**io_headers(NAMES["entry"], TIME + 1, "1,,0=x"), "x-reduct-labels": names}
    read = then or (f"GET {ENTRY}?ts={TIME + 1}",)
    return Sample(fatal, Request("POST", f"{IO}/write", headers=headers, body=b"x"), read)


def io_headers(entry: str, time: int, record: str) -> dict[str, str]:
    return {"x-reduct-entries": entry, "x-reduct-start-ts": str(time), "x-reduct-0-0": record}


def io_change(fatal: Callable[[Request], bool] | None, call: str, entry: str) -> Sample:
    method = {"update": "PATCH", "remove": "DELETE", "write": "POST"}[call]
    body = b"x" if call == "write" else b""
    headers = io_headers(entry, TIME, f"{len(body)},")
    return Sample(fatal, Request(method, f"{IO}/{call}", headers=headers, body=body))


def fetched(
    fatal: Callable[[Request], bool] | None, method: str = "GET", range: str = "", **parts: str
) -> Sample:
    headers = {"range": range} if range else {}
    return Sample(fatal, Request(method, LINK, {**LINK_PARTS, **parts}, headers))


def linked(fatal: Callable[[Request], bool] | None, query: dict[str, Any]) -> Sample:
    """Return the making of a link, which is read afterwards."""
    body = {**BODIES["create_link"][0], "query": {"query_type": "QUERY", **RANGE, **query}}
    return posted(fatal, LINK, body, "GET {link}")


REPLICATION = at_home(BODIES["create_replication"][0])
LIFECYCLE = BODIES["create_lifecycle"][0]
QUERY_V1 = (f"GET {BATCH}?q={{q}}",)

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
    asked(remainder, {"$rem": [5, {"$sub": [1, 1]}]}),
    asked(remainder, {"&peak": {"$rem": 0}}),
    asked(remainder, {"$not": [{"$gt": [{"$rem": [5, "&zero"]}, 1]}]}),
    linked(remainder, {"when": {"$rem": [5, 0]}}),
    asked(None, {"$rem": [5, 0.0]}),
    asked(None, {"$rem": [5.0, 0]}),
    asked(None, {"$rem": [5, 1]}),
    asked(None, {"$rem": [5, "0"]}),
    asked(None, {"$rem": [5, "1s"]}),
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
    posted(
        None, f"{IO}/q", {"query_type": "QUERY", **RANGE, "entries": ["*/$meta"], "when": True}
    ),
    # --- Labels
    batch(no_token, ",a b=1"),
    batch(no_token, "text/plain,a/b=1"),
    batch(no_token, ",@x=1"),
    batch(no_token, ',b="1,2",a:b=1'),
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
    # --- Labels that batches cannot say either
    Sample(
        foreign,
        labelled(None, "%C3%A9").request,
        (f'POST {ENTRY}/q {{"query_type": "QUERY", "start": 0}}', *QUERY_V1),
    ),
    Sample(
        foreign,
        labelled(None, "a%0Ab").request,
        (f'POST {ENTRY}/q {{"query_type": "QUERY", "start": 0}}', *QUERY_V1),
    ),
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
    fetched(unit, range="items=0-1"),
    fetched(unit, range="bytes"),
    fetched(unit, "HEAD", range="Bytes=0-1"),
    fetched(salt, s=""),
    fetched(salt, s="A" * 10),
    fetched(nonce, n="A" * 20),
    fetched(nonce, "HEAD", n="A" * 23),
    fetched(None),
    fetched(None, range="bytes=0-1"),
    fetched(None, range="bytes=x"),
    fetched(None, s="A" * 11),
    fetched(None, s="A"),
    fetched(None, n="A" * 22),
    fetched(None, n="!"),
    Sample(None, Request("GET", ENTRY, headers={"range": "items=0-1"})),
]
