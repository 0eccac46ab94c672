"""Faults on purpose act on the bytes of real connections, and only where they should."""

import select
import threading
from collections.abc import Iterator

import pytest

from reduct_local import Server
from reduct_local.faults import Faults
from tests.local.wire_calls import call, connect, read_all, read_to_end, read_until, status

ALIVE = "/api/v1/alive"


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    yield shared
    shared.faults.clear()


def request(path: str = "/api/v1/info", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


def whole_answer(server: Server) -> bytes:
    with connect(server.port) as connection:
        connection.sendall(request().replace(b"host: x", b"connection: close"))
        return read_all(connection)


def test_status_is_answered_as_many_times_as_said(server: Server) -> None:
    server.faults.status(503, times=2)
    replies = [call(server.port, "GET", ALIVE) for _ in range(3)]
    assert [reply.status for reply in replies] == [503, 503, 200]
    assert replies[0].error == "Injected fault"


def test_status_keeps_the_request_from_being_done(server: Server) -> None:
    server.faults.status(500, "disk on fire", times=1)
    assert call(server.port, "POST", "/api/v1/b/faulty").error == "disk on fire"
    assert call(server.port, "GET", "/api/v1/b/faulty").status == 404


def test_status_takes_the_body_off_the_connection(server: Server) -> None:
    server.faults.status(503, times=1)
    with connect(server.port) as connection:
        connection.sendall(b"POST /api/v1/b/f HTTP/1.1\r\ncontent-length: 200000\r\n\r\n")
        connection.sendall(b"x" * 200_000)
        assert status(read_until(connection, b"}")) == 503
        connection.sendall(request(ALIVE))
        assert status(read_until(connection, b"\r\n\r\n")) == 200


def test_rate_limit_tells_the_seconds_to_wait(server: Server) -> None:
    server.faults.rate_limit(7, times=1)
    reply = call(server.port, "GET", ALIVE)
    assert reply.status == 429
    assert reply.error.endswith("retry_after=7s")
    assert "x-reduct-api" not in reply.headers


def test_delay_holds_one_request_and_not_the_others(server: Server) -> None:
    server.faults.delay(2.0, path="/api/v1/info")
    with connect(server.port) as slow:
        slow.sendall(request())
        assert call(server.port, "GET", ALIVE).status == 200
        assert select.select([slow], [], [], 0)[0] == []
        assert status(read_until(slow, b"\r\n\r\n")) == 200


@pytest.mark.parametrize("size", [0, 1, 40, 300])
def test_truncated_answer_ends_in_order(server: Server, size: int) -> None:
    whole = whole_answer(server)
    server.faults.truncate_after(size, times=1)
    with connect(server.port) as connection:
        connection.sendall(request())
        received, error = read_to_end(connection)
    assert error is None
    assert len(received) == size
    assert received[:20] == whole[:20][:size]


@pytest.mark.parametrize("size", [0, 1, 40, 300])
def test_reset_answer_ends_in_a_reset(server: Server, size: int) -> None:
    server.faults.reset_after(size, times=1)
    with connect(server.port) as connection:
        connection.sendall(request())
        received, error = read_to_end(connection)
    assert isinstance(error, ConnectionResetError)
    assert len(received) == size


def test_reset_comes_after_the_request_was_done(server: Server) -> None:
    server.faults.reset_after(0, times=1)
    with pytest.raises(ConnectionResetError):
        call(server.port, "POST", "/api/v1/b/done")
    assert call(server.port, "GET", "/api/v1/b/done").status == 200


def test_stalled_answer_leaves_the_connection_open(server: Server) -> None:
    server.faults.stall_after(25, times=1)
    with connect(server.port) as connection:
        connection.sendall(request())
        connection.settimeout(0.5)
        received, error = read_to_end(connection)
        assert isinstance(error, TimeoutError)
        assert len(received) == 25
    assert call(server.port, "GET", ALIVE).status == 200


def test_fault_hits_the_second_request_of_a_connection(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(request(ALIVE))
        assert status(read_until(connection, b"\r\n\r\n")) == 200
        server.faults.truncate_after(10)
        connection.sendall(request(ALIVE))
        assert read_all(connection) == b"HTTP/1.1 2"


def test_large_answer_is_cut_in_its_middle(server: Server) -> None:
    call(server.port, "POST", "/api/v1/b/large")
    call(server.port, "POST", "/api/v1/b/large/e?ts=1", b"x" * 3_000_000)
    server.faults.truncate_after(2_000_000, times=1)
    with connect(server.port) as connection:
        connection.sendall(request("/api/v1/b/large/e?ts=1"))
        assert len(read_all(connection)) == 2_000_000


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        (None, "*", 503),
        ("GET", "*", 503),
        ("get", "/api/v1/*", 503),
        ("POST", "*", 200),
        ("GET", "/api/v1/b/*", 200),
        (None, "/api/v1/aliv", 200),
    ],
)
def test_fault_is_limited_to_method_and_path(
    server: Server, method: str | None, path: str, expected: int
) -> None:
    server.faults.status(503, method=method, path=path)
    assert call(server.port, "GET", ALIVE + "?x=1").status == expected


def test_clear_ends_all_faults(server: Server) -> None:
    server.faults.status(503)
    server.faults.truncate_after(3)
    server.faults.clear()
    assert not server.faults.active
    assert call(server.port, "GET", ALIVE).status == 200


def test_several_faults_act_together_and_later_ones_win() -> None:
    faults = Faults()
    faults.delay(1.5)
    faults.status(500)
    faults.status(502)
    faults.stall_after(3, method="PUT")
    plan = faults.take("GET", "/x")
    assert plan is not None
    assert (plan.delay, plan.status, plan.cut) == (1.5, 502, None)


def test_each_time_is_used_once_by_many_threads() -> None:
    faults = Faults()
    faults.status(503, times=200)
    plans = []

    def take() -> None:
        plans.extend([faults.take("GET", "/") for _ in range(100)])

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(plan is not None for plan in plans) == 200
    assert not faults.active


def test_senseless_faults_are_refused() -> None:
    faults = Faults()
    with pytest.raises(ValueError, match="negative"):
        faults.delay(-1)
    with pytest.raises(ValueError, match="error"):
        faults.status(200)
    with pytest.raises(ValueError, match="bytes"):
        faults.reset_after(-1)
    with pytest.raises(ValueError, match="times"):
        faults.status(503, times=0)
    with pytest.raises(ValueError, match="wait"):
        faults.rate_limit(-1)
    assert not faults.active
