"""The embedded server: a thread of the caller that serves on a loopback port."""

import asyncio
import atexit
import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Future
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Self

from anyio import to_thread
from uvicorn.config import Config as UvicornConfig
from uvicorn.server import ServerState

from reduct_local.api.common import State
from reduct_local.app import create_app
from reduct_local.auth import Auth
from reduct_local.clock import Clock
from reduct_local.config import Config, read_config
from reduct_local.engine import Engine
from reduct_local.errors import ApiError
from reduct_local.faults import Faults
from reduct_local.lifecycles import Lifecycles
from reduct_local.limits import Limits
from reduct_local.queries import Queries
from reduct_local.replications import Replications
from reduct_local.wire import IDLE_SECONDS, Protocol, WithFaults

logger = logging.getLogger("reduct_local")

STOP_SECONDS = 2.0
"""How long requests in work may take when the server is closed."""

_REMOVAL_DELAY = 0.005
"""Seconds for which a removed bucket or entry is DELETING, at least."""

_BACKLOG = 1024

_ACCEPT_TURNS = 5
"""How many turns asyncio takes from accepting a connection to its protocol, at most."""


class Server:
    """A ReductStore server in a thread of this process.

        with Server() as server:
            client = reduct_sync.Client(server.url, server.token)

    Also `async with`, or `start()` and `close()`. Data is kept in memory without `data`. Any
    number of servers may run side by side; one object runs once.

    Args:
        token: the full-access token that requests must carry; None asks for none.
        data: the file that keeps the data, created if missing; a folder gets one in it.
        host: the address to listen on, 127.0.0.1 by default; another one needs a token.
        port: the port to listen on; 0 takes a free one.
        env: settings by the names of the real server's environment variables (`RS_...`); the
            process's own environment is not read. The other arguments win over it.
        clock: what time it is, for expiry and lifecycles; the machine's by default.

    Raises ConfigError (a ValueError) for settings that cannot be used.
    """

    def __init__(
        self,
        *,
        token: str | None = None,
        data: str | os.PathLike[str] | None = None,
        host: str | None = None,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        path = None if data is None else Path(data)
        self._config = read_config(env or {}, host=host, port=port, data=path, token=token)
        self._clock = clock or Clock()
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.faults = Faults()
        """What goes wrong on purpose."""
        self.port = 0
        """The port it listens on, once started."""

    def __repr__(self) -> str:
        return f"<Server {self.url}>" if self.port else "<Server, not started>"

    @property
    def url(self) -> str:
        """The address for clients, with the base path; RuntimeError before the start."""
        if not self.port:
            raise RuntimeError("the server is not started: use `with Server() as server`")
        host = self._config.host
        if host in ("0.0.0.0", "::"):
            host = "localhost"
        if ":" in host:
            host = f"[{host}]"
        return f"http://{host}:{self.port}{self._config.base_path.rstrip('/')}"

    @property
    def token(self) -> str | None:
        """The value of the full-access token that clients need; None without authentication."""
        tokens = self._config.tokens
        return tokens[0].value if tokens else None

    # -- Life -----------------------------------------------------------------

    def start(self) -> Self:
        """Start to serve; returns when requests are answered.

        Raises OSError where the port is taken, RuntimeError where the data file is in use.
        """
        if self._thread is not None:
            raise RuntimeError("a server runs once: make another one")
        self._socket = _listen(self._config.host, self._config.port)
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(self._socket, ready), name="reduct-local", daemon=True
        )
        self._thread.start()
        try:
            ready.result()
        except BaseException:
            self._socket.close()
            self._thread.join()
            raise
        self.port = self._socket.getsockname()[1]
        atexit.register(self.close)
        return self

    def close(self) -> None:
        """Stop to serve and close the data file; requests in work may take 2 s more.

        A second call does nothing.
        """
        loop, stop, thread = self._loop, self._stop, self._thread
        if loop is None or stop is None or thread is None:
            return
        atexit.unregister(self.close)
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stop.set)
        thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await to_thread.run_sync(self.start)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await to_thread.run_sync(self.close)

    # -- The thread -----------------------------------------------------------

    def _run(self, listener: socket.socket, ready: "Future[None]") -> None:
        try:
            asyncio.run(self._serve(listener, ready))
        except BaseException as error:
            if ready.done():
                logger.exception("the server ended")
            else:
                ready.set_exception(error)

    async def _serve(self, listener: socket.socket, ready: "Future[None]") -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with _state(self._config, self._clock) as state:
            connections = _Connections(state, self.faults)
            async with connections.accept(listener):
                ready.set_result(None)
                await self._stop.wait()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else str(error)
        raise OSError(number, f"cannot listen on {host}:{port}: {reason}") from None


