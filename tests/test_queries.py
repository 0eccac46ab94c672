"""Queries and single reads: what is asked, by which call, and what an answer means."""

import random
import warnings
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_api.models import QueryId, QueryType, RemovedRecords
from reduct_api.types import RequestSpec, StreamSpec
from reduct_core import links, missing, query, reads, removals
from reduct_core.errors import (
    ApiError,
    NotFoundError,
    ProtocolError,
    ReductError,
    TimeoutError,
    TransportError,
)
from reduct_core.gates import Key, Mode
from reduct_core.headers import Answer, RecordHead
from reduct_core.query import Plan, make_plan, parse_answer
from reduct_core.removals import remove_body
from reduct_core.sieve import NO_FILTERS, Filters
from reduct_core.times import MAX_US
from tests.batch_protocol import Stored, answer_v1, answer_v2


def plan(entries: Any = "e", **given: Any) -> Plan:
    arguments: dict[str, Any] = {
        "start": None,
        "stop": None,
        "ttl": None,
        "when": None,
        "strict": None,
        "ext": None,
    }
    return make_plan("b", entries, **(arguments | given))


def body(spec: RequestSpec[Any] | StreamSpec) -> Any:
    return spec.json


# --- plans ---------------------------------------------------------------------------------


def test_a_plan_asks_for_both_bounds() -> None:
    """T9: the server's own defaults refuse entries that lie outside of them."""
    found = plan()
    assert (found.body.start, found.body.stop) == (0, 2**64 - 1)
    assert (found.bucket, found.entries, found.head, found.missing) == ("b", ["e"], False, "ignore")
    assert found.filters == NO_FILTERS
    assert found.body.query_type is QueryType.QUERY
    assert found.body.ttl == query.TTL_SECONDS


@given(st.integers(0, MAX_US), st.integers(0, MAX_US))
def test_b04_zero_is_a_bound(start: int, stop: int) -> None:
    if start > stop:
        with pytest.raises(ValueError, match=rf"^start={start} lies after stop={stop}"):
            plan(start=start, stop=stop)
        return
    asked = body(query.create(plan(start=start, stop=stop)))
    assert (asked["start"], asked["stop"]) == (start, stop)


def test_bounds_are_named() -> None:
    for name in ("start", "stop"):
        with pytest.raises(TypeError, match=rf"^{name}\b"):
            plan(**{name: True})
        with pytest.raises(ValueError, match=rf"^{name}\b"):
            plan(**{name: -1})


@pytest.mark.parametrize(
    ("ttl", "seconds"), [(None, 600), (1, 1), (0.1, 1), (1.5, 2), (2**62, 2**62)]
)
def test_b16_ttl_is_whole_seconds(ttl: Any, seconds: int) -> None:
    assert plan(ttl=ttl).body.ttl == seconds


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), 2**63])
def test_ttl_has_bounds(ttl: Any) -> None:
    with pytest.raises(ValueError, match=r"^ttl=.* must be seconds above 0"):
        plan(ttl=ttl)


