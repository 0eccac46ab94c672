"""Batches over several entries (protocol v2), by raw calls."""

import json
from contextlib import closing

import pytest

import reduct_local
from tests.differential.wire import Answer
from tests.local.raw_calls import Headers, Raw, with_prefix
from tests.servers import Server

LARGE = 600 * 1024


def errors(answer: Answer) -> dict[str, str]:
    return with_prefix(answer, "x-reduct-error-")


def coded(answer: Answer) -> dict[str, str]:
    """Return the statuses of failed records by index and delta."""
    return {place: value.split(",")[0] for place, value in errors(answer).items()}


def batch(entries: str, start: int | str, **records: str) -> dict[str, str]:
    """Return headers of a request; records are named `r<index>_<delta>`, `labels` is the list."""
    headers = {"x-reduct-entries": entries, "x-reduct-start-ts": str(start)}
    for name, value in records.items():
        if name == "labels":
            headers["x-reduct-labels"] = value
        else:
            headers["x-reduct-" + name[1:].replace("_", "-")] = value
    return headers


def query(raw: Raw, bucket: str, **fields: object) -> dict[str, str]:
    """Start a query; return the header that reads it."""
    body = json.dumps({"query_type": "QUERY", **fields}).encode()
    answer = raw("POST", f"/io/{bucket}/q", body=body)
    assert answer.status == 200, answer
    return {"x-reduct-query-id": str(json.loads(answer.body)["id"])}


def labels(raw: Raw, target: str) -> dict[str, str]:
    return with_prefix(raw("GET", target), "x-reduct-label-")


# --- write -------------------------------------------------------------------------------------


def test_bodies_are_cut_by_entry_and_time(raw: Raw, store: str) -> None:
    headers = batch("b,a%2Fc", 100, r1_0="1,", r0_10="3,x/y,k=v", r0_9="2,,l=w")
    answer = raw("POST", f"/io/{store}/write", headers, b"123456")
    assert (answer.status, answer.body, errors(answer)) == (200, b"", {})
    assert answer.header("x-reduct-entries") == "b,a%2Fc"
    assert answer.header("x-reduct-start-ts") == "100"
    assert raw("GET", f"/b/{store}/b?ts=109").body == b"12"
    assert raw("GET", f"/b/{store}/b?ts=110").body == b"345"
    assert raw("GET", f"/b/{store}/a/c?ts=100").body == b"6"
    assert labels(raw, f"/b/{store}/b?ts=110") == {"k": "v", "l": "w"}


def test_unencoded_entries(raw: Raw, store: str) -> None:
    answer = raw("POST", f"/io/{store}/write", batch("a/b", 1, r0_0="1,"), b"x")
    assert (answer.status, answer.header("x-reduct-entries")) == (200, "a%2Fb")
    assert raw("GET", f"/b/{store}/a/b?ts=1").body == b"x"


def test_labels_by_index(raw: Raw, store: str) -> None:
    headers = batch("e", 1, r0_0="1,,0=v,7=w", labels="k,l")
    assert raw("POST", f"/io/{store}/write", headers, b"x").status == 422
    headers = batch("e", 1, r0_0="1,,0=v,m=w", labels="k,l")
    assert raw("POST", f"/io/{store}/write", headers, b"x").status == 200
    assert labels(raw, f"/b/{store}/e?ts=1") == {"k": "v", "m": "w"}


@pytest.mark.parametrize("size", [10, LARGE, 2 * 1024 * 1024])
@pytest.mark.parametrize("chunked", [False, True])
def test_sizes(raw: Raw, store: str, size: int, chunked: bool) -> None:
    headers = batch("a,b", 1, r0_0=f"{size},", r0_1=f"{size + 1},", r1_0=f"{size + 2},")
    parts = [bytes([65 + part]) * (size + part) for part in range(3)]
    if chunked:
        headers["x-reduct-content-length"] = str(3 * size + 3)
    answer = raw("POST", f"/io/{store}/write", headers, b"".join(parts), chunked=chunked)
    assert (answer.status, errors(answer)) == (200, {})
    for target, part in zip(("a?ts=1", "a?ts=2", "b?ts=1"), parts, strict=True):
        assert raw("GET", f"/b/{store}/{target}").body == part


