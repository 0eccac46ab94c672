"""The command `reduct-local`."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.local.wire_calls import TIMEOUT, call

COMMAND = [sys.executable, "-m", "reduct_local"]


def environment(**settings: str) -> dict[str, str]:
    """The process's environment with these settings as its only ones of the server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RS_")}
    return {**kept, **settings}


@contextmanager
def running(*options: str, **settings: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [*COMMAND, *options],
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def url_of(process: "subprocess.Popen[str]") -> str:
    """Wait for the line that says that the server is ready."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line.startswith("http://"), process.communicate()
    return line


def port_of(process: "subprocess.Popen[str]") -> int:
    return int(url_of(process).split(":")[2].split("/")[0])


def failing(*options: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that must not start."""
    return subprocess.run(
        [*COMMAND, *options],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_prints_the_url_and_stops_cleanly(number: signal.Signals) -> None:
    with running("--port", "0") as process:
        url = url_of(process)
        assert call(int(url.rsplit(":", 1)[1]), "GET", "/api/v1/info").status == 200
        process.send_signal(number)
        out, error = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert (out, error) == ("", "")


def test_installed_command_is_the_same(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("reduct-local")
    ended = subprocess.run([command, "--help"], capture_output=True, text=True, timeout=TIMEOUT)
    assert ended.returncode == 0
    for option in ("--host", "--port", "--data", "--token"):
        assert option in ended.stdout


def test_options(tmp_path: Path) -> None:
    file = tmp_path / "data.sqlite"
    with running("--port", "0", "--data", str(file), "--token", "secret") as process:
        port = port_of(process)
        assert call(port, "GET", "/api/v1/info").status == 401
        assert call(port, "POST", "/api/v1/b/x", token="secret").status == 200
        process.terminate()
        process.wait(TIMEOUT)
    with running("--port", "0", "--data", str(file), "--token", "secret") as process:
        assert call(port_of(process), "GET", "/api/v1/b/x", token="secret").status == 200


def test_environment(tmp_path: Path) -> None:
    settings = {
        "RS_PORT": "0",
        "RS_API_TOKEN": "secret",
        "RS_API_BASE_PATH": "/store/",
        "RS_DATA_PATH": str(tmp_path),
        "RS_LOG_LEVEL": "",
    }
    with running(**settings) as process:
        url = url_of(process)
        assert url.endswith("/store")
        port = int(url.split(":")[2].split("/")[0])
        assert call(port, "GET", "/store/api/v1/info", token="secret").status == 200
    assert list(tmp_path.glob("reduct.sqlite*"))


def test_options_win_over_the_environment() -> None:
    with running("--token", "mine", "--port", "0", RS_API_TOKEN="other", RS_PORT="1") as process:
        port = port_of(process)
        assert call(port, "GET", "/api/v1/me", token="mine").status == 200
        assert call(port, "GET", "/api/v1/me", token="other").status == 401


def test_taken_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = failing("--port", str(port))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"reduct-local: cannot listen on 127.0.0.1:{port}:")
    assert len(ended.stderr.splitlines()) == 1


def test_data_file_in_use(tmp_path: Path) -> None:
    file = str(tmp_path / "data.sqlite")
    with running("--port", "0", "--data", file) as process:
        url_of(process)
        ended = failing("--port", "0", "--data", file)
    assert ended.returncode == 1
    assert file in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "settings", "told"),
    [
        (["--port", "70000"], {}, "between 0 and 65535"),
        (["--port", "x"], {}, "--port"),
        (["--unknown"], {}, "--unknown"),
        (["--token", ""], {}, "token is empty"),
        (["--host", "0.0.0.0"], {}, "without a token"),
        ([], {"RS_HOST": "0.0.0.0"}, "without a token"),
        ([], {"RS_PORT": "x"}, "RS_PORT"),
        ([], {"RS_API_TOKEN": "a", "RS_INIT_API_TOKEN": "b"}, "exclude each other"),
        ([], {"RS_CERT_PATH": "x.pem"}, "TLS"),
        ([], {"RS_INSTANCE_ROLE": "REPLICA"}, "STANDALONE"),
        ([], {"RS_LOG_LEVEL": "LOUD"}, "RS_LOG_LEVEL"),
    ],
)
def test_bad_options(options: list[str], settings: dict[str, str], told: str) -> None:
    ended = failing(*options, **settings)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_unknown_settings_are_warned_of() -> None:
    with running("--port", "0", RS_LICENSE_PATH="x") as process:
        url_of(process)
        process.terminate()
        _out, error = process.communicate(timeout=TIMEOUT)
    assert "RS_LICENSE_PATH has no effect" in error
