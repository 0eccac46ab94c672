"""What happens around every endpoint, on every server: paths, headers, CORS, limits, codings."""

import gzip
import json
import logging

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from reduct_local import ManualClock
from reduct_local import Server as EmbeddedServer
from reduct_local.api.common import parse_json
from reduct_local.engine import Engine
from reduct_local.errors import ApiError
from reduct_local.limits import Limits, Rate, parse_rate
from tests.local.wire_calls import Reply, call, exchange
from tests.servers import NewServer, Server

INFO = "/api/v1/info"


# -- Paths and methods --------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/", 302, None),
        ("GET", "/ui/", 404, None),
        ("GET", "/api/v1/nope", 404, None),
        ("GET", "/api/v1", 404, None),
        ("GET", "//api/v1/info", 404, None),
        ("GET", "/api/v1/tokens/", 404, None),
        ("HEAD", "/api/v1/nope", 404, None),
        ("GET", "/api/v1/b/x/", 404, None),
        ("GET", "/api/v1/b//x", 404, None),
        ("POST", "/api/v1/nope", 405, "GET,HEAD"),
        ("POST", "/api/v1/b/", 405, "GET,HEAD"),
        ("POST", "/api/v1/b/x/", 405, "GET,HEAD"),
        ("PUT", "/", 405, "GET,HEAD"),
        ("DELETE", INFO, 405, "GET,HEAD"),
        ("TRACE", INFO, 405, "GET,HEAD"),
        ("PATCH", "/api/v1/b/x", 405, "DELETE,GET,HEAD,POST,PUT"),
        ("GET", "/api/v1/b/x/rename", 405, "PUT"),
        ("POST", "/api/v1/b/x/rename?ts=1", 405, "PUT"),
        ("PUT", "/api/v1/tokens/x", 405, "DELETE,GET,HEAD,POST"),
        ("GET", "/api/v1/b/rename", 404, None),
    ],
)
def test_paths_and_methods(
    server: Server, method: str, path: str, status: int, allow: str | None
) -> None:
    reply = call(server.port, method, path)
    assert reply.status == status
    found = reply.headers.get("allow")
    # The real server names HEAD twice where it has an endpoint of its own.
    assert (found and ",".join(sorted(set(found.split(","))))) == allow
    if status == 405:
        assert reply.body == b""
        assert "x-reduct-error" not in reply.headers
    if status == 404:
        assert reply.headers["x-reduct-error"]


def test_base_path_leads_to_the_console(server: Server) -> None:
    assert call(server.port, "GET", "/").headers["location"] == "/ui/"


def test_base_path(new_server: NewServer) -> None:
    with new_server(env={"RS_API_BASE_PATH": "deep/store"}) as server:
        assert call(server.port, "GET", "/deep/store/api/v1/info").status == 200
        assert call(server.port, "GET", INFO).status == 404
        assert call(server.port, "GET", "/").status == 404
        console = call(server.port, "GET", "/deep/store/")
        assert (console.status, console.headers["location"]) == (302, "/deep/store/ui/")


def test_path_parameters_are_decoded_after_matching(server: Server) -> None:
    reply = call(server.port, "GET", "/api/v1/b/a%2Fb%20c")
    assert (reply.status, reply.error) == (404, "Bucket 'a/b c' is not found")


def test_broken_utf8_in_a_path(server: Server) -> None:
    reply = call(server.port, "GET", "/api/v1/b/%ff")
    assert reply.status == 400
    assert reply.body == b"Invalid URL: Invalid UTF-8 in `bucket_name`"
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"


# -- Headers and errors -------------------------------------------------------


def test_headers_of_every_answer(server: Server) -> None:
    for path in (INFO, "/api/v1/nope", "/"):
        headers = call(server.port, "GET", path).headers
        assert headers["server"].startswith("ReductStore 1.21.")
        assert headers["x-reduct-api"] == "1.21"
        assert headers["vary"] == "origin"
        assert headers["access-control-expose-headers"] == "*"
        assert headers["date"].endswith(" GMT")
        assert headers["content-length"]


