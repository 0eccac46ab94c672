"""Single records, and removal and renaming of entries, by raw calls."""

import gzip
import json
import select
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

import reduct_local
from tests.differential.wire import Answer
from tests.local.raw_calls import Raw, with_prefix
from tests.servers import NewServer, Server

LARGE = 600 * 1024
"""Bytes of a record that is stored in pieces."""


def labels(answer: Answer) -> dict[str, str]:
    return with_prefix(answer, "x-reduct-label-")


# --- write and read ----------------------------------------------------------------------------


def test_write_and_read(raw: Raw, store: str) -> None:
    headers = {"Content-Type": "text/plain", "x-reduct-label-A": "1", "x-reduct-label-b": ""}
    written = raw("POST", f"/b/{store}/x/e?ts=5", headers, b"hello")
    assert (written.status, written.body) == (200, b"")
    answer = raw("GET", f"/b/{store}/x/e?ts=5")
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.header("content-type") == "text/plain"
    assert answer.header("content-length") == "5"
    assert answer.header("content-disposition") == "attachment"
    assert answer.header("x-reduct-time") == "5"
    assert answer.header("x-reduct-entry") == "x/e"
    assert answer.header("x-reduct-last") is None
    assert labels(answer) == {"a": "1", "b": ""}


def test_head_has_the_headers_of_get(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/e?ts=5", {"x-reduct-label-a": "1"}, b"hello")
    head, get = (raw(method, f"/b/{store}/e?ts=5") for method in ("HEAD", "GET"))
    assert (head.status, head.body) == (200, b"")
    assert without_date(head) == without_date(get)


def without_date(answer: Answer) -> list[tuple[str, str]]:
    return sorted(header for header in answer.headers if header[0] != "date")


def test_latest_record(raw: Raw, store: str) -> None:
    for timestamp in (5, 9, 7):
        raw("POST", f"/b/{store}/e?ts={timestamp}", body=b"%d" % timestamp)
    assert raw("GET", f"/b/{store}/e").body == b"9"
    raw("POST", f"/b/{store}/x/y?ts=1", body=b"1")
    assert raw("GET", f"/b/{store}/x").status == 404


@pytest.mark.parametrize("size", [0, 1, LARGE, 3 * 1024 * 1024])
@pytest.mark.parametrize("chunked", [False, True])
def test_sizes(raw: Raw, store: str, size: int, chunked: bool) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    headers = {"x-reduct-content-length": str(size)} if chunked else {}
    written = raw("POST", f"/b/{store}/e?ts=1", headers, body[:size], chunked=chunked)
    assert written.status == 200
    answer = raw("GET", f"/b/{store}/e?ts=1")
    assert answer.body == body[:size]
    assert answer.header("content-length") == str(size)


@pytest.mark.parametrize("timestamp", ["0", "18446744073709551615", "%2B12", "007"])
def test_timestamps(raw: Raw, store: str, timestamp: str) -> None:
    assert raw("POST", f"/b/{store}/e?ts={timestamp}", body=b"x").status == 200
    answer = raw("GET", f"/b/{store}/e?ts={timestamp}")
    assert answer.header("x-reduct-time") == str(int(timestamp.removeprefix("%2B")))


@pytest.mark.parametrize(
    "query", ["", "?ts=", "?ts=x", "?ts=-1", "?ts=1.0", f"?ts={2**64}", "?t=1"]
)
def test_write_needs_a_timestamp(raw: Raw, store: str, query: str) -> None:
    assert raw("POST", f"/b/{store}/e{query}", body=b"x").status == 422


def test_write_needs_a_size(raw: Raw, store: str) -> None:
    assert raw("POST", f"/b/{store}/e?ts=1", body=b"x", chunked=True).status == 422
    headers = {"x-reduct-content-length": "x"}
    assert raw("POST", f"/b/{store}/e?ts=1", headers, b"x", chunked=True).status == 422


def test_content_length_wins(raw: Raw, store: str) -> None:
    headers = {"x-reduct-content-length": "99"}
    assert raw("POST", f"/b/{store}/e?ts=1", headers, b"abc").status == 200
    assert raw("GET", f"/b/{store}/e?ts=1").body == b"abc"


@pytest.mark.parametrize("declared", [1, 5])
def test_body_of_another_size_breaks_the_record(raw: Raw, store: str, declared: int) -> None:
    headers = {"x-reduct-content-length": str(declared)}
    assert raw("POST", f"/b/{store}/e?ts=1", headers, b"abc", chunked=True).status == 200
    assert raw("GET", f"/b/{store}/e?ts=1").status == 500
    assert raw("POST", f"/b/{store}/e?ts=1", body=b"1234").status == 409
    good = b"12345"[:declared]
    assert raw("POST", f"/b/{store}/e?ts=1", body=good).status == 200
    assert raw("GET", f"/b/{store}/e?ts=1").body == good


def test_body_that_is_much_too_long(raw: Raw, store: str) -> None:
    headers = {"x-reduct-content-length": "5"}
    body = b"x" * 2_000_000
    assert raw("POST", f"/b/{store}/e?ts=1", headers, body, chunked=True).status == 200
    assert raw("GET", f"/b/{store}/e?ts=1").status == 500


def test_large_body_that_is_refused(raw: Raw, store: str) -> None:
    body = b"x" * 3_000_000
    assert raw("POST", f"/b/none{store}/e?ts=1", body=body).status == 404
    assert raw("GET", f"/b/{store}").status == 200


def test_value_of_a_label_that_is_not_ascii(raw: Raw, store: str) -> None:
    assert raw("POST", f"/b/{store}/e?ts=1", {"x-reduct-label-a": "\xe4"}, b"x").status == 422
    assert raw("POST", f"/b/{store}/e?ts=1", {"Content-Type": "\xe4"}, b"x").status == 422


def test_last_of_repeated_labels_counts(raw: Raw, store: str) -> None:
    headers = [("x-reduct-label-a", "1"), ("x-reduct-label-A", "2")]
    assert raw("POST", f"/b/{store}/e?ts=1", headers, b"x").status == 200
    assert labels(raw("GET", f"/b/{store}/e?ts=1")) == {"a": "2"}


def test_write_refused(raw: Raw, store: str) -> None:
    assert raw("POST", f"/b/none{store}/e?ts=1", body=b"x").status == 404
    assert raw("POST", f"/b/{store}/e!?ts=1", body=b"x").status == 422
    assert raw("POST", f"/b/{store}/e?ts=1", body=b"x").status == 200
    assert raw("POST", f"/b/{store}/e?ts=1", body=b"x").status == 409
    assert raw("POST", f"/b/{store}/e/$meta?ts=1", body=b"x").status == 422


def test_reads_refused(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/e?ts=1", body=b"x")
    assert raw("GET", f"/b/{store}/none?ts=x").status == 404
    assert raw("GET", f"/b/none{store}/e?ts=x").status == 404
    assert raw("GET", f"/b/{store}/e?ts=x").status == 422
    assert raw("GET", f"/b/{store}/e?q=x").status == 422
    assert raw("GET", f"/b/{store}/e?ts=2").status == 404
    assert raw("GET", f"/b/{store}/e?q=999999").status == 404
    assert raw("GET", f"/b/{store}/e?ts=1&q=999999").status == 200


def test_quota_that_is_exceeded(raw: Raw) -> None:
    bucket = raw.new_bucket(b'{"quota_type":"HARD","quota_size":10}')
    assert raw("POST", f"/b/{bucket}/e?ts=1", body=b"x" * 100).status == 400
    raw("DELETE", f"/b/{bucket}")


# --- uploads that do not come at once ----------------------------------------------------------


@pytest.fixture
def upload(server: Server, store: str) -> Iterator[socket.socket]:
    """A connection on which the head of a write of two bytes was sent, at timestamp 1."""
    with connect(server) as connection:
        connection.sendall(head(f"/b/{store}/e?ts=1", 2))
        yield connection


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 30)


def head(target: str, size: int, *more: str) -> bytes:
    lines = [f"POST /api/v1{target} HTTP/1.1", "host: x", f"content-length: {size}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def status_of(connection: socket.socket) -> int:
    answer = b""
    while b"\r\n\r\n" not in answer:
        received = connection.recv(4096)
        assert received, answer
        answer += received
    return int(answer.split()[1])


def test_record_is_being_written(raw: Raw, store: str, upload: socket.socket) -> None:
    raw.wait_for({f"/b/{store}/e?ts=1": 425})
    assert raw("POST", f"/b/{store}/e?ts=1", body=b"xy").status == 409
    upload.sendall(b"a")
    assert raw("GET", f"/b/{store}/e?ts=1").status == 425
    upload.sendall(b"b")
    assert status_of(upload) == 200
    assert raw("GET", f"/b/{store}/e?ts=1").body == b"ab"


def test_broken_connection_breaks_the_record(raw: Raw, store: str, upload: socket.socket) -> None:
    upload.sendall(b"a")
    raw.wait_for({f"/b/{store}/e?ts=1": 425})
    upload.close()
    raw.wait_for({f"/b/{store}/e?ts=1": 500})
    assert raw("POST", f"/b/{store}/e?ts=1", body=b"xy").status == 200


def test_pause_leaves_the_record_unfinished(new_server: NewServer) -> None:
    env = {"RS_IO_OPERATION_TIMEOUT": "1"}
    with new_server(env=env) as server, closing(Raw(server.url)) as raw:
        bucket = raw.new_bucket()
        with connect(server) as connection:
            connection.sendall(head(f"/b/{bucket}/e?ts=1", 2) + b"a")
            assert status_of(connection) == 400
        assert raw("GET", f"/b/{bucket}/e?ts=1").status == 425
        assert raw("POST", f"/b/{bucket}/e?ts=1", body=b"xy").status == 409
        assert raw("DELETE", f"/b/{bucket}/e?ts=1").status == 200
        assert raw("POST", f"/b/{bucket}/e?ts=1", body=b"xy").status == 200


def test_errors_come_before_the_body_with_expect(server: Server, store: str) -> None:
    with connect(server) as connection:
        connection.sendall(head(f"/b/none{store}/e?ts=1", 10**9, "expect: 100-continue"))
        assert status_of(connection) == 404


def test_body_is_asked_for_with_expect(server: Server, raw: Raw, store: str) -> None:
    with connect(server) as connection:
        connection.sendall(head(f"/b/{store}/e?ts=1", 2, "expect: 100-continue"))
        assert status_of(connection) == 100
        connection.sendall(b"ab")
        assert status_of(connection) == 200
    assert raw("GET", f"/b/{store}/e?ts=1").body == b"ab"


def test_errors_come_after_the_body_without_expect(server: Server, store: str) -> None:
    with connect(server) as connection:
        connection.sendall(head(f"/b/none{store}/e?ts=1", 2))
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(30)
        connection.sendall(b"ab")
        assert status_of(connection) == 404


def test_writer_slots(new_server: NewServer) -> None:
    """A write waits for a slot as long as another one may pause."""
    env = {"RS_IO_MAX_WRITERS_IN_FLIGHT": "1", "RS_IO_OPERATION_TIMEOUT": "2"}
    with new_server(env=env) as server, closing(Raw(server.url)) as raw:
        bucket = raw.new_bucket()
        with connect(server) as first, connect(server) as second:
            first.sendall(head(f"/b/{bucket}/e?ts=1", 100) + b"a")
            raw.wait_for({f"/b/{bucket}/e?ts=1": 425})
            assert raw("POST", f"/b/none{bucket}/e?ts=2", body=b"x").status == 404
            second.sendall(head(f"/b/{bucket}/e?ts=2", 1) + b"x")
            while not select.select([second], [], [], 0.5)[0]:
                first.sendall(b"a")
            assert status_of(second) == 429
        raw.wait_for({f"/b/{bucket}/e?ts=1": 500})
        assert raw("POST", f"/b/{bucket}/e?ts=2", body=b"x").status == 200


# --- update and remove -------------------------------------------------------------------------


def test_update(raw: Raw, store: str) -> None:
    start = {"x-reduct-label-a": "1", "x-reduct-label-b": "2", "x-reduct-label-c": "3"}
    raw("POST", f"/b/{store}/e?ts=1", start, b"x")
    change = {"x-reduct-label-a": "9", "x-reduct-label-b": "", "x-reduct-label-d": "4"}
    assert raw("PATCH", f"/b/{store}/e?ts=1", change, b"ignored").status == 200
    answer = raw("GET", f"/b/{store}/e?ts=1")
    assert labels(answer) == {"a": "9", "c": "3", "d": "4"}
    assert answer.body == b"x"


def test_update_refused(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/e?ts=1", body=b"x")
    assert raw("PATCH", f"/b/{store}/e").status == 422
    assert raw("PATCH", f"/b/{store}/e?ts=2").status == 404
    assert raw("PATCH", f"/b/{store}/none?ts=1").status == 404
    assert raw("PATCH", f"/b/none{store}/e?ts=1").status == 404
    assert raw("PATCH", f"/b/{store}/e?ts=1", {"x-reduct-label-a": "\xe4"}).status == 422


def test_remove_record(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/e?ts=1", body=b"x")
    assert raw("DELETE", f"/b/{store}/e?ts=x").status == 422
    assert raw("DELETE", f"/b/{store}/e?other=1").status == 422
    assert raw("DELETE", f"/b/{store}/e?ts=1").status == 200
    assert raw("GET", f"/b/{store}/e?ts=1").status == 404
    assert raw("DELETE", f"/b/{store}/e?ts=1").status == 404
    assert raw("DELETE", f"/b/{store}/none?ts=1").status == 404
    assert raw("DELETE", f"/b/{store}/e/$meta?ts=1").status == 422


def test_remove_entry(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/x/y?ts=1", body=b"x")
    raw("POST", f"/b/{store}/other?ts=1", body=b"x")
    assert raw("DELETE", f"/b/{store}/x/$meta").status == 422
    assert raw("DELETE", f"/b/{store}/x").status == 200
    raw.wait_for({f"/b/{store}/x/y?ts=1": 404})
    assert raw("DELETE", f"/b/{store}/x").status in {404, 409}
    assert raw("GET", f"/b/{store}/other?ts=1").status == 200


def test_queries_do_not_outlive_their_entry(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/x?ts=1", body=b"x")
    number = json.loads(raw("GET", f"/b/{store}/x/q").body)["id"]
    assert raw("DELETE", f"/b/{store}/x").status == 200
    raw.wait_for({f"/b/{store}/x?ts=1": 404})
    assert raw("POST", f"/b/{store}/x?ts=1", body=b"x").status == 200
    assert raw("GET", f"/b/{store}/x?q={number}").status == 404


def test_attachments_are_refused_before_the_token_is_looked_at(auth_server: Server) -> None:
    with closing(Raw(auth_server.url)) as raw:
        assert raw("DELETE", "/b/x/e/$meta").status == 422
        assert raw("DELETE", "/b/x/e/$meta?ts=1").status == 401
        assert raw("DELETE", "/b/x/e/$meta/q?start=1").status == 422


def test_rename_entry(raw: Raw, store: str) -> None:
    raw("POST", f"/b/{store}/x/y?ts=1", body=b"x")
    body = json.dumps({"new_name": "a/b"}).encode()
    assert raw("PUT", f"/b/{store}/x/rename", body=body).status == 200
    assert raw("GET", f"/b/{store}/a/b/y?ts=1").body == b"x"
    assert raw("GET", f"/b/{store}/x/y?ts=1").status == 404
    assert raw("PUT", f"/b/{store}/none/rename", body=body).status in {404, 409}
    for wrong in (b"", b"{}", b"[]", b'{"new_name": 1}', b'{"new_name": "b!"}'):
        assert raw("PUT", f"/b/{store}/a/rename", body=wrong).status == 422, wrong


def test_rename_loses_the_queries_of_all_entries(raw: Raw, store: str) -> None:
    for entry in ("x", "y"):
        raw("POST", f"/b/{store}/{entry}?ts=1", body=b"x")
    found = [json.loads(raw("GET", f"/b/{store}/{entry}/q").body)["id"] for entry in ("x", "y")]
    assert raw("PUT", f"/b/{store}/x/rename", body=b'{"new_name": "z"}').status == 200
    assert raw("GET", f"/b/{store}/z?q={found[0]}").status == 404
    assert raw("GET", f"/b/{store}/y?q={found[1]}").status == 404


def test_json_is_looked_at_before_the_token(auth_server: Server) -> None:
    with closing(Raw(auth_server.url)) as raw:
        assert raw("PUT", "/b/x/e/rename", body=b"{}").status == 422
        assert raw("PUT", "/b/x/e/rename", body=b'{"new_name": "a"}').status == 401


def test_every_call_needs_a_token(auth_server: Server) -> None:
    with closing(Raw(auth_server.url)) as raw:
        for method in ("GET", "HEAD", "POST", "PATCH", "DELETE"):
            assert raw(method, "/b/x/e?ts=1").status == 401, method


# --- what the real server does not survive -----------------------------------------------------


@pytest.mark.parametrize("name", ["a b", "a/b", "@x"])
def test_label_that_no_header_can_name(caplog: pytest.LogCaptureFixture, name: str) -> None:
    with reduct_local.Server() as server, closing(Raw(server.url)) as raw:
        bucket = raw.new_bucket()
        raw("POST", f"/b/{bucket}/e/batch", {"x-reduct-time-1": f"1,,{name}=1"}, b"x")
        for method in ("GET", "HEAD"):
            assert raw(method, f"/b/{bucket}/e?ts=1").status == 422
    assert "real server does not survive" in caplog.text


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        (gzip.compress(b"one") + gzip.compress(b"two"), b"one"),
        (gzip.compress(b"one") + b"no gzip", b"one"),
        (b"", b""),
    ],
    ids=["members", "rubbish", "empty"],
)
def test_gzip_ends_with_its_first_member(raw: Raw, store: str, body: bytes, stored: bytes) -> None:
    headers = {"content-encoding": "gzip", "x-reduct-content-length": str(len(stored))}
    assert raw("POST", f"/b/{store}/e?ts=1", headers, body).status == 200
    assert raw("GET", f"/b/{store}/e?ts=1").body == stored


def test_a_taken_timestamp_goes_before_a_broken_body(raw: Raw, store: str) -> None:
    assert raw("POST", f"/b/{store}/e?ts=1", {}, b"data").status == 200
    headers = {"content-encoding": "gzip", "x-reduct-content-length": "4"}
    assert raw("POST", f"/b/{store}/e?ts=1", headers, b"no gzip").status == 409
    assert raw("GET", f"/b/{store}/e?ts=1").body == b"data"