@pytest.mark.parametrize("ttl", [True, "5", [5]])
def test_ttl_is_a_number(ttl: Any) -> None:
    with pytest.raises(TypeError, match=r"^ttl=.* must be seconds"):
        plan(ttl=ttl)


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ({"missing": "yes"}, ValueError, r"^missing='yes' must be"),
        ({"missing": None}, ValueError, r"^missing=None must be"),
        ({"strict": 1}, TypeError, r"^strict=1 must be True, False or None"),
        ({"when": ["&a"]}, TypeError, r"^when must be a dict"),
        ({"when": 2**63}, ValueError, r"^when"),
        ({"ext": "x"}, TypeError, r"^ext must be a dict"),
        ({"entries": 5}, TypeError, r"^entries must be"),
        ({"entries": "a/../b"}, ValueError, r"^entry name"),
        ({"entries": "a/$meta", "when": True}, ValueError, r"^when must be a dict for att"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(given: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        plan(**given)


def test_a_condition_is_sent_ahead_where_nothing_else_is() -> None:
    filters = Filters(include={"a": "abc"})
    assert plan(filters=filters).body.when == {"$has": ["a"], "&a": {"$eq": "abc"}}
    assert plan(filters=filters, when={}).body.when == {}
    assert plan(filters=filters, ext={"x": {}}).body.when is None
    assert plan(filters=Filters(exclude={"a": "abc"})).body.when is None


# --- which protocol ------------------------------------------------------------------------


@pytest.mark.parametrize("entries", ["e", ["a/b/c"], ["rename"], ["x/q"], ["e/$meta"]])
@pytest.mark.parametrize("head", [True, False])
def test_one_exact_entry_is_read_by_v1(entries: Any, head: bool) -> None:
    found = plan(entries, head=head)
    assert found.single is not None
    assert found.single == (entries if isinstance(entries, str) else entries[0])
    path = f"/b/b/{found.single.replace('$', '%24')}"
    started = query.create(found)
    assert (started.method, started.url) == ("POST", f"{path}/q")
    read = query.next_answer(found, 7)
    assert (read.method, read.url, read.params) == (
        "HEAD" if head else "GET",
        f"{path}/batch",
        {"q": 7},
    )


@pytest.mark.parametrize("entries", ["e*", ["a", "b"], ["!a"], ["/a"], "a/**", ["a", "a"]])
@pytest.mark.parametrize("head", [True, False])
def test_patterns_and_several_entries_are_read_by_v2(entries: Any, head: bool) -> None:
    found = plan(entries, head=head)
    assert found.single is None
    started = query.create(found)
    assert (started.method, started.url) == ("POST", "/io/b/q")
    assert body(started)["entries"] == ([entries] if isinstance(entries, str) else entries)
    read = query.next_answer(found, 7)
    assert (read.method, read.url) == ("HEAD" if head else "GET", "/io/b/read")
    assert read.headers == {"x-reduct-query-id": "7"}


def test_exact_names_of_a_plan() -> None:
    assert plan(["a", "b*", "!c", "d/e", "/f"]).exact == ["a", "d/e"]


@pytest.mark.parametrize("head", [True, False])
def test_t25_metadata_is_asked_for_and_read_by_head(head: bool) -> None:
    asked = body(query.create(plan(head=head)))
    assert "only_metadata" not in asked
    assert links.metadata(plan()).head
    assert body(query.create(links.metadata(plan())))["only_metadata"] is True


LIMITS = {"#batch_metadata_size": 60_000, "#batch_records": 1_000, "#batch_size": 4_000_000}


@pytest.mark.parametrize(
    ("when", "records", "sent"),
    [
        (None, 1_000, LIMITS),
        ({}, 1_000, LIMITS),
        (None, None, {"#batch_metadata_size": 60_000}),
        ({"$has": "a"}, None, {"#batch_metadata_size": 60_000, "$has": "a"}),
        (
            {"#batch_records": 5, "#batch_metadata_size": 7},
            1000,
            LIMITS | {"#batch_metadata_size": 7, "#batch_records": 5},
        ),
        (True, 1000, True),
        ("&a", None, "&a"),
    ],
)
def test_b19_answers_have_limits(when: Any, records: int | None, sent: Any) -> None:
    started = query.create(plan("e" if records else ["a", "b"], when=when))
    assert body(started)["when"] == sent


def test_the_users_condition_is_not_changed() -> None:
    when = {"$has": "a"}
    query.create(plan(when=when))
    assert when == {"$has": "a"}


def test_plans_of_subscriptions() -> None:
    several = plan(["a*", "b"], start=5, when={"$has": "x"}, head=False)
    one = query.narrowed(several, "a1", 7, 9)
    assert (one.single, one.body.start, one.body.stop) == ("a1", 7, 9)
    assert one.body.when == {"$has": "x"}
    heads = query.metadata(several, "a1", 7, 9)
    assert (heads.single, heads.head, heads.body.only_metadata) == ("a1", True, None)
    assert (heads.body.start, heads.body.stop, heads.body.when) == (7, 9, None)
    assert several.entries == ["a*", "b"]


# --- answers -------------------------------------------------------------------------------


def response(
    headers: list[tuple[str, str]], status: int = 200, method: str = "GET"
) -> httpx.Response:
    request = httpx.Request(method, "http://host/api/v1/io/b/read")
    return httpx.Response(status, headers=headers, request=request)


RECORDS = [Stored("e", 1, b"abc"), Stored("e", 2, b"de")]


@pytest.mark.parametrize("entries", ["e", ["e", "f"]])
@pytest.mark.parametrize("last", [True, False])
def test_answers(entries: Any, last: bool) -> None:
    headers, _ = (
        answer_v1(RECORDS, last=last)
        if entries == "e"
        else answer_v2(RECORDS, last=last, order=random.Random(0))
    )
    found = parse_answer(plan(entries), response(headers))
    assert [(head.entry, head.timestamp, head.size) for head in found.heads] == [
        ("e", 1, 3),
        ("e", 2, 2),
    ]
    assert found.last is last


@pytest.mark.parametrize("entries", ["e", ["e", "f"]])
def test_no_content_is_the_end_whatever_its_headers_say(entries: Any) -> None:
    headers = [("content-length", "24"), ("x-reduct-error", "No content")]
    found = parse_answer(plan(entries), response(headers, 204))
    assert (list(found.heads), found.last) == ([], True)


def test_t11_an_empty_answer_of_v2_is_not_the_end() -> None:
    idle = [
        ("x-reduct-entries", ""),
        ("x-reduct-start-ts", "0"),
        ("content-length", "0"),
        ("x-reduct-last", "false"),
    ]
    found = parse_answer(plan(["e", "f"]), response(idle))
    assert (list(found.heads), found.last) == ([], False)


@pytest.mark.parametrize(
    ("entries", "headers"),
    [
        ("e", []),
        ("e", [("x-reduct-last", "false"), ("content-length", "0")]),
        ("e", [("x-reduct-time-1", "3,"), ("content-length", "4")]),
        ("e", [("x-reduct-time-1", "3,"), ("content-length", "x")]),
        ("e", [("x-reduct-time-x", "3,"), ("content-length", "3")]),
        (["e", "f"], [("content-length", "0")]),
        (
            ["e", "f"],
            [("x-reduct-entries", "e"), ("x-reduct-start-ts", "0"), ("x-reduct-1-0", "3,")],
        ),
    ],
    ids=str,
)
def test_answers_that_are_no_batch_are_protocol_errors(
    entries: Any, headers: list[tuple[str, str]]
) -> None:
    with pytest.raises(ProtocolError, match="does not follow the API") as caught:
        parse_answer(plan(entries), response(headers))
    assert (caught.value.method, caught.value.path) == ("GET", "/api/v1/io/b/read")


def test_b22_empty_answers_that_come_at_once_have_an_end() -> None:
    pauses = [query.pause_after_empty(plan(), count) for count in range(1, query.MAX_EMPTY_ANSWERS)]
    assert all(0 < pause <= 0.1 for pause in pauses)
    assert pauses == sorted(pauses)
    with pytest.raises(ProtocolError, match="1000 empty answers in a row"):
        query.pause_after_empty(plan(), query.MAX_EMPTY_ANSWERS)


def test_only_empty_answers_that_come_at_once_are_counted() -> None:
    """A server that looks for a rare record holds each empty answer back for seconds."""
    empty, full = Answer((), False), Answer((RecordHead(1, "e", 0, "t", {}, {}),), False)
    assert query.empty_in_a_row(empty, 4, 0.001) == 5
    assert query.empty_in_a_row(empty, 4, 5.0) == 0
    assert query.empty_in_a_row(full, 4, 0.001) == 0


# --- going on ------------------------------------------------------------------------------


def lost(cause: Exception) -> TransportError:
    error = TransportError(-1, "lost")
    error.__cause__ = cause
    return error


FORGOTTEN = NotFoundError(404, "Query 5 not found and it might have expired.")
INTERRUPTED = [lost(httpx.ReadError("")), lost(httpx.RemoteProtocolError("")), FORGOTTEN]


@pytest.mark.parametrize("error", INTERRUPTED, ids=str)
@pytest.mark.parametrize("when", [None, {"$has": "a"}, "&a"])
def test_a_query_of_one_entry_goes_on_behind_its_last_record(error: Any, when: Any) -> None:
    asked = plan(start=5, stop=100, when=when)
    rest = query.resumed(asked, 70, error)
    assert (rest.body.start, rest.body.stop, rest.body.when) == (71, 100, when)
    assert (rest.single, rest.head, rest.filters) == ("e", asked.head, asked.filters)
    assert asked.body.start == 5
    assert query.resumed(plan(), MAX_US - 1, error).body.start == MAX_US


@pytest.mark.parametrize("error", INTERRUPTED, ids=str)
@pytest.mark.parametrize(
    "asked",
    [
        plan(["e", "f"]),
        plan("e*"),
        plan(ext={"x": {}}),
        plan(when={"$limit": 5}),
        plan(when={"$and": [{"$each_n": 5}]}),
    ],
    ids=lambda asked: str(asked.body.when or asked.body.ext or asked.entries),
)
def test_other_queries_cannot_go_on(error: Any, asked: Plan) -> None:
    for last in (None, 70):
        with pytest.raises(ReductError) as caught:
            query.resumed(asked, last, error)
        assert caught.value is error


def test_a_query_that_brought_nothing_is_not_begun_again() -> None:
    with pytest.raises(NotFoundError):
        query.resumed(plan(), None, FORGOTTEN)
    error = lost(httpx.ReadError(""))
    with pytest.raises(TransportError):
        query.resumed(plan(), None, error)
    assert not hasattr(error, "__notes__")
    with pytest.raises(TransportError):
        query.resumed(plan(["e", "f"]), 70, error)
    assert "collect first" in error.__notes__[0]


@pytest.mark.parametrize(
    "error",
    [
        TransportError(-1, "the client is closed"),
        TimeoutError(-1, "read timeout"),
        NotFoundError(404, "Entry 'e' not found"),
        ApiError(500, "broken"),
        ProtocolError(200, "short"),
    ],
    ids=str,
)
def test_other_errors_end_a_query(error: ReductError) -> None:
    with pytest.raises(ReductError) as caught:
        query.resumed(plan(), 70, error)
    assert caught.value is error


def test_a_timeout_ends_a_query() -> None:
    error = TimeoutError(-1, "read timeout")
    error.__cause__ = httpx.ReadTimeout("")
    with pytest.raises(TimeoutError):
        query.resumed(plan(), 70, error)


@pytest.mark.parametrize("entries", [["a/*"], ["cam-*-left"], ["!a"], ["a", "x/**"], ["/a"]])
def test_patterns_that_an_older_server_misunderstands_are_refused(entries: list[str]) -> None:
    query.check_patterns(entries, None)
    query.check_patterns(entries, (1, 21))
    query.check_patterns(["a", "a/b", "cam-*", "*", "a/$meta"], (1, 20))
    with pytest.raises(ReductError, match=r"need ReductStore 1.21, the server speaks API 1.20"):
        query.check_patterns(entries, (1, 20))


def test_results_of_the_other_kind_are_protocol_errors() -> None:
    assert query.query_id(QueryId(id=7)) == 7
    assert removals.removed_records(RemovedRecords(removed_records=3)) == 3
    with pytest.raises(ProtocolError, match="no id"):
        query.query_id(RemovedRecords(removed_records=3))
    with pytest.raises(ProtocolError, match="no number of records"):
        removals.removed_records(QueryId(id=7))


def test_b15_a_forgotten_query_names_the_cure() -> None:
    expired = NotFoundError(404, "Query 5 not found and it might have expired.", method="GET")
    found = query.explain(expired, plan(ttl=30))
    assert isinstance(found, NotFoundError)
    assert found.message.startswith(expired.message)
    assert "ttl=30 s" in found.message
    assert found.method == "GET"
    other = NotFoundError(404, "Bucket 'b' is not found")
    assert query.explain(other, plan()) is other


# --- missing entries -----------------------------------------------------------------------


def test_b39_missing_entries() -> None:
    wanted = plan(["a", "b", "c*", "!d", "e/$meta", "f/$meta", "$meta", "a"])
    assert missing.absent(wanted.exact, ["a", "e"]) == ["b", "f/$meta"]
    assert missing.absent(wanted.exact, ["a", "b", "e", "f"]) == []


def test_missing_entries_are_reported_as_asked() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        missing.report("b", ["x"], "ignore")
        missing.report("b", [], "raise")
        missing.report("b", [], "warn")
    with pytest.warns(UserWarning, match="bucket 'b' has no entry 'x', 'y'"):
        missing.report("b", ["x", "y"], "warn")
    with pytest.raises(NotFoundError, match="bucket 'b' has no entry 'x'"):
        missing.report("b", ["x"], "raise")


# --- removals ------------------------------------------------------------------------------


def removal(entries: Any = "e", **given: Any) -> Any:
    arguments: dict[str, Any] = {
        "start": None,
        "stop": None,
        "when": None,
        "strict": None,
        "ext": None,
        "everything": False,
    }
    return remove_body(entries, **(arguments | given)).to_dict()


def test_b03_removals_say_what_they_remove() -> None:
    assert removal(start=0, stop=0) == {
        "query_type": "REMOVE",
        "entries": ["e"],
        "start": 0,
        "stop": 0,
    }
    assert removal(["a", "b*"], when={"$has": "x"}, strict=True) == {
        "query_type": "REMOVE",
        "entries": ["a", "b*"],
        "start": 0,
        "stop": MAX_US,
        "when": {"$has": "x"},
        "strict": True,
    }
    assert removal(everything=True)["stop"] == MAX_US


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"entries": []}, "entries must not be empty"),
        ({"entries": [], "everything": True}, "entries must not be empty"),
        ({}, "pass everything=True"),
        ({"when": {}}, "pass everything=True"),
        ({"when": {"#batch_records": 5}}, "pass everything=True"),
        ({"when": True}, "pass everything=True"),
        ({"start": 0, "everything": True}, "everything=True contradicts"),
        ({"when": {"$has": "a"}, "everything": True}, "everything=True contradicts"),
        ({"start": 5, "stop": 4}, "start=5 lies after stop=4"),
        ({"start": 5, "ext": {"x": {}}}, "ext: the server ignores extensions"),
        ({"when": {"$rem": ["&a", 0]}}, "would end the server"),
    ],
    ids=str,
)
def test_b03_b06_removals_that_remove_more_are_refused(given: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        removal(**given)


def test_b03_filters_are_refused_in_removals() -> None:
    removals.refuse_filters(include=None, limit=None)
    with pytest.raises(TypeError, match=r"cannot take include=, limit=: .*remove_batch"):
        removals.refuse_filters(include={}, each_n=None, limit=1)


def test_removals_claim_their_entries_or_the_bucket() -> None:
    assert removals.remove_claims("b", ["y", "x"]) == [
        (Key("b", "x"), Mode.REMOVE),
        (Key("b", "y"), Mode.REMOVE),
    ]
    for pattern in ("x*", "!x", "/x", "x/**"):
        assert removals.remove_claims("b", ["y", pattern]) == [(Key("b"), Mode.REMOVE)]


# --- single records ------------------------------------------------------------------------


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize(("timestamp", "params"), [(None, {}), (0, {"ts": 0}), (7, {"ts": 7})])
def test_b04_single_reads(timestamp: int | None, params: dict[str, int], head: bool) -> None:
    spec = reads.request("b", "a/b", timestamp, head)
    assert (spec.method, spec.url, spec.params) == ("HEAD" if head else "GET", "/b/b/a/b", params)


def test_answers_of_single_reads() -> None:
    headers = [("x-reduct-time", "7"), ("content-length", "3"), ("x-reduct-label-a", "1")]
    found = reads.answer(response(headers), "e")
    (head,) = found.heads
    assert (head.timestamp, head.entry, head.size, head.labels) == (7, "e", 3, {"a": "1"})
    assert found.last
    with pytest.raises(ProtocolError, match="'x-reduct-time' is missing"):
        reads.answer(response(headers[1:]), "e")


@pytest.mark.parametrize("timestamp", [0, 7, MAX_US - 1, MAX_US])
def test_b38_entries_that_the_routes_claim_are_read_by_query(timestamp: int) -> None:
    found = reads.by_query("b", "x/q", timestamp, False)
    asked = body(query.create(found))
    assert query.create(found).url == "/b/b/x/q/q"
    assert (asked["start"], asked["stop"]) == (timestamp, min(timestamp + 1, MAX_US))
    with pytest.raises(ValueError, match="pass timestamp="):
        reads.by_query("b", "x/q", None, False)
    assert isinstance(reads.not_found("b", "x/q", 7), NotFoundError)


@pytest.mark.parametrize("head", [True, False])
def test_attachments_are_read_by_query(head: bool) -> None:
    found = reads.attachments("b", "e/$meta", head=head)
    asked = body(query.create(found))
    assert (found.single, found.head) == ("e/$meta", head)
    assert "only_metadata" not in asked
    assert (asked["start"], asked["stop"]) == (0, MAX_US)