def test_head_is_get_without_a_body(server: Server) -> None:
    for path in ("/api/v1/list", "/api/v1/alive", "/api/v1/ready", "/api/v1/tokens/x"):
        get, head = (call(server.port, method, path) for method in ("GET", "HEAD"))
        assert head.body == b""
        assert (head.status, head.headers["content-length"]) == (
            get.status,
            get.headers["content-length"],
        )


def test_error_texts_escape_quotes_only(server: Server) -> None:
    reply = call(server.port, "GET", '/api/v1/b/a"b%5Cc')
    assert reply.headers["x-reduct-error"] == "Bucket 'a\"b\\c' is not found"
    assert reply.body == b'{"detail": "Bucket \'a\'b\\c\' is not found"}'


def test_message_that_is_no_header_value(server: Server) -> None:
    reply = call(server.port, "GET", "/api/v1/b/a%0Ab")
    assert reply.status == 404
    assert reply.headers["x-reduct-error"] == "Unparsable message"
    assert reply.body == b'{"detail": "Bucket \'a\nb\' is not found"}'


def test_failure_of_the_server_is_an_error_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_self: Engine, _name: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Engine, "check_bucket", broken)
    with EmbeddedServer() as server:
        reply = call(server.port, "HEAD", "/api/v1/b/x")
        assert reply.status == 500
        assert reply.headers["x-reduct-error"] == "Internal server error"
        assert call(server.port, "GET", INFO).status == 200
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [
        "HEAD /api/v1/b/x failed"
    ]


# -- CORS ---------------------------------------------------------------------


def origin(server: Server, value: str, method: str = "GET") -> Reply:
    return call(server.port, method, INFO, headers={"Origin": value})


def test_no_origin_is_allowed_by_default(server: Server) -> None:
    assert "access-control-allow-origin" not in origin(server, "http://a.example").headers


def test_listed_origins_are_allowed(new_server: NewServer) -> None:
    with new_server(env={"RS_CORS_ALLOW_ORIGIN": "http://a.example, http://b.example"}) as server:
        for value in ("http://a.example", "http://b.example"):
            for method in ("GET", "OPTIONS"):
                headers = origin(server, value, method).headers
                assert headers["access-control-allow-origin"] == value
                assert headers["vary"] == "origin"
        assert "access-control-allow-origin" not in origin(server, "http://c.example").headers


def test_every_origin_is_allowed(new_server: NewServer) -> None:
    with new_server(env={"RS_CORS_ALLOW_ORIGIN": "*"}) as server:
        for reply in (origin(server, "http://any.example"), call(server.port, "OPTIONS", "/x")):
            assert reply.headers["access-control-allow-origin"] == "*"
            assert "vary" not in reply.headers


@pytest.mark.parametrize("path", [INFO, "/nope", "/api/v1/b/x/e"])
def test_options_are_answered_on_every_path(auth_server: Server, path: str) -> None:
    reply = call(auth_server.port, "OPTIONS", path)
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["access-control-allow-methods"] == "*"
    assert reply.headers["access-control-allow-headers"] == "*"
    assert "x-reduct-api" not in reply.headers
    assert "server" not in reply.headers


# -- Rate limits --------------------------------------------------------------


def test_request_limit(new_server: NewServer) -> None:
    with new_server(env={"RS_RATE_LIMIT_API": "40req/h"}) as server:
        # Some requests were counted by whoever waited for the start.
        replies = [call(server.port, "GET", "/api/v1/alive") for _ in range(41)]
        assert replies[0].status == 200
        last = replies[-1]
        assert last.status == 429
        assert "retry_after=" in last.error
        assert last.error.endswith("s")
        assert "x-reduct-api" not in last.headers
        assert "retry-after" not in last.headers
        assert last.headers["access-control-expose-headers"] == "*"
        assert call(server.port, "OPTIONS", INFO).status == 200
        other = call(server.port, "GET", INFO, headers={"X-Forwarded-For": "9.9.9.9"})
        assert other.status == 200


