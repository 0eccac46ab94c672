"""Our transports by themselves: connections kept, limited, replaced, timed, cancelled, closed."""

import asyncio
import contextlib
import gc
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import httpx
import pytest
import trustme
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

import reduct_async
import reduct_sync
from reduct_core.pool import Pool
from tests.flavours import Flavour
from tests.recording import until
from tests.scripted_server import (
    DEADLINE,
    FINISH,
    HEAD,
    HOLD,
    REQUEST,
    RESET,
    Pause,
    Script,
    ScriptedServer,
    Tls,
    answer,
    refusing,
)

HELLO = answer(b"hello")

SHORT = 0.2
"""Seconds that a test waits for a timeout."""


@define
class Sender:
    """A transport of a flavour, in an httpx client of that flavour."""

    flavour: Flavour
    transport: Any
    client: Any

    async def request(self, method: str, url: str, **kwargs: Any) -> httpx.Response:
        """Send a request and read the response."""
        if self.flavour.name == "async":
            response = await self.client.request(method, url, **kwargs)
        else:
            response = await anyio.to_thread.run_sync(
                lambda: self.client.request(method, url, **kwargs)
            )
        assert isinstance(response, httpx.Response)
        return response

    async def get(self, url: str, **kwargs: Any) -> bytes:
        """Return the body that is at `url`."""
        return (await self.request("GET", url, **kwargs)).content

    async def open(self, url: str) -> Callable[[], Any]:
        """Send a request, leave the response unread; return what closes it."""
        request = self.client.build_request("GET", url)
        if self.flavour.name == "async":
            response = await self.client.send(request, stream=True)
            return response.aclose  # type: ignore[no-any-return]
        response = await anyio.to_thread.run_sync(lambda: self.client.send(request, stream=True))

        async def close() -> None:
            response.close()

        return close

    async def close(self) -> None:
        """Close the transport."""
        if self.flavour.name == "async":
            await self.transport.aclose()
        else:
            await anyio.to_thread.run_sync(self.transport.close)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Connections in use, idle ones, and exchanges that wait."""
        found: tuple[int, int, int] = self.transport._pool.counts
        return found


@pytest.fixture
async def make(flavour: Flavour) -> AsyncIterator[Callable[..., Sender]]:
    """Make transports, which are closed after the test."""
    senders: list[Sender] = []

    def one(timeout: httpx.Timeout | float = DEADLINE, **kwargs: Any) -> Sender:
        transport = flavour.package.Transport(**kwargs)
        kind = httpx.Client if flavour.name == "sync" else httpx.AsyncClient
        client: Any = kind(transport=transport, timeout=timeout)
        senders.append(Sender(flavour, transport, client))
        return senders[-1]

    yield one
    for sender in senders:
        await sender.close()
    gc.collect()


Make = Callable[..., Sender]


# --- keeping connections -------------------------------------------------------------------


async def test_connections_are_kept(make: Make) -> None:
    with ScriptedServer([REQUEST, HELLO] * 3) as server:
        sender = make()
        for _ in range(3):
            assert await sender.get(server.url) == b"hello"
        assert server.connections == 1
        assert sender.counts == (0, 1, 0)


async def test_t24_answers_without_a_body_keep_the_connection(make: Make) -> None:
    """The server announces the length of a body that it does not send."""
    script: Script = [
        REQUEST,
        answer(status=204, length=24),
        REQUEST,
        answer(status=304, length=24),
        REQUEST,
        answer(length=1_000_000),
        REQUEST,
        HELLO,
    ]
    with ScriptedServer(script) as server:
        sender = make()
        for method in ("GET", "GET", "HEAD"):
            assert (await sender.request(method, server.url)).content == b""
        assert await sender.get(server.url) == b"hello"
        assert server.connections == 1


@pytest.mark.parametrize("surplus", [b"x", b"\r\n", HELLO])
async def test_bytes_after_an_answer_are_nobodys(make: Make, surplus: bytes) -> None:
    """They are no part of the next answer, however late they come."""
    for pause in (Pause(0), Pause(0.02)):
        with ScriptedServer([REQUEST, answer(b"one"), pause, surplus, HOLD], [REQUEST, HELLO]) as s:
            sender = make()
            assert await sender.get(s.url) == b"one"
            await anyio.sleep(0.1)
            assert await sender.get(s.url) == b"hello"
            assert s.connections == 2


@pytest.mark.parametrize("end", [FINISH, RESET], ids=["finish", "reset"])
async def test_connections_that_ended_meanwhile_are_replaced(make: Make, end: Any) -> None:
    with ScriptedServer([REQUEST, HELLO, end], [REQUEST, HELLO]) as server:
        sender = make()
        assert await sender.get(server.url) == b"hello"
        await until(lambda: server.finished == 1)
        assert (await sender.request("POST", server.url, content=b"data")).content == b"hello"
        assert [request.body for request in server.requests] == [b"", b"data"]


async def test_blocked_event_loops_see_the_end_as_well(make: Make) -> None:
    """A connection may end while the event loop does not run."""
    with ScriptedServer([REQUEST, HELLO, FINISH], [REQUEST, HELLO]) as server:
        sender = make()
        assert await sender.get(server.url) == b"hello"
        deadline = time.monotonic() + DEADLINE
        while server.finished < 1:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert await sender.get(server.url) == b"hello"


async def test_unread_answers_end_their_connection(make: Make) -> None:
    with ScriptedServer([REQUEST, answer(b"begin", length=100), HOLD], [REQUEST, HELLO]) as server:
        sender = make()
        close = await sender.open(server.url)
        assert sender.counts == (1, 0, 0)
        await close()
        assert sender.counts == (0, 0, 0)
        assert await sender.get(server.url) == b"hello"


# --- limits --------------------------------------------------------------------------------


async def test_most_connections(make: Make) -> None:
    """Those who wait are served in order; nobody opens one more."""
    with ScriptedServer([REQUEST, Pause(0.01), HELLO] * 40) as server:
        sender = make(limits=httpx.Limits(max_connections=2))
        bodies = await gathered(*[lambda: sender.get(server.url)] * 20)
        assert bodies == [b"hello"] * 20
        assert server.connections <= 2
        assert sender.counts == (0, server.connections, 0)


async def gathered(*calls: Callable[[], Any]) -> list[Any]:
    return await asyncio.gather(*(call() for call in calls))


@pytest.mark.parametrize("most", [0, 1, 2])
async def test_most_idle_connections(make: Make, most: int) -> None:
    with ScriptedServer([REQUEST, Pause(0.05), HELLO, FINISH]) as server:
        sender = make(limits=httpx.Limits(max_keepalive_connections=most))
        await gathered(*[lambda: sender.get(server.url)] * 4)
        assert sender.counts[1] <= most


async def test_idle_connections_expire(make: Make) -> None:
    with ScriptedServer([REQUEST, HELLO, REQUEST, HELLO]) as server:
        sender = make(limits=httpx.Limits(keepalive_expiry=0.05))
        await sender.get(server.url)
        await anyio.sleep(0.1)
        await sender.get(server.url)
        assert server.connections == 2


async def test_idle_connections_make_room_for_other_servers(make: Make) -> None:
    with ScriptedServer([REQUEST, HELLO]) as one, ScriptedServer([REQUEST, HELLO]) as two:
        sender = make(limits=httpx.Limits(max_connections=1))
        assert await sender.get(one.url) == b"hello"
        assert await sender.get(two.url) == b"hello"
        assert sender.counts == (0, 1, 0)


# --- timeouts ------------------------------------------------------------------------------


async def test_read_timeout(make: Make) -> None:
    scripts: list[Script] = [[REQUEST, HELLO[:end], HOLD] for end in (0, 20, -2)]
    for script in scripts:
        with ScriptedServer(script, [REQUEST, HELLO]) as server:
            sender = make(httpx.Timeout(DEADLINE, read=SHORT))
            with pytest.raises(httpx.ReadTimeout):
                await sender.get(server.url)
            assert sender.counts == (0, 0, 0)
            assert await sender.get(server.url) == b"hello"


async def test_write_timeout(make: Make) -> None:
    with ScriptedServer([HEAD, HOLD]) as server:
        sender = make(httpx.Timeout(DEADLINE, write=SHORT))
        with pytest.raises(httpx.WriteTimeout):
            await sender.request("POST", server.url, content=bytes(64_000_000))
        assert sender.counts == (0, 0, 0)


async def test_pool_timeout(make: Make) -> None:
    with ScriptedServer([REQUEST, answer(b"x", length=9), HOLD], [REQUEST, HELLO]) as server:
        sender = make(httpx.Timeout(DEADLINE, pool=SHORT), limits=httpx.Limits(max_connections=1))
        close = await sender.open(server.url)
        with pytest.raises(httpx.PoolTimeout):
            await sender.get(server.url)
        assert sender.counts == (1, 0, 0)
        await close()
        assert await sender.get(server.url) == b"hello"


async def test_connect_timeout(make: Make) -> None:
    """A server that accepts nothing: the queue of its listener is full."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        sender = make(httpx.Timeout(DEADLINE, connect=SHORT))
        with pytest.raises(httpx.ConnectTimeout):
            await sender.get(f"http://127.0.0.1:{address[1]}")
        assert sender.counts == (0, 0, 0)


