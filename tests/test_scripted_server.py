"""What `tests/scripted_server.py` promises."""

import http.client
import socket
import threading
import time

import pytest

from tests.scripted_server import (
    HEAD,
    HOLD,
    REQUEST,
    RESET,
    Request,
    ScriptedServer,
    answer,
    chunked,
    refusing,
)


def ask(server: ScriptedServer, method: str = "GET", body: bytes | None = None) -> bytes:
    """Send a request and return the body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, "/path", body)
        return connection.getresponse().read()
    finally:
        connection.close()


def test_scripts_are_played_in_turn_and_the_last_one_for_ever() -> None:
    with ScriptedServer([REQUEST, answer(b"one")], [REQUEST, answer(b"two")]) as server:
        assert [ask(server) for _ in range(3)] == [b"one", b"two", b"two"]
    assert server.connections == server.finished == 3


def test_requests_are_kept() -> None:
    def echo(request: Request) -> bytes:
        return answer(request.body.upper())

    with ScriptedServer([REQUEST, answer()], [echo], [HEAD, answer()]) as server:
        assert ask(server, "POST", b"data") == b""
        assert ask(server, "PUT", b"data") == b"DATA"
        ask(server, "POST", b"data")
    kept = [(request.method, request.target, request.body) for request in server.requests]
    assert kept == [("POST", "/path", b"data"), ("PUT", "/path", b"data"), ("POST", "/path", b"")]
    assert server.requests[0].headers["Host"] == f"127.0.0.1:{server.port}"
    assert [request.complete for request in server.requests] == [True, True, False]


def test_a_client_that_leaves_within_its_body_is_seen() -> None:
    with ScriptedServer([REQUEST, answer()]) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nshort")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(100) == b""
    assert [(request.body, request.complete) for request in server.requests] == [(b"short", False)]


def test_a_reset_is_one() -> None:
    with ScriptedServer([REQUEST, RESET]) as server:
        with pytest.raises(ConnectionResetError):
            ask(server)


def test_stopping_ends_all_connections_and_threads() -> None:
    before = threading.active_count()
    with ScriptedServer([HOLD], [REQUEST]) as server:
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2)]
        while server.connections < 2:
            time.sleep(0.01)
    assert threading.active_count() == before
    for client in clients:
        with client:
            assert client.recv(1) == b""


def test_faults_of_a_script_come_out() -> None:
    def broken(request: Request) -> bytes:
        raise ZeroDivisionError

    server = ScriptedServer([broken])
    server.__enter__()
    with pytest.raises(ConnectionError):
        ask(server)
    with pytest.raises(ExceptionGroup) as caught:
        server.__exit__(None, None, None)
    assert [type(fault) for fault in caught.value.exceptions] == [ZeroDivisionError]


def test_a_refusing_address() -> None:
    with refusing() as url:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))


def test_bytes_of_answers() -> None:
    assert answer(b"x", 404, {"A": "b", "x-reduct-api": ""}, reason="No") == (
        b"HTTP/1.1 404 No\r\ncontent-length: 1\r\nA: b\r\n\r\nx"
    )
    assert b"content-length: 9\r\n" in answer(length=9)
    assert chunked(b"ab", b"c") == b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
