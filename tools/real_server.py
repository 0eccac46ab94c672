"""A real ReductStore server, started on a free port with its own data folder.

    with RealServer() as server:                      # without authentication
        reduct_sync.Client(server.url)
    with RealServer(token="secret", env={"RS_RWLOCK_TIMEOUT": "3"}) as server:
        reduct_sync.Client(server.url, server.token)

The binary is the one named by the environment variable REDUCT_SERVER, else the one that
`make server` built.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.exchange import status_of
from tools.ports import ReservedPort
from tools.server import binary_path

READY_SECONDS = 30.0
"""A start and an answer take 0.1 s; this guards against hangs on a loaded machine only."""

STOP_SECONDS = 10.0
"""After this long a server that was asked to stop is killed."""

PORT_ATTEMPTS = 5
"""How many ports are tried when other programs take them first."""

LOG_LINES = 40
"""How much of the log a failing test shows."""


def server_binary() -> Path:
    """Return the binary to run; absent means a failing test that says what to do."""
    binary = Path(os.environ.get("REDUCT_SERVER") or binary_path())
    if not os.access(binary, os.X_OK):
        raise FileNotFoundError(f"no ReductStore server at {binary}: run `make server`")
    return binary


class PortTakenError(Exception):
    """Another program listens on the port already."""


class RealServer:
    """One server process; a context manager that stops it and removes its data.

    Args:
        token: the full-access token that the server asks for; None switches authentication off.
        env: settings of the server (`RS_...`) on top of its defaults.
    """

    def __init__(self, token: str | None = None, *, env: Mapping[str, str] | None = None) -> None:
        self.token = token
        self.port = 0
        self._env = dict(env or {})
        self._folder = tempfile.TemporaryDirectory(prefix="reduct-test-")
        self._log = Path(self._folder.name) / "server.log"
        self._reserved: ReservedPort | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address for clients, with the base path if `env` sets one."""
        path = self._env.get("RS_API_BASE_PATH", "").strip("/")
        return f"http://127.0.0.1:{self.port}" + (f"/{path}" if path else "")

    @property
    def data_path(self) -> Path:
        """The folder with the server's data."""
        return Path(self._folder.name) / "data"

    def alive(self) -> bool:
        """Return whether the server process runs."""
        return self._process is not None and self._process.poll() is None

    def request(self, method: str, path: str, *, timeout: float = READY_SECONDS) -> int:
        """Send a bare request past the client under test and return the status of the answer."""
        return status_of(self.url, method, path, token=self.token, timeout=timeout)

    def log_tail(self) -> str:
        """Return the last lines that the server logged."""
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return "\n".join(text.splitlines()[-LOG_LINES:])

    def __enter__(self) -> Self:
        try:
            self._start_somewhere()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is not None:
            print(f"--- log of the server at {self.url} ---\n{self.log_tail()}")
        self._close()

    def start(self) -> None:
        """Start the stopped server on its port, with its data, and wait until it is ready."""
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                [server_binary()],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._watchdog = start_watchdog(self._process.pid)
        self._wait_ready()

    def stop(self) -> None:
        """Stop the server; its data and its port are kept for `start`."""
        if self._watchdog is not None:
            # Before the process is reaped: its number could belong to another one afterwards.
            self._watchdog.kill()
            self._watchdog.communicate()
            self._watchdog = None
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Stop the server and start it again with the same port and data."""
        self.stop()
        self.start()

    def _start_somewhere(self) -> None:
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self._reserve_port()
            try:
                self.start()
            except PortTakenError:
                self.stop()
                if attempt == PORT_ATTEMPTS:
                    raise
            else:
                return

    def _reserve_port(self) -> None:
        self._release_port()
        self._reserved = ReservedPort()
        self.port = self._reserved.number

    def _release_port(self) -> None:
        if self._reserved is not None:
            self._reserved.release()
            self._reserved = None

    def _environment(self) -> dict[str, str]:
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("RS_")}
        access = {"RS_DISABLE_AUTH": "true"} if self.token is None else {"RS_API_TOKEN": self.token}
        place = {
            "RS_HOST": "127.0.0.1",
            "RS_PORT": str(self.port),
            "RS_DATA_PATH": str(self.data_path),
        }
        return inherited | access | place | self._env

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers_ready():
            if not self.alive():
                if "Address already in use" in self.log_tail():
                    raise PortTakenError(self.port)
                raise RuntimeError(f"the server ended while starting:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready after {READY_SECONDS} s:\n{self.log_tail()}")
            time.sleep(0.02)

    def _answers_ready(self) -> bool:
        try:
            return self.request("GET", "/ready", timeout=1.0) == 200
        except OSError:
            return False

    def _close(self) -> None:
        self.stop()
        self._release_port()
        self._folder.cleanup()


def start_watchdog(pid: int) -> subprocess.Popen[bytes]:
    """Start a process that kills `pid` as soon as this one ends, however it ends.

    It waits for the end of a pipe that only this process holds open. PR_SET_PDEATHSIG would
    watch the starting thread instead of the process.
    """
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _; kill -KILL "$1"', "watchdog", str(pid)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