def test_each_record_is_admitted_on_its_own(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/a?ts=2", body=b"x")
    headers = batch("a,e!,b", 1, r0_0="1,", r0_1="1,", r1_0="1,", r2_0="1,")
    answer = raw("POST", f"/io/{store}/write", headers, b"abcd")
    assert answer.status == 200
    assert coded(answer) == {"0-1": "409", "1-0": "422"}
    assert raw("GET", f"/b/{store}/b?ts=1").body == b"d"
    missing = raw("POST", f"/io/none{store}/write", headers, b"abcd")
    assert (missing.status, set(coded(missing).values())) == (200, {"404"})


def test_timestamps_wrap_around(raw: Raw, store: str) -> None:
    headers = batch("e", 2**64 - 1, r0_10="1,")
    assert raw("POST", f"/io/{store}/write", headers, b"x").status == 200
    assert raw("GET", f"/b/{store}/e?ts=9").body == b"x"


def test_empty_batch(raw: Raw, store: str) -> None:
    answer = raw("POST", f"/io/{store}/write", {"x-reduct-start-ts": "5"})
    assert (answer.status, answer.header("x-reduct-entries")) == (200, "")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-reduct-entries": "e"},
        batch("e", "x", r0_0="1,"),
        batch("", 1, r0_0="1,"),
        batch("e,", 1, r0_0="1,"),
        batch("e%", 1, r0_0="1,"),
        batch("e", 1, r1_0="1,"),
        batch("e", 1, r0_0="1"),
        batch("e", 1, r0_0="1,,@a=1"),
        batch("e", 1, r0_0="1,,a"),
        batch("e", 1, r0_0="1,,a=\xe4"),
        batch("e", 1, r0_0="1,", labels=" "),
        {**batch("e", 1, r0_0="1,"), "x-reduct-label-1": "x"},
        {**batch("e", 1, r0_0="1,"), "x-reduct-time-5": "x"},
        {**batch("e", 1, r0_0="1,"), "x-reduct-5": "x"},
        {**batch("e", 1, r0_0="1,"), "x-reduct-": "x"},
        {**batch("e", 1, r0_0="1,"), "x-reduct-0-": "x"},
        {**batch("e", 1, r0_0="1,"), "x-reduct-0-99999999999999999999": "x"},
    ],
)
def test_refused_headers(raw: Raw, store: str, headers: Headers) -> None:
    assert raw("POST", f"/io/{store}/write", headers, b"x").status == 422


def test_size_is_needed(raw: Raw, store: str) -> None:
    headers = batch("e", 1, r0_0="1,")
    assert raw("POST", f"/io/{store}/write", headers, b"x", chunked=True).status == 422
    assert raw("POST", f"/io/{store}/write", headers, b"xy").status == 422
    headers["x-reduct-content-length"] = "1"
    assert raw("POST", f"/io/{store}/write", headers, b"x", chunked=True).status == 200


def test_short_body(raw: Raw, store: str) -> None:
    headers = batch("a,b", 1, r0_0="2,", r0_1="2,", r1_0=f"{LARGE},")
    headers["x-reduct-content-length"] = str(LARGE + 4)
    answer = raw("POST", f"/io/{store}/write", headers, b"abc", chunked=True)
    assert answer.status == 400
    path = f"/b/{store}"
    raw.wait_for({f"{path}/a?ts=1": 200, f"{path}/a?ts=2": 425, f"{path}/b?ts=1": 500})


# --- update and remove -------------------------------------------------------------------------


def test_updates_accumulate_per_entry(raw: Raw, store: str) -> None:
    headers = batch("a,b", 1, r0_0="1,,k=1", r0_1="1", r1_0="1,,k=1")
    raw("POST", f"/io/{store}/write", headers, b"abc")
    headers = batch("a,b", 1, r0_0="0,,l=2", r0_1="0,,k=", r0_9="0,", r1_0="0,,m=3")
    answer = raw("PATCH", f"/io/{store}/update", headers)
    assert answer.status == 200
    assert coded(answer) == {"0-9": "404"}
    assert answer.header("x-reduct-entries") == "a,b"
    assert labels(raw, f"/b/{store}/a?ts=1") == {"k": "1", "l": "2"}
    assert labels(raw, f"/b/{store}/a?ts=2") == {"l": "2"}
    assert labels(raw, f"/b/{store}/b?ts=1") == {"k": "1", "m": "3"}