@contextlib.asynccontextmanager
async def _state(config: Config, clock: Clock) -> AsyncIterator[State]:
    """Open everything that a server owns; close it at the end."""
    engine = Engine(
        config.data, clock=clock, defaults=config.defaults, max_storage=config.max_storage
    )
    removals = _Removals(engine)
    try:
        _provide_buckets(engine, config)
        state = State(
            config=config,
            clock=clock,
            engine=engine,
            queries=Queries(engine, clock, config.io),
            auth=Auth(engine, clock, config.tokens),
            limits=Limits(
                clock,
                api=config.api_limit,
                ingress=config.ingress_limit,
                egress=config.egress_limit,
            ),
            replications=Replications(
                engine,
                clock,
                limits=config.io,
                log_size=config.replication_log_size,
                retry_seconds=config.replication_retry,
            ),
            lifecycles=Lifecycles(engine, clock),
            writers=asyncio.Semaphore(config.max_writers) if config.max_writers else None,
            started=time.monotonic(),
            after_removal=removals.schedule,
        )
        # Some may be left from the last run.
        removals.schedule()
        state.replications.start()
        state.lifecycles.start()
        try:
            yield state
        finally:
            await state.lifecycles.close()
            await state.replications.close()
    finally:
        removals.stop()
        engine.close()


def _provide_buckets(engine: Engine, config: Config) -> None:
    """Create or change the buckets of the configuration, and protect them."""
    for name, settings in config.buckets:
        try:
            engine.create_bucket(name, settings)
        except ApiError as error:
            if error.status != 409:
                raise RuntimeError(f"cannot provide bucket {name!r}: {error.message}") from error
            engine.change_settings(name, settings)
        engine.set_provisioned(name)


class _Removals:
    """The background part of removals, in small steps between requests."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._timer: asyncio.TimerHandle | None = None

    def schedule(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_REMOVAL_DELAY, self._step)

    def stop(self) -> None:
        """Do no more steps; the next run of the server goes on with them."""
        if self._timer is not None:
            self._timer.cancel()

    def _step(self) -> None:
        self._timer = None
        if self._engine.finish_removals():
            self.schedule()


class _Connections:
    """The connections of a server, and the requests in work."""

    def __init__(self, state: State, faults: Faults) -> None:
        config = UvicornConfig(
            WithFaults(create_app(state)),
            loop="none",
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            interface="asgi3",
            proxy_headers=False,
            timeout_keep_alive=IDLE_SECONDS,
        )
        config.load()
        self._queries = state.queries
        self._state = ServerState()
        self._new = lambda: Protocol(config, self._state, faults, state.config.header_lines)

    @contextlib.asynccontextmanager
    async def accept(self, listener: socket.socket) -> AsyncIterator[None]:
        """Accept connections while the context is open."""
        loop = asyncio.get_running_loop()
        self._tell_date(loop)
        server = await loop.create_server(self._new, sock=listener, backlog=_BACKLOG)
        try:
            yield
        finally:
            # Readers that wait for news would be waited for.
            self._queries.close()
            # A connection that was accepted just now would be lost unclosed if asyncio closed
            # the server before the connection has its protocol some turns later.
            with contextlib.suppress(NotImplementedError):  # loops without readers
                loop.remove_reader(listener)
            for _ in range(_ACCEPT_TURNS):
                await asyncio.sleep(0)
            server.close()
            await self._end()

    def _tell_date(self, loop: asyncio.AbstractEventLoop) -> None:
        """Put the time into all answers of the next second."""
        self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        loop.call_later(1.0, self._tell_date, loop)

    async def _end(self) -> None:
        """Close idle connections at once, the others after their answers or some time."""
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks), timeout=STOP_SECONDS)
        while self._state.connections:
            for connection in list(self._state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
