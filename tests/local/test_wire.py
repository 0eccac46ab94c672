"""The byte layer: limits of heads, broken requests, slow and rude senders."""

import asyncio
import re
import socket
import time
from collections.abc import Iterator

import pytest

from reduct_local import Server, wire
from tests.local.wire_calls import call, connect, exchange, read_all, read_until, status

ALIVE = b"GET /api/v1/alive HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def head(*lines: bytes, target: bytes = b"/api/v1/alive") -> bytes:
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", *lines, b"connection: close", b"", b""])


@pytest.mark.parametrize(("lines", "expected"), [(99, 200), (100, 431)])
def test_head_has_at_most_100_lines(server: Server, lines: int, expected: int) -> None:
    many = [b"x-h%d: v" % number for number in range(lines)]
    assert status(exchange(server.port, head(*many))) == expected


@pytest.mark.parametrize(("size", "expected"), [(5_600, 200), (5_900, 431), (11_000, 431)])
def test_head_has_at_most_half_a_mebibyte(server: Server, size: int, expected: int) -> None:
    many = [b"x-h%d: %s" % (number, b"v" * size) for number in range(90)]
    assert status(exchange(server.port, head(*many))) == expected


@pytest.mark.parametrize(("size", "expected"), [(65_534, 404), (65_535, 414)])
def test_target_has_at_most_64_kib(server: Server, size: int, expected: int) -> None:
    answer = exchange(server.port, head(b"host: x", target=b"/" + b"a" * (size - 1)))
    assert status(answer) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET /api/v1/alive HTTP/2.5\r\n\r\n",
        b"GET /api/v1/alive HTTP/1.1\r\na b: c\r\n\r\n",
        b"GET /api/v1/alive HTTP/1.1\r\na: b\x01\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET /api/v1/alive HTTP/1.1\r\na: b\r\n c\r\n\r\n",
        b"POST /api/v1/b/x HTTP/1.1\r\ncontent-length: -2\r\n\r\n{}",
        b"POST /api/v1/b/x HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"POST /api/v1/b/x HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
        b"POST /api/v1/b/x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_not_http_gets_400_and_the_connection_closed(server: Server, data: bytes) -> None:
    answer = exchange(server.port, data)
    assert status(answer) == 400
    assert b"connection: close\r\n" in answer
    assert b"content-length: 0\r\n" in answer
    assert b"server:" not in answer
    assert exchange(server.port, head()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "data",
    [
        b"GET http://other/api/v1/alive HTTP/1.1\r\nconnection: close\r\n\r\n",
        b"GET /api/v1/alive#fragment HTTP/1.1\r\nconnection: close\r\n\r\n",
        b"\r\n\r\nGET /api/v1/alive HTTP/1.1\r\nconnection: close\r\n\r\n",
        b"GET /api/v1/alive HTTP/1.0\r\n\r\n",
    ],
)
def test_unusual_requests_are_served(server: Server, data: bytes) -> None:
    assert status(exchange(server.port, data)) == 200


def test_upgrade_is_ignored(server: Server) -> None:
    asked = ALIVE.replace(b"host: x", b"connection: upgrade\r\nupgrade: websocket")
    with connect(server.port) as connection:
        connection.sendall(asked)
        assert status(read_until(connection, b"\r\n\r\n")) == 200


def test_spaces_around_header_values_do_not_count(server: Server) -> None:
    with Server(token="secret") as guarded:
        line = b"authorization:   Bearer secret \t "
        assert status(exchange(guarded.port, head(line, target=b"/api/v1/info"))) == 200


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(ALIVE + ALIVE.replace(b"alive", b"nope") + head())
        answers = read_all(connection)
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"404", b"200"]


