"""Batches of one entry (protocol v1), by raw calls."""

import json
import socket
from contextlib import closing

import pytest

import reduct_local
from tests.differential.wire import Answer
from tests.local.raw_calls import Raw, with_prefix
from tests.servers import NewServer, Server

LARGE = 600 * 1024


def errors(answer: Answer) -> dict[str, str]:
    return with_prefix(answer, "x-reduct-error-")


def records(answer: Answer) -> dict[str, str]:
    return with_prefix(answer, "x-reduct-time-")


def query(raw: Raw, target: str, **fields: object) -> int:
    body = json.dumps({"query_type": "QUERY", **fields}).encode()
    answer = raw("POST", f"{target}/q", body=body)
    assert answer.status == 200, answer
    return int(json.loads(answer.body)["id"])


def status(raw: Raw, target: str) -> int:
    return raw("GET", target).status


# --- write -------------------------------------------------------------------------------------


def test_bodies_are_cut_by_ascending_time(raw: Raw, store: str) -> None:
    headers = {
        "x-reduct-time-10": "3,text/plain,a=1",
        "X-Reduct-Time-9": "2,,b=",
        "x-reduct-time-100": "0,",
    }
    written = raw("POST", f"/b/{store}/e/batch", headers, b"12345")
    assert (written.status, written.body, errors(written)) == (200, b"", {})
    answer = raw("GET", f"/b/{store}/e?ts=10")
    assert (answer.body, answer.header("content-type")) == (b"345", "text/plain")
    assert answer.header("x-reduct-label-a") == "1"
    assert raw("GET", f"/b/{store}/e?ts=9").header("x-reduct-label-b") == ""
    assert raw("GET", f"/b/{store}/e?ts=100").body == b""


@pytest.mark.parametrize("size", [10, LARGE, 2 * 1024 * 1024])
@pytest.mark.parametrize("chunked", [False, True])
def test_sizes(raw: Raw, store: str, size: int, chunked: bool) -> None:
    headers = {f"x-reduct-time-{time}": f"{size + time}," for time in range(3)}
    parts = [bytes([65 + time]) * (size + time) for time in range(3)]
    answer = raw("POST", f"/b/{store}/e/batch", headers, b"".join(parts), chunked=chunked)
    assert (answer.status, errors(answer)) == (200, {})
    for time, part in enumerate(parts):
        assert raw("GET", f"/b/{store}/e?ts={time}").body == part