def test_byte_limits(new_server: NewServer) -> None:
    env = {"RS_RATE_LIMIT_INGRESS": "1000/h", "RS_RATE_LIMIT_EGRESS": "700/h"}
    with new_server(env=env) as server:
        entry = "/api/v1/b/x/e"

        def write(ts: int, size: int) -> int:
            return call(server.port, "POST", f"{entry}?ts={ts}", b"x" * size).status

        def read() -> int:
            return call(server.port, "GET", f"{entry}?ts=1").status

        call(server.port, "POST", "/api/v1/b/x")
        assert [write(1, 600), write(2, 600), write(3, 300), write(4, 200)] == [200, 429, 200, 429]
        assert [read(), read()] == [200, 429]
        assert call(server.port, "HEAD", f"{entry}?ts=1").status == 200


def test_windows_of_limits_end() -> None:
    clock = ManualClock()
    limits = Limits(clock, api=Rate(2, 10_000_000), ingress=None, egress=None)
    limits.api("a")
    clock.advance(4)
    limits.api("a")
    limits.api("b")
    clock.advance(5.5)
    with pytest.raises(ApiError, match="retry_after=1s"):
        limits.api("a")
    clock.advance(0.5)
    limits.api("a")
    limits.ingress("a", 10**9)


def test_windows_have_at_least_a_second() -> None:
    clock = ManualClock()
    limits = Limits(clock, api=Rate(1, 1000), ingress=None, egress=None)
    limits.api("a")
    clock.advance(0.9)
    with pytest.raises(ApiError, match="429"):
        limits.api("a")


def test_clients_of_passed_windows_are_forgotten() -> None:
    clock = ManualClock()
    limits = Limits(clock, api=Rate(1, 1_000_000), ingress=None, egress=None)
    for number in range(10_000):
        limits.api(str(number))
    assert limits.known_clients == 10_000
    clock.advance(2)
    limits.api("new")
    assert limits.known_clients == 1


@pytest.mark.parametrize(
    ("text", "requests", "expected"),
    [
        ("100req/s", True, Rate(100, 1_000_000)),
        (" 5 / 60s ", True, Rate(5, 60_000_000)),
        ("7", True, Rate(7, 3_600_000_000)),
        ("10MB/m", False, Rate(10_000_000, 60_000_000)),
        ("1KiB/2h", False, Rate(1024, 7_200_000_000)),
        ("10req", False, None),
        ("10MB", True, None),
        ("10/", True, None),
        ("/s", True, None),
        ("10/-1s", True, None),
        ("", True, None),
    ],
)
def test_texts_of_rates(text: str, requests: bool, expected: Rate | None) -> None:
    assert parse_rate(text, requests=requests) == expected


# -- Compressed bodies --------------------------------------------------------

DATA = b"some data, some data, some data" * 100
FRAMES = zstandard.compress(DATA[:500]) + zstandard.compress(DATA[500:])


def upload(server: Server, coding: str, body: bytes, size: int | None = None) -> Reply:
    headers = {"content-encoding": coding}
    if size is not None:
        headers["x-reduct-content-length"] = str(size)
    call(server.port, "POST", "/api/v1/b/coded")
    call(server.port, "DELETE", "/api/v1/b/coded/e?ts=1")
    return call(server.port, "POST", "/api/v1/b/coded/e?ts=1", body, headers)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(DATA)),
        ("zstd", zstandard.compress(DATA)),
        ("zstd", FRAMES),
        ("identity", DATA),
    ],
    ids=["gzip", "zstd", "zstd-frames", "identity"],
)
def test_compressed_records_are_stored_decoded(server: Server, coding: str, body: bytes) -> None:
    assert upload(server, coding, body, len(DATA)).status == 200
    reply = call(server.port, "GET", "/api/v1/b/coded/e?ts=1")
    assert reply.body == DATA
    assert "content-encoding" not in reply.headers