async def test_slow_handshakes_time_out(make: Make) -> None:
    with ScriptedServer([HOLD]) as server:
        sender = make(httpx.Timeout(DEADLINE, connect=SHORT))
        with pytest.raises(httpx.ConnectTimeout):
            await sender.get(server.url.replace("http", "https"))


async def test_refused_connections(make: Make) -> None:
    with refusing() as url:
        sender = make()
        with pytest.raises(httpx.ConnectError):
            await sender.get(url)
        assert sender.counts == (0, 0, 0)


async def test_each_byte_starts_the_clock_anew(make: Make) -> None:
    pieces = [step for byte in HELLO[-5:] for step in (Pause(SHORT / 3), bytes([byte]))]
    with ScriptedServer([REQUEST, HELLO[:-5], *pieces]) as server:
        assert await make(httpx.Timeout(SHORT)).get(server.url) == b"hello"


# --- early answers -------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 413, 431])
@pytest.mark.parametrize("end", [FINISH, HOLD, RESET], ids=["finish", "hold", "reset"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_t21_early_answers(make: Make, status: int, end: Any, streamed: bool) -> None:
    """The server answers while the body is on its way, and reads no further."""
    early = answer(b"the reason", status)
    with ScriptedServer([HEAD, early, Pause(0.05), end], [REQUEST, HELLO]) as server:
        sender = make()
        data: Any = bytes(40_000_000)
        if streamed:
            data = chunks(sender.flavour, 640)
        response = await sender.request("POST", server.url, content=data)
        assert (response.status_code, response.content) == (status, b"the reason")
        assert sender.counts == (0, 0, 0)
        assert await sender.get(server.url) == b"hello"


def chunks(flavour: Flavour, count: int) -> Any:
    """Return a body of many pieces."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield bytes(65_536)

    def blocking() -> Iterator[bytes]:
        for _ in range(count):
            yield bytes(65_536)

    return pieces() if flavour.name == "async" else blocking()


async def test_interim_answers_do_not_stop_a_body(make: Make) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    with ScriptedServer([interim, Pause(0.02), REQUEST, HELLO] * 2) as server:
        sender = make()
        response = await sender.request("POST", server.url, content=bytes(5_000_000))
        assert response.content == b"hello"
        assert len(server.requests[0].body) == 5_000_000


async def test_errors_of_a_body_come_through(make: Make) -> None:
    with ScriptedServer([HEAD, HOLD], [REQUEST, HELLO]) as server:
        sender = make()

        async def pieces() -> AsyncIterator[bytes]:
            yield bytes(100_000)
            raise KeyError("mine")

        def blocking() -> Iterator[bytes]:
            yield bytes(100_000)
            raise KeyError("mine")

        content = pieces() if sender.flavour.name == "async" else blocking()
        with pytest.raises(KeyError, match="mine"):
            await sender.request("POST", server.url, content=content)
        assert sender.counts == (0, 0, 0)
        assert await sender.get(server.url) == b"hello"


# --- TLS and addresses ---------------------------------------------------------------------


async def test_tls_and_the_name_of_the_server(make: Make) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "other.test").configure_cert(context)
    names: list[str | None] = []
    context.sni_callback = lambda _object, name, _context: names.append(name)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    body = bytes(3_000_000)
    script: Script = [Tls(context), REQUEST, answer(body), REQUEST, HELLO]
    with ScriptedServer(script) as server:
        sender = make(ssl_context=trusting)
        url = f"https://localhost:{server.port}"
        assert (await sender.request("POST", url, content=body)).content == body
        assert await sender.get(url) == b"hello"
        assert server.connections == 1
        assert server.requests[0].body == body
        other = make(ssl_context=trusting)
        extensions = {"sni_hostname": "other.test"}
        await other.get(f"https://127.0.0.1:{server.port}", extensions=extensions)
    assert names == ["localhost", "other.test"]


async def test_unknown_authorities_are_refused(make: Make) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with ScriptedServer([Tls(context), REQUEST, HELLO]) as server:
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await make().get(f"https://localhost:{server.port}")


async def test_ipv6(make: Make) -> None:
    """Served by hand, since scripts are played on IPv4."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while b"\r\n\r\n" not in connection.recv(65536):
                    pass
                connection.sendall(HELLO)
                connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        sender = make()
        assert await sender.get(f"http://[::1]:{listener.getsockname()[1]}") == b"hello"
        await sender.close()
        thread.join(DEADLINE)
        assert not thread.is_alive()


async def test_other_schemes_and_unfit_requests_use_no_connection(make: Make) -> None:
    sender = make()
    with pytest.raises(httpx.UnsupportedProtocol):
        await sender.get("ftp://reduct.test")
    with pytest.raises(httpx.LocalProtocolError):
        await sender.get("http://reduct.test", headers=[(b"a", b"b\r\nc: d")])
    assert sender.counts == (0, 0, 0)


# --- threads, tasks, cancellation ----------------------------------------------------------


def test_threads_share_a_transport() -> None:
    with ScriptedServer([REQUEST, HELLO] * 1000) as server, reduct_sync.Transport() as transport:
        with httpx.Client(transport=transport) as client, ThreadPoolExecutor(16) as workers:
            bodies = list(workers.map(lambda _: client.get(server.url).content, range(400)))
        assert bodies == [b"hello"] * 400
        assert server.connections <= 16


@pytest.mark.anyio
async def test_cancelled_exchanges_leave_nothing_behind() -> None:
    """At any moment: while connecting, sending, waiting, reading."""
    body = bytes(range(256)) * 2000
    script: Script = [REQUEST, HELLO[:9], Pause(0.002), HELLO[9:], REQUEST, answer(body)] * 50
    with ScriptedServer(script) as server:
        limits = httpx.Limits(max_connections=3)
        async with httpx.AsyncClient(
            transport=(transport := reduct_async.Transport(limits=limits)), timeout=DEADLINE
        ) as client:

            async def one(number: int) -> None:
                with anyio.move_on_after(0.0005 * (number % 13)):
                    response = await client.get(server.url)
                    assert response.content in (b"hello", body)

            await asyncio.gather(*(one(number) for number in range(150)))
            assert transport._pool.counts[0] == 0
            assert transport._pool.counts[2] == 0
            for _ in range(3):
                assert (await client.get(server.url)).content in (b"hello", body)


@pytest.mark.anyio
async def test_a_cancelled_wait_leaves_the_queue() -> None:
    with ScriptedServer([REQUEST, answer(b"x", length=9), HOLD], [REQUEST, HELLO]) as server:
        limits = httpx.Limits(max_connections=1)
        transport = reduct_async.Transport(limits=limits)
        async with httpx.AsyncClient(transport=transport, timeout=DEADLINE) as client:
            async with client.stream("GET", server.url):
                with anyio.move_on_after(0.05):
                    await client.get(server.url)
                assert transport._pool.counts == (1, 0, 0)
            assert (await client.get(server.url)).content == b"hello"


# --- closing -------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\n\r\nbegin"], ids=["head", "body"])
async def test_closing_ends_what_runs_and_refuses_what_comes(make: Make, begin: bytes) -> None:
    """The end of an answer without a length must not pass for its orderly end."""
    errors: list[str] = []

    async def one() -> None:
        try:
            await sender.get(server.url)
        except httpx.HTTPError as error:
            errors.append(type(error).__name__)

    with ScriptedServer([REQUEST, begin, HOLD]) as server:
        sender = make(limits=httpx.Limits(max_connections=1))
        async with anyio.create_task_group() as group:
            group.start_soon(one)
            group.start_soon(one)
            await until(lambda: sender.counts == (1, 0, 1) and len(server.requests) == 1)
            await anyio.sleep(0.05)
            await sender.close()
        assert sorted(errors) == ["ConnectError", "ReadError"]
        assert sender.counts == (0, 0, 0)
        with pytest.raises(httpx.ConnectError, match="closed"):
            await sender.get(server.url)
        await sender.close()


# --- the books -----------------------------------------------------------------------------


@define(eq=False)
class Fake:
    """A connection without one."""

    stale: bool = False

    def is_stale(self) -> bool:
        return self.stale


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "enter", "leave", "keep", "keep", "wait", "stale"]),
        st.integers(0, 30),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 4), st.integers(0, 3))
