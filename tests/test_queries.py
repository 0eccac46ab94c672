"""Queries, single reads and links: what is asked, by which call, and what an answer means."""

import random
import time
import warnings
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_api.models import QueryId, QueryType, RemovedRecords
from reduct_api.types import RequestSpec, StreamSpec
from reduct_core import links, query, reads
from reduct_core.errors import ApiError, NotFoundError, ProtocolError
from reduct_core.gates import Key, Mode
from reduct_core.query import Plan, make_plan, parse_answer, remove_body
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
    assert asked.get("only_metadata", False) is head
    assert links.metadata(plan()).head
    assert body(query.create(links.metadata(plan())))["only_metadata"] is True


@pytest.mark.parametrize(
    ("when", "records", "sent"),
    [
        (None, 1000, {"#batch_metadata_size": 60_000, "#batch_records": 1000}),
        ({}, 1000, {"#batch_metadata_size": 60_000, "#batch_records": 1000}),
        (None, None, {"#batch_metadata_size": 60_000}),
        ({"$has": "a"}, None, {"#batch_metadata_size": 60_000, "$has": "a"}),
        (
            {"#batch_records": 5, "#batch_metadata_size": 7},
            1000,
            {"#batch_metadata_size": 7, "#batch_records": 5},
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
    assert (heads.single, heads.head, heads.body.only_metadata) == ("a1", True, True)
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


def test_b22_empty_answers_have_an_end() -> None:
    pauses = [query.pause_after_empty(plan(), count) for count in range(1, query.MAX_EMPTY_ANSWERS)]
    assert all(0 < pause <= 0.1 for pause in pauses)
    assert pauses == sorted(pauses)
    with pytest.raises(ProtocolError, match="1000 empty answers in a row"):
        query.pause_after_empty(plan(), query.MAX_EMPTY_ANSWERS)


def test_results_of_the_other_kind_are_protocol_errors() -> None:
    assert query.query_id(QueryId(id=7)) == 7
    assert query.removed_records(RemovedRecords(removed_records=3)) == 3
    with pytest.raises(ProtocolError, match="no id"):
        query.query_id(RemovedRecords(removed_records=3))
    with pytest.raises(ProtocolError, match="no number of records"):
        query.removed_records(QueryId(id=7))


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
    assert query.absent(wanted, ["a", "e"]) == ["b", "f/$meta"]
    assert query.absent(wanted, ["a", "b", "e", "f"]) == []


def test_missing_entries_are_reported_as_asked() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        query.report_missing(plan(missing="ignore"), ["x"])
        query.report_missing(plan(missing="raise"), [])
        query.report_missing(plan(missing="warn"), [])
    with pytest.warns(UserWarning, match="bucket 'b' has no entry 'x', 'y'"):
        query.report_missing(plan(missing="warn"), ["x", "y"])
    with pytest.raises(NotFoundError, match="bucket 'b' has no entry 'x'"):
        query.report_missing(plan(missing="raise"), ["x"])


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
    query.refuse_filters(include=None, limit=None)
    with pytest.raises(TypeError, match=r"cannot take include=, limit=: .*remove_batch"):
        query.refuse_filters(include={}, each_n=None, limit=1)


def test_removals_claim_their_entries_or_the_bucket() -> None:
    assert query.remove_claims("b", ["y", "x"]) == [
        (Key("b", "x"), Mode.REMOVE),
        (Key("b", "y"), Mode.REMOVE),
    ]
    for pattern in ("x*", "!x", "/x", "x/**"):
        assert query.remove_claims("b", ["y", pattern]) == [(Key("b"), Mode.REMOVE)]


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
    assert (found.single, found.head, asked.get("only_metadata", False)) == ("e/$meta", head, head)
    assert (asked["start"], asked["stop"]) == (0, MAX_US)


# --- links ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "given", "chosen"),
    [
        ("e", (None, None, None), 0),
        (["e", "f*"], (3, None, None), 3),
        ("e", (None, None, 7), ("e", 7)),
        ("e", (None, "other", 0), ("other", 0)),
        (["e", "f*"], (None, "other", 1.5), ("other", 1_500_000)),
    ],
)
def test_the_record_of_a_link(entries: Any, given: Any, chosen: Any) -> None:
    assert links.check_selector(plan(entries), *given) == chosen


@pytest.mark.parametrize(
    ("entries", "given", "match"),
    [
        ("e", (1, None, 7), "record_index cannot be used with record_timestamp"),
        ("e*", (None, None, 7), "record_entry must be given with record_timestamp"),
        ("e", (None, "other", None), "record_timestamp must be given with record_entry"),
        ("e", (-1, None, None), "record_index=-1 must be an int"),
        ("e", (True, None, None), "record_index=True must be an int"),
        ("e", (1.0, None, None), "record_index=1.0 must be an int"),
        ("e", (None, "a/../b", 7), "entry name"),
        ("e", (None, None, MAX_US), "record_timestamp"),
        ([], (None, None, None), "entries"),
        ([], (None, "other", 7), "entries"),
    ],
)
def test_a_choice_that_is_none_is_refused(entries: Any, given: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        links.check_selector(plan(entries), *given)


def test_links_expire() -> None:
    now = time.time()
    assert abs(links.check_expiry(None) - (now + 24 * 3600)) < 5
    assert links.check_expiry(now + 100.7) == int(now + 100.7)
    assert links.check_expiry(datetime(2100, 1, 1, tzinfo=UTC)) == 4_102_444_800
    assert links.check_expiry(4_102_444_800_000_000) == 4_102_444_800
    for over in (now - 1, int(now) + 3600, datetime(2020, 1, 1, tzinfo=UTC), "2020-01-01"):
        with pytest.raises(ValueError, match=r"^expire_at=.* is over"):
            links.check_expiry(over)
    with pytest.raises(TypeError, match=r"^expire_at\b"):
        links.check_expiry(True)


def test_base_of_links() -> None:
    for base in (None, "http://host", "https://host:1/base/"):
        assert links.check_base_url(base) == base
    wrong: Any
    for wrong in ("host", "ftp://host", "http://", "", 5, "http://\n"):
        with pytest.raises(ValueError, match=r"^base_url="):
            links.check_base_url(wrong)


def test_file_names_of_links() -> None:
    assert links.file_name(None, "a/b", 7) == "a/b_7.bin"
    assert links.file_name("my file.png", "a", 7) == "my file.png"
    for wrong in ("", "..", "a//b", "/a"):
        with pytest.raises(ValueError, match="file_name"):
            links.file_name(wrong, "a", 7)


def test_b31_the_request_of_a_link() -> None:
    asked = plan("e", when={"$has": "a"}, ext={"x": {}}, strict=True)
    spec = links.request(asked, ("e", 7), 99, "a b.bin", "http://host")
    assert (spec.method, spec.url) == ("POST", "/links/a%20b.bin")
    sent = body(spec)
    assert (sent["bucket"], sent["entry"], sent["record_entry"]) == ("b", "e", "e")
    assert (sent["record_timestamp"], sent["expire_at"]) == (7, 99)
    assert sent["base_url"] == "http://host"
    assert sent["query"]["when"] == {"$has": "a"}
    assert sent["query"]["ext"] == {"x": {}}
    assert sent["query"]["strict"] is True
    several = links.request(plan(["a", "b*"]), ("a", 0), 99, "x", None)
    assert (body(several)["entry"], body(several)["query"]["entries"]) == ("", ["a", "b*"])
    assert body(several)["record_timestamp"] == 0


@pytest.mark.parametrize(
    ("link", "name", "usable"),
    [
        ("http://host/api/v1/links/x?ct=1&n=2", "x", "http://host/api/v1/links/x?ct=1&n=2"),
        ("http://host/api/v1/links/a b?ct=1", "a b", "http://host/api/v1/links/a%20b?ct=1"),
        ("http://host/api/v1/links/a?b?ct=1", "a?b", "http://host/api/v1/links/a%3Fb?ct=1"),
        ("http://host/api/v1/links/a#b?ct=1", "a#b", "http://host/api/v1/links/a%23b?ct=1"),
        ("http://host/base/api/v1/links/a/b?c=1", "a/b", "http://host/base/api/v1/links/a/b?c=1"),
        ("http://0.0.0.0:8383/api/v1/links/x?c=1", "x", "http://my:9/base/api/v1/links/x?c=1"),
        ("http://[::]:8383/api/v1/links/x?c=1", "x", "http://my:9/base/api/v1/links/x?c=1"),
        ("http://host/elsewhere/x?c=1", "x", "http://host/elsewhere/x?c=1"),
    ],
)
def test_t30_links_can_be_used(link: str, name: str, usable: str) -> None:
    assert links.usable(link, name, httpx.URL("http://my:9/base")) == usable


def test_no_record_at_that_position() -> None:
    error = links.no_record(plan(["a", "b"]), 5, 3)
    assert isinstance(error, NotFoundError)
    assert isinstance(error, ApiError)
    assert "has 3 records, none at position 5" in error.message