@pytest.mark.parametrize("coding", ["GZIP", "x-gzip", "deflate", "br", "gzip, zstd"])
def test_unknown_codings_are_refused(server: Server, coding: str) -> None:
    reply = upload(server, coding, b"x", 1)
    assert (reply.status, reply.body) == (415, b"")
    assert reply.headers["accept-encoding"] == "zstd,gzip"
    assert "x-reduct-error" not in reply.headers


def test_size_of_a_compressed_record_must_be_given(server: Server) -> None:
    assert upload(server, "gzip", gzip.compress(DATA)).status == 422


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"no gzip at all"),
        ("zstd", b"no zstd at all"),
        ("gzip", gzip.compress(DATA)[:-9]),
        ("gzip", gzip.compress(DATA)[:-1] + b"x"),
    ],
    ids=["gzip", "zstd", "short", "checksum"],
)
def test_broken_compression_is_refused(server: Server, coding: str, body: bytes) -> None:
    assert upload(server, coding, body, len(DATA)).status == 400
    reply = call(
        server.port, "POST", "/api/v1/b/broken", body, headers={"content-encoding": coding}
    )
    assert reply.status == 400
    assert reply.headers["content-type"].startswith("text/plain")
    reply = call(server.port, "POST", "/api/v1/tokens/t", body, {"content-encoding": coding})
    assert reply.status == 422


def test_compressed_settings(server: Server) -> None:
    body = gzip.compress(json.dumps({"quota_size": 7}).encode())
    call(server.port, "POST", "/api/v1/b/coded")
    headers = {"content-encoding": "gzip"}
    assert call(server.port, "PUT", "/api/v1/b/coded", body, headers).status == 200
    shown = call(server.port, "GET", "/api/v1/b/coded").json
    assert shown["settings"]["quota_size"] == 7


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_small_body_that_decodes_to_a_huge_one(server: Server, coding: str) -> None:
    zeros = b"\0" * 100_000_000
    body = gzip.compress(zeros, 1) if coding == "gzip" else zstandard.compress(zeros)
    reply = call(server.port, "POST", "/api/v1/b/bomb", body, {"content-encoding": coding})
    assert reply.status == 413
    assert call(server.port, "GET", INFO).status == 200


@given(st.binary(max_size=5000), st.integers(1, 3000), st.sampled_from(["gzip", "zstd"]))
def test_codings_survive_any_division(data: bytes, size: int, coding: str) -> None:
    with EmbeddedServer() as server:
        body = gzip.compress(data) if coding == "gzip" else zstandard.compress(data)
        chunks = [body[start : start + size] for start in range(0, len(body), size)]
        call(server.port, "POST", "/api/v1/b/x")
        head = (
            "POST /api/v1/b/x/e?ts=1 HTTP/1.1\r\nconnection: close\r\n"
            f"content-encoding: {coding}\r\nx-reduct-content-length: {len(data)}\r\n"
            "transfer-encoding: chunked\r\n\r\n"
        )
        sent = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
        answer = exchange(server.port, head.encode() + sent + b"0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200")
        assert call(server.port, "GET", "/api/v1/b/x/e").body == data


# -- JSON ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nul",
        "NaN",
        "-Infinity",
        "1e400",
        "[1,]",
        '"\\ud800"',
        '["ok", {"\\udc00": 1}]',
        "[" * 128 + "]" * 128,
        "[" * 100_000,
        "1" * 10_000,
        "\ufeff{}",
    ],
)
def test_json_that_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_json(text.encode())
    assert caught.value.status == 422


@pytest.mark.parametrize(
    "text", ["null", '"\\ud83d\\ude00"', "[" * 127 + "]" * 127, "18446744073709551615", " {} "]
)
def test_json_that_is_accepted(text: str) -> None:
    assert parse_json(text.encode()) == json.loads(text)


def test_json_that_is_no_utf8() -> None:
    with pytest.raises(ApiError):
        parse_json(b'"\xff"')