def test_books_of_the_pool(steps: list[tuple[str, int]], most: int, idle: int) -> None:
    """Never more connections than allowed; nobody waits while there is room; none is lost."""
    now = [0.0]
    limits = httpx.Limits(max_connections=most, max_keepalive_connections=idle, keepalive_expiry=5)
    pool: Pool[Fake, threading.Event] = Pool(limits, threading.Event, lambda: now[0])
    places: list[Any] = []
    alive: dict[int, Fake] = {}
    for what, number in steps:
        gone: list[Fake] = []
        if what == "enter":
            place, gone = pool.enter(("http", "ab"[number % 2], 80))
            places.append(place)
            gone = gone + pool.freshen(place)
            assert place.connection is None or not place.connection.stale
        elif what == "wait":
            now[0] += number / 4
        elif what == "stale" and alive:
            list(alive.values())[number % len(alive)].stale = True
        elif places and what in ("leave", "keep"):
            gone = pool.leave(places.pop(number % len(places)), keep=what == "keep")
        for place in places:
            if place.granted and place.connection is None:
                place.connection = Fake()
                alive[id(place.connection)] = place.connection
        for connection in gone:
            del alive[id(connection)]
        used, kept, waiting = pool.counts
        assert used == sum(place.granted for place in places)
        assert waiting == len(places) - used
        assert used + kept == len(alive) <= most
        assert kept <= idle
        assert not waiting or used == most
        assert len({id(place.connection) for place in places if place.granted}) == used
        for place in places:
            assert place.granted is (place.signal is None or place.signal.is_set())


def test_the_last_connection_is_used_first() -> None:
    pool: Pool[Fake, threading.Event] = Pool(httpx.Limits(), threading.Event)
    places = [pool.enter(("http", "a", 80))[0] for _ in range(3)]
    for place in places:
        place.connection = Fake()
    for place in places:
        pool.leave(place, keep=True)
    again = [pool.enter(("http", "a", 80))[0].connection for _ in range(3)]
    assert again == [place.connection for place in reversed(places)]
