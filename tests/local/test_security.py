"""What keeps the embedded server safe: addresses, secrets, guesses, rude senders."""

import hmac
import logging
import socket
import threading
import time
import traceback
from pathlib import Path

import pytest

from reduct_local import Server, hashes
from tests.local.wire_calls import call, connect, read_until, status

ALIVE = "/api/v1/alive"


def test_listens_on_loopback_only() -> None:
    with Server() as server, connect(server.port) as connection:
        assert server.url.startswith("http://127.0.0.1:")
        assert connection.getpeername()[0] == "127.0.0.1"
        with pytest.raises(OSError, match="refused"):
            # Another address of this machine, where a server for all addresses would answer.
            socket.create_connection(("127.0.0.2", server.port), timeout=5)


def test_values_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[str, str]] = []

    def compare(first: str, second: str) -> bool:
        compared.append((first, second))
        return first == second

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for stored in (hashes.hash_random("right"), hashes.hash_chosen("right")):
        assert hashes.matches(stored, "right")
        assert not hashes.matches(stored, "wrong")
    assert len(compared) == 4
    assert all(len(first) == len(second) for first, second in compared)


def test_no_secret_is_logged(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    secrets = ["first-secret", "second-secret"]
    env = {
        "RS_API_TOKEN": secrets[0],
        "RS_TOKEN_A_NAME": "a",
        "RS_TOKEN_A_VALUE": secrets[1],
        "RS_LOG_LEVEL": "TRACE",
    }
    with caplog.at_level(1), Server(env=env, data=tmp_path / "d.sqlite") as server:
        for secret in (*secrets, "wrong-secret"):
            call(server.port, "GET", "/api/v1/me", token=secret)
        made = call(server.port, "POST", "/api/v1/tokens/t", "{}", token=secrets[0])
        value = made.json["value"]
        call(server.port, "GET", "/api/v1/me", token=value)
        call(server.port, "POST", "/api/v1/tokens/t/rotate", token=value)
        call(server.port, "GET", "/api/v1/tokens", token=secrets[0])
        shown = repr(server) + repr(vars(server))
    logged = "\n".join(record.getMessage() + str(record.args) for record in caplog.records)
    for secret in (*secrets, "wrong-secret", value, value[2:]):
        assert secret not in logged
        assert secret not in shown


def test_no_secret_is_in_errors() -> None:
    env = {"RS_API_TOKEN": "hush-1", "RS_INIT_API_TOKEN": "hush-2"}
    with pytest.raises(ValueError, match="exclude") as caught:
        Server(env=env)
    assert "hush" not in "".join(traceback.format_exception(caught.value))


def test_guesses_do_not_hold_up_the_others() -> None:
    with Server(token="right") as server:
        stop = threading.Event()

        def guess() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                assert call(server.port, "GET", "/api/v1/me", token=f"w{number}").status == 401

        threads = [threading.Thread(target=guess) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            seconds = []
            for _ in range(20):
                started = time.perf_counter()
                assert call(server.port, "GET", "/api/v1/me", token="right").status == 200
                seconds.append(time.perf_counter() - started)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    # Each guess costs some 40 ms in a thread; whoever has a token does not queue behind them.
    assert sorted(seconds)[10] < 1.0


def test_body_above_its_announced_size_is_not_stored() -> None:
    with Server() as server:
        call(server.port, "POST", "/api/v1/b/x")
        with connect(server.port) as connection:
            connection.sendall(
                b"POST /api/v1/b/x/e?ts=1 HTTP/1.1\r\nx-reduct-content-length: 3\r\n"
                b"transfer-encoding: chunked\r\n\r\n"
            )
            for _ in range(200):
                connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            connection.sendall(b"0\r\n\r\n")
            assert status(read_until(connection, b"\r\n\r\n")) in (200, 400)
        reply = call(server.port, "GET", "/api/v1/b/x/e?ts=1")
        assert reply.status != 200
        assert call(server.port, "GET", "/api/v1/b/x").json["info"]["size"] < 1_000


def test_path_cannot_leave_the_store(tmp_path: Path) -> None:
    with Server(data=tmp_path / "d.sqlite") as server:
        for path in ("/api/v1/b/..%2f..%2fetc", "/api/v1/../../etc/passwd", "/ui/../../etc/passwd"):
            assert call(server.port, "GET", path).status == 404
        assert call(server.port, "POST", "/api/v1/b/..").status == 422


def test_labels_and_types_cannot_inject_headers() -> None:
    with Server() as server:
        call(server.port, "POST", "/api/v1/b/x")
        with connect(server.port) as connection:
            connection.sendall(
                b"POST /api/v1/b/x/e?ts=1 HTTP/1.1\r\ncontent-length: 1\r\n"
                b"x-reduct-label-a: b\rset-cookie: evil\r\n\r\nx"
            )
            assert status(read_until(connection, b"\r\n\r\n")) == 400


def test_threads_of_the_server_log_by_its_logger_only(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), Server() as server:
        with connect(server.port) as connection:
            connection.sendall(b"garbage\r\n\r\n")
        call(server.port, "GET", ALIVE)
    assert {record.name for record in caplog.records} <= {"reduct_local"}