def test_each_record_is_admitted_on_its_own(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/e?ts=2", body=b"x")
    headers = {f"x-reduct-time-{time}": "1," for time in (1, 2, 3)}
    answer = raw("POST", f"/b/{store}/e/batch", headers, b"abc")
    assert answer.status == 200
    assert errors(answer) == {"2": "409,A record with timestamp 2 already exists"}
    assert raw("GET", f"/b/{store}/e?ts=3").body == b"c"


def test_same_timestamp_twice(raw: Raw, store: str) -> None:
    headers = {"x-reduct-time-5": "1,", "x-reduct-time-05": "2,"}
    answer = raw("POST", f"/b/{store}/e/batch", headers, b"abc")
    assert [value[:4] for value in errors(answer).values()] == ["409,"]
    assert raw("GET", f"/b/{store}/e?ts=5").body == b"a"


@pytest.mark.parametrize(
    ("bucket", "entry", "code"), [("none", "e", "404"), ("", "e!", "422"), ("", "e/$meta", "422")]
)
def test_whole_batch_refused_record_by_record(
    raw: Raw, store: str, bucket: str, entry: str, code: str
) -> None:
    headers = {"x-reduct-time-1": "1,", "x-reduct-time-2": "1,"}
    answer = raw("POST", f"/b/{bucket}{store}/{entry}/batch", headers, b"ab")
    assert answer.status == 200
    assert [value.split(",")[0] for value in errors(answer).values()] == [code, code]


def test_empty_batch(raw: Raw, store: str) -> None:
    assert raw("POST", f"/b/{store}/e/batch").status == 200
    assert raw("GET", f"/b/{store}/e").status == 404


@pytest.mark.parametrize("value", ["1", "x,", "1,,a=\xe4", '1,,a="b'])
def test_refused_headers(raw: Raw, store: str, value: str) -> None:
    answer = raw("POST", f"/b/{store}/e/batch", {"x-reduct-time-1": value}, b"a")
    assert answer.status == 422


def test_refused_timestamp(raw: Raw, store: str) -> None:
    assert raw("POST", f"/b/{store}/e/batch", {"x-reduct-time-x": "1,"}, b"a").status == 422


@pytest.mark.parametrize("declared", [0, 2])
def test_size_must_be_the_sum(raw: Raw, store: str, declared: int) -> None:
    headers = {"x-reduct-time-1": "1,"}
    assert raw("POST", f"/b/{store}/e/batch", headers, b"ab"[:declared]).status == 422
    more = {**headers, "x-reduct-content-length": str(declared)}
    assert raw("POST", f"/b/{store}/e/batch", more, b"a", chunked=True).status == 422


def test_chunked_body_needs_no_size(raw: Raw, store: str) -> None:
    headers = {"x-reduct-time-1": "2,"}
    assert raw("POST", f"/b/{store}/e/batch", headers, b"ab", chunked=True).status == 200
    assert raw("GET", f"/b/{store}/e?ts=1").body == b"ab"


@pytest.mark.parametrize("large", [False, True])
def test_short_body(raw: Raw, store: str, large: bool) -> None:
    """Complete records stay, small others are unfinished, large ones broken."""
    last = LARGE if large else 4
    headers = {
        "x-reduct-time-1": "2,",
        "x-reduct-time-2": "2,",
        "x-reduct-time-3": "0,",
        "x-reduct-time-4": f"{last},",
    }
    answer = raw("POST", f"/b/{store}/e/batch", headers, b"abc", chunked=True)
    assert answer.status == 400
    assert raw("GET", f"/b/{store}/e?ts=1").body == b"ab"
    last_status = 500 if large else 425
    raw.wait_for(
        {f"/b/{store}/e?ts={time}": code for time, code in ((2, 425), (3, 425), (4, last_status))}
    )
    assert raw("DELETE", f"/b/{store}/e?ts=2").status == 200
    assert raw("POST", f"/b/{store}/e?ts=2", body=b"xy").status == 200


def test_short_body_of_refused_records(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/e?ts=2", body=b"x")
    headers = {"x-reduct-time-1": "2,", "x-reduct-time-2": "2,", "x-reduct-time-3": "2,"}
    assert raw("POST", f"/b/{store}/e/batch", headers, b"abc", chunked=True).status == 400
    raw.wait_for({f"/b/{store}/e?ts={time}": code for time, code in ((1, 200), (2, 200), (3, 425))})


@pytest.mark.parametrize("records", [1, 2])
@pytest.mark.parametrize("excess", [1, 300_000])
def test_bytes_beyond_the_records_are_dropped(
    raw: Raw, store: str, records: int, excess: int
) -> None:
    headers = {f"x-reduct-time-{time}": "1," for time in range(records)}
    body = b"ab"[:records] + b"x" * excess
    assert raw("POST", f"/b/{store}/e/batch", headers, body, chunked=True).status == 200
    # The connection may end: its body was not read.
    raw.close()
    assert raw("GET", f"/b/{store}/e").body == b"ab"[records - 1 : records]


def test_empty_record_where_the_body_ends_too_early(raw: Raw, store: str) -> None:
    headers = {"x-reduct-time-1": "2,", "x-reduct-time-2": "0,", "x-reduct-time-3": "2,"}
    answer = raw("POST", f"/b/{store}/e/batch", headers, b"ab", chunked=True)
    assert answer.status == 400
    raw.wait_for({f"/b/{store}/e?ts={time}": code for time, code in ((1, 200), (2, 425), (3, 425))})


def test_records_are_being_written(server: Server, raw: Raw, store: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        lines = [
            f"POST /api/v1/b/{store}/e/batch HTTP/1.1",
            "host: x",
            "content-length: 4",
            "x-reduct-time-1: 2,",
            "x-reduct-time-2: 2,",
        ]
        connection.sendall("\r\n".join([*lines, "", "abc"]).encode())
        raw.wait_for({f"/b/{store}/e?ts=1": 200, f"/b/{store}/e?ts=2": 425})
        connection.sendall(b"d")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    assert raw("GET", f"/b/{store}/e?ts=2").body == b"cd"


# --- update and remove -------------------------------------------------------------------------


def test_update(raw: Raw, store: str) -> None:
    headers = {"x-reduct-time-1": "1,,a=1,b=2", "x-reduct-time-2": "1,"}
    raw("POST", f"/b/{store}/e/batch", headers, b"ab")
    change = {
        "x-reduct-time-1": '0,x/y,a=,c="5,6"',
        "x-reduct-time-2": "7,,a=9",
        "x-reduct-time-3": "0,",
    }
    answer = raw("PATCH", f"/b/{store}/e/batch", change, b"ignored")
    assert answer.status == 200
    assert list(errors(answer)) == ["3"]
    assert errors(answer)["3"].startswith("404,")
    first = raw("GET", f"/b/{store}/e?ts=1")
    assert with_prefix(first, "x-reduct-label-") == {"b": "2", "c": "5,6"}
    assert first.header("content-type") == "application/octet-stream"
    assert raw("GET", f"/b/{store}/e?ts=2").header("x-reduct-label-a") == "9"


def test_of_several_updates_of_one_record_the_last_counts(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/e/batch", {"x-reduct-time-1": "1,,z=1"}, b"a")
    change = {
        "x-reduct-time-1": "0,,z=,a=1",
        "x-reduct-time-01": "0,,b=2",
        "x-reduct-time-7": "0,,a=1",
        "x-reduct-time-07": "0,,a=2",
    }
    answer = raw("PATCH", f"/b/{store}/e/batch", change)
    assert list(errors(answer)) == ["7"]
    first = raw("GET", f"/b/{store}/e?ts=1")
    assert with_prefix(first, "x-reduct-label-") == {"z": "1", "b": "2"}


def test_update_refused(raw: Raw, store: str) -> None:
    assert raw("PATCH", f"/b/{store}/none/batch", {"x-reduct-time-1": "0,"}).status == 404
    assert raw("PATCH", f"/b/none{store}/e/batch", {"x-reduct-time-1": "0,"}).status == 404
    for value in ("", "x,,a=1", "0"):
        assert raw("PATCH", f"/b/{store}/e/batch", {"x-reduct-time-1": value}).status == 422


def test_remove(raw: Raw, store: str) -> None:
    headers = {f"x-reduct-time-{time}": "1," for time in (1, 2, 3)}
    raw("POST", f"/b/{store}/e/batch", headers, b"abc")
    values = {"x-reduct-time-1": "", "x-reduct-time-3": "junk", "x-reduct-time-9": "1,"}
    answer = raw("DELETE", f"/b/{store}/e/batch", values)
    assert answer.status == 200
    assert list(errors(answer)) == ["9"]
    assert errors(answer)["9"].startswith("404,")
    assert [status(raw, f"/b/{store}/e?ts={time}") for time in (1, 2, 3)] == [404, 200, 404]


def test_remove_refused(raw: Raw, store: str) -> None:
    assert raw("DELETE", f"/b/{store}/none/batch", {"x-reduct-time-1": ""}).status == 404
    assert raw("DELETE", f"/b/none{store}/e/batch", {"x-reduct-time-1": ""}).status == 404
    assert raw("DELETE", f"/b/{store}/e/batch", {"x-reduct-time-x": ""}).status == 422
    assert raw("DELETE", f"/b/{store}/e/$meta/batch", {"x-reduct-time-1": ""}).status == 422


# --- read --------------------------------------------------------------------------------------


def test_read(raw: Raw, store: str) -> None:
    headers = {
        "x-reduct-time-9": "2,text/plain,b=2,a=x y",
        "x-reduct-time-10": '3,,c="1,2",d=',
        "x-reduct-time-11": "0,a; b",
    }
    raw("POST", f"/b/{store}/e/batch", headers, b"abcde")
    answer = raw("GET", f"/b/{store}/e/batch?q={query(raw, f'/b/{store}/e')}")
    assert (answer.status, answer.body) == (200, b"abcde")
    assert records(answer) == {
        "9": "2,text/plain,a=x y,b=2",
        "10": '3,application/octet-stream,c="1,2",d=',
        "11": "0,a; b",
    }
    assert answer.header("content-type") == "application/octet-stream"
    assert answer.header("content-length") == "5"
    assert answer.header("x-reduct-last") == "true"


def test_read_again(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/e?ts=1", body=b"x")
    number = query(raw, f"/b/{store}/e")
    assert raw("GET", f"/b/{store}/e/batch?q={number}").status == 200
    for _ in range(2):
        answer = raw("GET", f"/b/{store}/e/batch?q={number}")
        assert (answer.status, answer.body) == (204, b"")


def test_head_takes_the_records_without_contents(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/e?ts=1", body=b"hello")
    number = query(raw, f"/b/{store}/e")
    answer = raw("HEAD", f"/b/{store}/e/batch?q={number}")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("content-length") == "5"
    assert records(answer) == {"1": "5,application/octet-stream"}
    assert raw("GET", f"/b/{store}/e/batch?q={number}").status == 204


def test_batches_of_85(raw: Raw, store: str) -> None:
    for part in (range(80), range(80, 100)):
        headers = {f"x-reduct-time-{time}": "2," for time in part}
        body = b"".join(b"%02d" % time for time in part)
        assert raw("POST", f"/b/{store}/e/batch", headers, body).status == 200
    number = query(raw, f"/b/{store}/e")
    first, second = (raw("GET", f"/b/{store}/e/batch?q={number}") for _ in range(2))
    assert [int(time) for time in sorted(records(first), key=int)] == list(range(85))
    assert (first.header("x-reduct-last"), second.header("x-reduct-last")) == ("false", "true")
    assert first.body + second.body == b"".join(b"%02d" % time for time in range(100))


def test_large_contents(raw: Raw, store: str) -> None:
    parts = [bytes([65 + time]) * (3 * 1024 * 1024 + time) for time in range(4)]
    for time, part in enumerate(parts):
        assert raw("POST", f"/b/{store}/e?ts={time}", body=part).status == 200
    number = query(raw, f"/b/{store}/e")
    first, second = (raw("GET", f"/b/{store}/e/batch?q={number}") for _ in range(2))
    assert len(records(first)) == 3
    assert first.body + second.body == b"".join(parts)


def test_read_refused(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/e?ts=1", body=b"x")
    for target, code in [
        ("e/batch", 422),
        ("e/batch?q=x", 422),
        ("e/batch?q=99999999", 404),
        ("none/batch?q=1", 404),
        ("none/batch?q=x", 422),
    ]:
        assert status(raw, f"/b/{store}/{target}") == code, target
    assert status(raw, f"/b/none{store}/e/batch?q=1") == 404


def test_query_of_another_entry(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/e?ts=1", body=b"x")
    raw("POST", f"/b/{store}/f?ts=1", body=b"x")
    number = query(raw, f"/b/{store}/e")
    assert status(raw, f"/b/{store}/f/batch?q={number}") == 404
    assert status(raw, f"/b/{store}/f?q={number}") == 404
    assert raw("GET", f"/io/{store}/read", {"x-reduct-query-id": str(number)}).status == 404


def test_egress_limit(new_server: NewServer) -> None:
    env = {"RS_RATE_LIMIT_EGRESS": "10/h"}
    with new_server(env=env) as server, closing(Raw(server.url)) as raw:
        bucket = raw.new_bucket()
        raw("POST", f"/b/{bucket}/e?ts=1", body=b"x" * 11)
        number = query(raw, f"/b/{bucket}/e")
        assert raw("HEAD", f"/b/{bucket}/e?ts=1").status == 200
        assert status(raw, f"/b/{bucket}/e?ts=1") == 429
        assert status(raw, f"/b/{bucket}/e/batch?q={number}") == 429
        number = query(raw, f"/b/{bucket}/e")
        assert raw("HEAD", f"/b/{bucket}/e/batch?q={number}").status == 200


def test_ingress_limit(new_server: NewServer) -> None:
    env = {"RS_RATE_LIMIT_INGRESS": "10/h"}
    with new_server(env=env) as server, closing(Raw(server.url)) as raw:
        bucket = raw.new_bucket()
        headers = {"x-reduct-time-1": "5,", "x-reduct-time-2": "6,"}
        assert raw("POST", f"/b/{bucket}/e/batch", headers, b"x" * 11).status == 429
        assert raw("POST", f"/b/{bucket}/e?ts=1", body=b"x" * 11).status == 429
        assert raw("POST", f"/b/{bucket}/e?ts=1", body=b"x" * 10).status == 200


def test_everything_needs_a_token(auth_server: Server) -> None:
    with closing(Raw(auth_server.url)) as raw:
        for method in ("GET", "HEAD", "POST", "PATCH", "DELETE"):
            headers = {"x-reduct-time-x": "1"}
            assert raw(method, "/b/x/e/batch", headers).status == 401, method


# --- what the real server does not survive -----------------------------------------------------


def test_label_name_that_is_not_ascii(caplog: pytest.LogCaptureFixture) -> None:
    with reduct_local.Server() as server, closing(Raw(server.url)) as raw:
        bucket = raw.new_bucket()
        headers = {
            "x-reduct-entries": "e",
            "x-reduct-start-ts": "1",
            "x-reduct-labels": "%C3%A4",
            "x-reduct-0-0": "1,,0=v",
        }
        assert raw("POST", f"/io/{bucket}/write", headers, b"x").status == 200
        assert status(raw, f"/b/{bucket}/e/batch?q={query(raw, f'/b/{bucket}/e')}") == 422
    assert "real server does not survive" in caplog.text


def test_control_characters_in_the_report(caplog: pytest.LogCaptureFixture) -> None:
    with reduct_local.Server() as server, closing(Raw(server.url)) as raw:
        answer = raw("POST", "/b/a%0Ab/e/batch", {"x-reduct-time-1": "1,"}, b"x")
    assert answer.status == 200
    assert errors(answer) == {"1": "404,Bucket 'a?b' is not found"}
    assert "real server does not survive" in caplog.text


def test_get_of_a_query_without_contents(caplog: pytest.LogCaptureFixture) -> None:
    """The real server closes the connection without an answer."""
    with reduct_local.Server() as server, closing(Raw(server.url)) as raw:
        bucket = raw.new_bucket()
        raw("POST", f"/b/{bucket}/e?ts=1", body=b"hello")
        for target in ("/b/{}/e?q={}", "/b/{}/e/batch?q={}"):
            number = query(raw, f"/b/{bucket}/e", only_metadata=True)
            assert status(raw, target.format(bucket, number)) == 422
            number = query(raw, f"/b/{bucket}/e", only_metadata=True)
            assert raw("HEAD", target.format(bucket, number)).status == 200
    assert "only_metadata" in caplog.text


def test_record_that_is_removed_before_its_delivery() -> None:
    """The real server delivers it, or closes the connection, as chance has it."""
    with reduct_local.Server() as server, closing(Raw(server.url)) as raw:
        bucket = raw.new_bucket()
        for timestamp in (1, 2):
            raw("POST", f"/b/{bucket}/e?ts={timestamp}", body=b"x")
        for target in ("/b/{}/e/batch?q={}", "/b/{}/e?q={}"):
            number = query(raw, f"/b/{bucket}/e")
            raw("POST", f"/b/{bucket}/e?ts=3", body=b"x")
            assert raw("GET", f"/b/{bucket}/e?q={number}").body == b"x"
            assert raw("DELETE", f"/b/{bucket}/e?ts=2").status == 200
            assert status(raw, target.format(bucket, number)) == 404
            assert raw("POST", f"/b/{bucket}/e?ts=2", body=b"x").status == 200
            raw("DELETE", f"/b/{bucket}/e?ts=3")