def test_head_may_come_byte_by_byte(server: Server) -> None:
    with connect(server.port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in ALIVE:
            connection.sendall(bytes([byte]))
        assert status(read_until(connection, b"\r\n\r\n")) == 200


def test_endless_head_is_refused(server: Server) -> None:
    sent = 0
    with connect(server.port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nx: ")
        try:
            while sent < 8 * wire.MAX_HEAD:
                sent += connection.send(b"v" * 65536)
        except ConnectionError:
            pass
        answer = read_all(connection)
    # Either the answer came, or the reset that follows a sender who does not stop.
    assert answer[:12] in (b"", b"HTTP/1.1 431")
    assert call(server.port, "GET", "/api/v1/alive").status == 200


def test_endless_header_lines_are_refused(server: Server) -> None:
    answer = exchange(server.port, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 120_000)
    assert status(answer) == 431


def test_slow_heads_are_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "SLOW_SECONDS", 0.2)
    with connect(server.port) as silent, connect(server.port) as slow:
        slow.sendall(b"GET /api/v1/alive HTTP/1.1\r\n")
        time.sleep(0.1)
        # More of the head does not give it more time.
        slow.sendall(b"host: x\r\n")
        assert read_all(silent) == b""
        assert read_all(slow) == b""


def test_slow_bodies_get_400() -> None:
    with Server(env={"RS_IO_OPERATION_TIMEOUT": "1"}) as server:
        call(server.port, "POST", "/api/v1/b/x")
        with connect(server.port) as connection:
            connection.sendall(b"POST /api/v1/b/x/e?ts=1 HTTP/1.1\r\ncontent-length: 10\r\n\r\nabc")
            assert status(read_until(connection, b"\r\n\r\n")) == 400


def test_many_idle_connections_do_not_stop_others(server: Server) -> None:
    idle = [connect(server.port) for _ in range(200)]
    try:
        for connection in idle[::2]:
            connection.sendall(b"POST /api/v1/b/x HTTP/1.1\r\ncontent-length: 5\r\n\r\n{")
        assert call(server.port, "GET", "/api/v1/alive").status == 200
    finally:
        for connection in idle:
            connection.close()


def test_body_beyond_its_announced_length_is_the_next_request(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(
            b"POST /api/v1/b/long HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}GARBAGE\r\n\r\n"
        )
        answers = read_all(connection)
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"400"]


def test_client_that_leaves_in_the_middle_of_a_body_harms_nobody(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(b"POST /api/v1/b/left HTTP/1.1\r\ncontent-length: 100\r\n\r\n{")
    assert call(server.port, "GET", "/api/v1/b/left").status == 404


def test_answer_comes_before_an_unread_body(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(b"POST /api/v1/nope HTTP/1.1\r\ncontent-length: 1000000\r\n\r\n")
        assert status(read_until(connection, b"\r\n\r\n")) == 405
        # The rest is read and dropped; the connection can be used again.
        connection.sendall(b"x" * 1_000_000 + ALIVE)
        assert status(read_until(connection, b"\r\n\r\n")) == 200


def test_endless_body_after_an_answer_is_cut_off(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MAX_UNREAD", 1_000_000)
    with connect(server.port) as connection:
        connection.sendall(b"POST /api/v1/nope HTTP/1.1\r\ncontent-length: 999999999999\r\n\r\n")
        assert status(read_until(connection, b"\r\n\r\n")) == 405
        with pytest.raises(ConnectionError):
            connection.sendall(b"x" * 100_000_000)


def test_expect_gets_an_early_error_and_the_connection_closed(server: Server) -> None:
    answer = exchange(
        server.port,
        b"POST /api/v1/nope HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n",
    )
    assert status(answer) == 405
    assert b"connection: close\r\n" in answer


def test_expect_gets_100_when_the_body_is_wanted(server: Server) -> None:
    call(server.port, "DELETE", "/api/v1/b/expected")
    with connect(server.port) as connection:
        connection.sendall(
            b"POST /api/v1/b/expected HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
        )
        assert read_until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert status(read_until(connection, b"\r\n\r\n")) == 200


def test_small_answer_is_one_segment(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(ALIVE.replace(b"alive", b"info"))
        assert connection.recv(65_536).endswith(b"}")
        # An answer without a body is not held back.
        connection.sendall(ALIVE.replace(b"GET", b"HEAD").replace(b"alive", b"info"))
        assert connection.recv(65_536).endswith(b"\r\n\r\n")


def test_segments_are_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    options: list[int] = []
    made = wire.Protocol.connection_made

    def recording(protocol: wire.Protocol, transport: asyncio.Transport) -> None:
        made(protocol, transport)
        peer: socket.socket = transport.get_extra_info("socket")
        options.append(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(wire.Protocol, "connection_made", recording)
    with Server() as server:
        assert call(server.port, "GET", "/api/v1/alive").status == 200
    assert options == [1]


def test_pipelined_head_requests_are_answered_in_order(server: Server) -> None:
    asked = ALIVE.replace(b"GET", b"HEAD")
    answers = exchange(server.port, asked + asked.replace(b"alive", b"nope") + b"garbage\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"404", b"400"]