def test_update_of_a_missing_entry(raw: Raw, store: str) -> None:
    answer = raw("PATCH", f"/io/{store}/update", batch("x,x", 1, r0_0="0,,a=1", r1_5="0,,a=1"))
    assert (answer.status, coded(answer)) == (200, {"0-0": "404", "0-5": "404"})


def test_update_refused(raw: Raw, store: str) -> None:
    target = f"/io/{store}/update"
    assert raw("PATCH", f"/io/none{store}/update", batch("e", 1, r0_0="0,")).status == 404
    assert raw("PATCH", target, batch("e", 1, r0_0="0")).status == 422
    assert raw("PATCH", target, batch("e", 1, r0_0=",,a=1")).status == 422
    assert raw("PATCH", target, {"x-reduct-start-ts": "1"}).status == 200
    assert raw("PATCH", target).status == 422


def test_remove(raw: Raw, store: str) -> None:
    headers = batch("a,b", 1, r0_0="1,", r0_1="1,", r1_0="1,")
    raw("POST", f"/io/{store}/write", headers, b"abc")
    answer = raw("DELETE", f"/io/{store}/remove", batch("a,b", 1, r0_0="", r1_0="junk"))
    assert (answer.status, errors(answer)) == (200, {})
    assert answer.header("x-reduct-start-ts") == "1"
    targets = ("a?ts=1", "a?ts=2", "b?ts=1")
    assert [raw("GET", f"/b/{store}/{target}").status for target in targets] == [404, 200, 404]


def test_errors_of_removals_go_by_timestamp(raw: Raw, store: str) -> None:
    raw("POST", f"/io/{store}/write", batch("a", 1, r0_0="1,", r0_1="1,"), b"ab")
    headers = batch("a,none", 1, r0_0="", r0_1="", r1_0="")
    answer = raw("DELETE", f"/io/{store}/remove", headers)
    assert coded(answer) == {"0-0": "404", "1-0": "404"}
    assert raw("GET", f"/b/{store}/a?ts=1").status == 404


def test_remove_refused(raw: Raw, store: str) -> None:
    target = f"/io/{store}/remove"
    assert raw("DELETE", f"/io/none{store}/remove", batch("e", 1, r0_0="")).status == 404
    assert raw("DELETE", target, batch("e,e/$meta", 1, r0_0="")).status == 422
    assert raw("DELETE", target, batch("e", 1, r1_0="")).status == 422
    assert raw("DELETE", target).status == 422
    assert raw("DELETE", target, {"x-reduct-start-ts": "1"}).status == 200
    assert raw("DELETE", target, batch("e", 1, labels=" ")).status == 200


# --- read --------------------------------------------------------------------------------------


def test_read(raw: Raw, store: str) -> None:
    headers = batch("a,b", 1, r0_0="1,x/y,k=v", r0_4="2,,l=w", r0_5="0,,k=", r1_2='1,,k="1,2"')
    assert raw("POST", f"/io/{store}/write", headers, b"abcd").status == 200
    answer = raw("GET", f"/io/{store}/read", query(raw, store))
    assert (answer.status, answer.body) == (200, b"abcd")
    assert answer.header("x-reduct-entries") == "a,b"
    assert answer.header("x-reduct-start-ts") == "1"
    assert answer.header("x-reduct-last") == "true"
    assert answer.header("content-type") == "application/octet-stream"
    # Labels are numbered in the order of time, not of entries.
    assert answer.header("x-reduct-labels") == "k,l"
    assert with_prefix(answer, "x-reduct-0-") == {"0": "1,x/y,0=v", "4": "2,,1=w", "5": "0,,0="}
    assert with_prefix(answer, "x-reduct-1-") == {"2": '1,application/octet-stream,0="1,2"'}
    assert raw("GET", f"/io/{store}/read", query(raw, store, entries=["none"])).status == 204


