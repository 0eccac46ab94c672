"""The real server as the tests use it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.real_server import PortTakenError, RealServer, server_binary

pytestmark = pytest.mark.real

VICTIM = """
import sys
from tools.real_server import RealServer
server = RealServer().__enter__()
print(server._process.pid, flush=True)
sys.stdin.read()
"""


def test_restart_keeps_port_and_data() -> None:
    with RealServer() as server:
        url = server.url
        assert server.request("POST", "/b/kept") == 200
        server.restart()
        assert server.url == url
        assert server.alive()
        assert server.request("HEAD", "/b/kept") == 200
        server.stop()
        assert not server.alive()
        server.start()
        assert server.request("HEAD", "/b/kept") == 200
    assert not server.alive()
    assert not server.data_path.exists()


def test_token_is_asked_for() -> None:
    with RealServer(token="secret") as server:
        assert server.request("GET", "/list") == 200
        server.token = "wrong"
        assert server.request("GET", "/list") == 401
        server.token = None
        assert server.request("GET", "/list") == 401


def test_settings_reach_the_server() -> None:
    with RealServer(env={"RS_RATE_LIMIT_API": "1/h"}) as server:
        assert server.request("GET", "/list") == 429


def test_log_is_shown_on_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), RealServer() as server:
        raise ZeroDivisionError
    assert f"log of the server at {server.url}" in (shown := capsys.readouterr().out)
    assert "ReductStore Core" in shown


def test_settings_that_the_server_refuses_are_an_error() -> None:
    with (
        pytest.raises(RuntimeError, match="ended while starting"),
        RealServer(env={"RS_DATA_PATH": "/dev/null/data"}),
    ):
        pytest.fail("the server started")


def test_taken_port_is_seen() -> None:
    with RealServer() as server, socket.socket() as listener:
        server.stop()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", server.port))
        listener.listen()
        with pytest.raises(PortTakenError):
            server.start()


class Unlucky(RealServer):
    """Finds its first port taken."""

    def __init__(self, taken: int) -> None:
        super().__init__()
        self.tried: list[int] = []
        self._taken = taken

    def _reserve_port(self) -> None:
        super()._reserve_port()
        if not self.tried:
            self.port = self._taken
        self.tried.append(self.port)


def test_another_port_is_tried_when_one_was_taken() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with Unlucky(listener.getsockname()[1]) as server:
            assert server.request("GET", "/list") == 200
            assert len(server.tried) == 2


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_server_ends_with_a_killed_test_run(how: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", VICTIM],
        cwd=Path(__file__).parent.parent,
        # Nobody removes the data of a killed run.
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as victim:
        assert victim.stdout is not None
        pid = int(victim.stdout.readline())
        os.kill(pid, 0)
        victim.send_signal(how)
    deadline = time.monotonic() + 30
    while runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_absent_binary_fails_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDUCT_SERVER", str(tmp_path / "absent"))
    with pytest.raises(FileNotFoundError, match="run `make server`"):
        server_binary()
