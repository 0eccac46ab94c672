"""The servers that the behaviour is tested on, behind one interface.

A test takes the fixtures `server` and `auth_server`, or starts a server of its own:

    def test_restart(new_server: NewServer) -> None:
        with new_server(token="secret", env={"RS_API_BASE_PATH": "/store"}) as server:
            server.restart()

No test asks which server it has got. The command line says where the suite runs: `--server local`
(the default) is the embedded one in this process, `--server real` the real one, `--server both`
runs every test that uses a server twice.
"""

import collections
import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import reduct_local
from tools.exchange import status_of
from tools.ports import ReservedPort
from tools.real_server import LOG_LINES, RealServer

CHOICES = {"local": ["local"], "real": ["real"], "both": ["local", "real"]}
"""Which servers each value of the option `--server` stands for."""

FULL_ACCESS = "full-access-token"
"""The token of the shared server that asks for one."""


class Server(Protocol):
    """One server, a context manager that stops it and removes its data.

    Attributes:
        token: what the server asks for; None switches authentication off.
        port: where it listens on 127.0.0.1.
    """

    token: str | None
    port: int

    @property
    def url(self) -> str:
        """The address for clients, with the base path if there is one."""
        ...

    def alive(self) -> bool:
        """Return whether the server runs."""
        ...

    def request(self, method: str, path: str, *, timeout: float = ...) -> int:
        """Send a bare request past the client under test and return the status of the answer."""
        ...

    def log_tail(self) -> str:
        """Return the last lines that the server logged."""
        ...

    def start(self) -> None:
        """Start the stopped server on its port, with its data, and wait until it is ready."""
        ...

    def stop(self) -> None:
        """Stop the server; its data and its port are kept for `start`."""
        ...

    def restart(self) -> None:
        """Stop the server and start it again with the same port and data."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None: ...


class NewServer(Protocol):
    """Makes servers of the kind that a test runs on; entering one starts it."""

    def __call__(
        self, token: str | None = None, *, env: Mapping[str, str] | None = None
    ) -> Server: ...


class EmbeddedServer:
    """The embedded server in a thread of this process, with its data in a file.

    Args:
        token: the full-access token that the server asks for; None switches authentication off.
        env: settings of the server (`RS_...`) on top of its defaults.
    """

    def __init__(self, token: str | None = None, *, env: Mapping[str, str] | None = None) -> None:
        self.token = token
        self.port = 0
        self._env = dict(env or {})
        self._resources = ExitStack()
        self._data = Path()
        self._log = LastLines()
        self._running: reduct_local.Server | None = None

    @property
    def url(self) -> str:
        """The address for clients, with the base path if `env` sets one."""
        path = self._env.get("RS_API_BASE_PATH", "").strip("/")
        return f"http://127.0.0.1:{self.port}" + (f"/{path}" if path else "")

    def alive(self) -> bool:
        """Return whether the server runs."""
        return self._running is not None

    def request(self, method: str, path: str, *, timeout: float = 30.0) -> int:
        """Send a bare request past the client under test and return the status of the answer."""
        return status_of(self.url, method, path, token=self.token, timeout=timeout)

    def log_tail(self) -> str:
        """Return the last lines that the server logged."""
        return "\n".join(self._log.lines)

    def start(self) -> None:
        """Start the stopped server on its port, with its data."""
        server = reduct_local.Server(
            token=self.token, data=self._data, port=self.port, env=self._env
        )
        self._running = server.start()

    def stop(self) -> None:
        """Stop the server; its data and its port are kept for `start`."""
        server, self._running = self._running, None
        if server is not None:
            server.close()

    def restart(self) -> None:
        """Stop the server and start it again with the same port and data."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            folder = resources.enter_context(tempfile.TemporaryDirectory(prefix="reduct-test-"))
            self._data = Path(folder) / "data.sqlite"
            reserved = ReservedPort()
            resources.callback(reserved.release)
            self.port = reserved.number
            resources.enter_context(self._log.listening())
            resources.callback(self.stop)
            self.start()
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._resources.close()


class LastLines(logging.Handler):
    """Keeps the last lines of the log of all embedded servers.

    Attributes:
        lines: the formatted lines, oldest first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines = collections.deque[str](maxlen=LOG_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(self.format(record))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Attach to the logger of the embedded server while the block runs."""
        logger = logging.getLogger("reduct_local")
        logger.addHandler(self)
        try:
            yield
        finally:
            logger.removeHandler(self)


KINDS: dict[str, type[EmbeddedServer] | type[RealServer]] = {
    "local": EmbeddedServer,
    "real": RealServer,
}


class SharedServers:
    """The servers that all tests share, each started when a test first asks for it."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, str | None], Server] = {}
        self._resources = ExitStack()

    def get(self, kind: str, token: str | None = None) -> Server:
        """Return the running server of a kind, with or without a token."""
        if (kind, token) not in self._running:
            server: Server = KINDS[kind](token)
            self._running[kind, token] = self._resources.enter_context(server)
        return self._running[kind, token]

    def close(self) -> None:
        """Stop all of them."""
        self._resources.close()