def test_entries_are_numbered_by_first_time(raw: Raw, store: str) -> None:
    raw("POST", f"/io/{store}/write", batch("a,b/c", 1, r0_1="1,", r0_3="1,", r1_0="1,"), b"123")
    answer = raw("GET", f"/io/{store}/read", query(raw, store, start=0, stop=9))
    assert answer.header("x-reduct-entries") == "b%2Fc,a"
    assert answer.body == b"312"


def test_head_takes_the_records_without_contents(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/e?ts=1", body=b"hello")
    number = query(raw, store)
    answer = raw("HEAD", f"/io/{store}/read", number)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("content-length") == "5"
    assert raw("GET", f"/io/{store}/read", number).status == 204
    assert raw("GET", f"/io/{store}/read", number).status == 204


def test_idle_query_gets_an_empty_batch(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/e?ts=1", body=b"x")
    when = {"#batch_timeout": "100ms", "#record_timeout": "50ms"}
    number = query(raw, store, continuous=True, when=when)
    assert raw("GET", f"/io/{store}/read", number).body == b"x"
    answer = raw("GET", f"/io/{store}/read", number)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("x-reduct-entries") == ""
    assert answer.header("x-reduct-start-ts") == "0"
    assert answer.header("x-reduct-last") == "false"
    assert answer.header("x-reduct-labels") is None


def test_read_refused(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/e?ts=1", body=b"x")
    number = query(raw, store)
    assert raw("GET", f"/io/{store}/read").status == 422
    assert raw("GET", f"/io/{store}/read", {"x-reduct-query-id": "x"}).status == 422
    assert raw("GET", f"/io/{store}/read", {"x-reduct-query-id": "9999999"}).status == 404
    assert raw("GET", f"/io/none{store}/read", number).status == 404
    assert raw("GET", f"/b/{store}/e/batch?q={number['x-reduct-query-id']}").status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "write"), ("POST", "read"), ("POST", "update"), ("GET", "remove"), ("GET", "q")],
)
def test_wrong_methods(raw: Raw, store: str, method: str, path: str) -> None:
    assert raw(method, f"/io/{store}/{path}").status == 405


def test_everything_needs_a_token(auth_server: Server) -> None:
    with closing(Raw(auth_server.url)) as raw:
        calls = [("POST", "write"), ("GET", "read"), ("PATCH", "update"), ("DELETE", "remove")]
        for method, path in calls:
            assert raw(method, f"/io/x/{path}").status == 401, path


# --- what the real server does not survive -----------------------------------------------------


@pytest.mark.parametrize(("method", "path"), [("PATCH", "update"), ("DELETE", "remove")])
def test_control_characters_in_the_report(
    caplog: pytest.LogCaptureFixture, method: str, path: str
) -> None:
    with reduct_local.Server() as server, closing(Raw(server.url)) as raw:
        bucket = raw.new_bucket()
        answer = raw(method, f"/io/{bucket}/{path}", batch("a%0A", 1, r0_0="0,"))
    assert (answer.status, coded(answer)) == (200, {"0-0": "404"})
    assert "real server does not survive" in caplog.text


def test_get_of_a_query_without_contents(caplog: pytest.LogCaptureFixture) -> None:
    """The real server closes the connection without an answer."""
    with reduct_local.Server() as server, closing(Raw(server.url)) as raw:
        bucket = raw.new_bucket()
        raw("POST", f"/b/{bucket}/e?ts=1", body=b"hello")
        raw("POST", f"/b/{bucket}/empty?ts=1")
        full, empty = (
            query(raw, bucket, only_metadata=True, entries=[name]) for name in ("e", "empty")
        )
        assert raw("GET", f"/io/{bucket}/read", full).status == 422
        assert raw("GET", f"/io/{bucket}/read", full).status == 204
        assert raw("GET", f"/io/{bucket}/read", empty).status == 200
    assert "only_metadata" in caplog.text
