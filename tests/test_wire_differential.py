"""Our transports against httpx's own: the same bytes of a server mean the same to both.

Generated scripts are played by a server on loopback to four clients: ours and stock, blocking
and async. WIRE_SCRIPTS in the environment says how many, e.g. 20000 for a long run.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

import httpx
import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

import reduct_async
import reduct_sync
from reduct_async._transport import Exchange as WireExchange
from tests.flavours import NO_TLS
from tests.scripted_server import (
    DEADLINE,
    FINISH,
    HEAD,
    REQUEST,
    RESET,
    Pause,
    Script,
    ScriptedServer,
    Step,
    chunked,
)

SCRIPTS = int(os.environ.get("WIRE_SCRIPTS", settings().max_examples))

EXTENSIONS = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), DEADLINE)}


@frozen(repr=False)
class Exchange:
    """A request, what the server does about it, and whether the connection goes on."""

    method: str
    body: Sequence[bytes] | None
    steps: Sequence[Step]
    goes_on: bool

    def __repr__(self) -> str:
        steps = [step[:500] if isinstance(step, bytes) else step for step in self.steps]
        return f"<{self.method} {len(self.body or ())} chunks, {steps}, {self.goes_on}>"


Outcome: TypeAlias = tuple[object, ...]
"""What came of an exchange: all of the response, or the name of the error's class."""


# --- scripts -------------------------------------------------------------------------------

NAMES = st.text("abcXYZ-0189", min_size=1, max_size=12).map(lambda text: f"X-{text}".encode())
VALUES = st.text("abc ,;=09\xe4", max_size=20).map(lambda text: text.strip().encode("latin-1"))


@st.composite
def heads(draw: st.DrawFn, extra: list[tuple[bytes, bytes]], status: int) -> bytes:
    """Draw a head with the fields `extra` among others."""
    fields = draw(st.lists(st.tuples(NAMES, VALUES), max_size=5))
    at = draw(st.integers(0, len(fields)))
    fields[at:at] = extra
    if draw(st.integers(0, 20)) == 0:
        fields += [(b"X-Line-%d" % n, b"v" * 50) for n in range(1000)]
    version = b"1.0" if (b"X-Version", b"1.0") in extra else b"1.1"
    lines = [b"HTTP/%b %d %b" % (version, status, draw(st.sampled_from([b"OK", b"Not At All"])))]
    lines += [b"%b: %b" % field for field in fields]
    return b"\r\n".join([*lines, b"", b""])


@st.composite
def replies(draw: st.DrawFn, method: str, has_body: bool = False) -> tuple[bytes, bool]:
    """Draw a reply: its bytes, and whether the connection can go on after it."""
    status = draw(st.sampled_from([200, 200, 200, 200, 204, 304, 404, 413, 500]))
    large = draw(st.integers(0, 9)) == 0
    body = draw(st.binary(max_size=60)) * (5000 if large else 1)
    framing = draw(st.sampled_from(["length", "length", "length", "chunked", "end"]))
    close, old = draw(st.integers(0, 4)) == 0, draw(st.integers(0, 9)) == 0
    kept = not close and not old and not (has_body and status >= 400)
    extra: list[tuple[bytes, bytes]] = []
    if framing == "length":
        extra.append((b"Content-Length", b"%d" % len(body)))
    elif framing == "chunked":
        extra.append((b"Transfer-Encoding", b"chunked"))
    if close:
        extra.append((b"Connection", b"close"))
    if old:
        extra.append((b"X-Version", b"1.0"))
    head = draw(heads(extra, status))
    interim = b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" * draw(st.sampled_from([0, 0, 0, 1, 2]))
    if method == "HEAD" or status in (204, 304):
        return interim + head, kept
    if framing == "chunked":
        cut = draw(st.integers(0, len(body)))
        body = chunked(*filter(None, (body[:cut], body[cut:])))
    return interim + head + body, kept and framing != "end"


@st.composite
def in_pieces(draw: st.DrawFn, data: bytes) -> list[Step]:
    """Draw how `data` is sent: in how many pieces, with or without pauses."""
    count = draw(st.sampled_from([0, 0, 1, 2, 5]))
    places = sorted({0, len(data), *(draw(st.integers(0, len(data))) for _ in range(count))})
    steps: list[Step] = []
    pauses = st.sampled_from([0.0, 0.001, 0.003])
    for begin, end in pairwise(places):
        if begin and draw(st.integers(0, 1)):
            steps.append(Pause(draw(pauses)))
        steps.append(data[begin:end])
    return steps


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    """Draw an exchange in order, or one that is cut off."""
    method = draw(st.sampled_from(["GET", "GET", "HEAD", "POST", "PUT"]))
    body = None
    if method in ("POST", "PUT"):
        body = draw(st.lists(st.binary(max_size=50), max_size=3))
        if draw(st.integers(0, 4)) == 0:
            body.append(bytes(draw(st.sampled_from([600_000, 6_000_000]))))
    data, kept = draw(replies(method, any(body or ())))
    cut = draw(st.sampled_from([None, None, None, None, FINISH, RESET]))
    if cut is not None:
        data = data[: draw(st.integers(0, len(data)))]
    # A reset overtakes what was sent before.
    pause = [Pause(0.02)] if cut is RESET else []
    # An early answer comes while the body is still being sent.
    early = cut is not RESET and body is not None and draw(st.integers(0, 3)) == 0
    goes_on = kept and cut is None and not early
    steps = [HEAD if early else REQUEST, *draw(in_pieces(data)), *pause]
    if not goes_on:
        steps.append(cut or FINISH)
    return Exchange(method, body, steps, goes_on)


def scripts_of(exchanges: Sequence[Exchange]) -> Sequence[Script]:
    """Return what each connection has to play."""
    scripts: list[list[Step]] = [[]]
    for exchange in exchanges:
        scripts[-1] += exchange.steps
        if not exchange.goes_on:
            scripts.append([])
    return scripts


# --- players -------------------------------------------------------------------------------


def request_of(server: ScriptedServer, exchange: Exchange, *, blocking: bool) -> httpx.Request:
    """Return the request; its body is a stream of known length where it has several chunks."""
    body = exchange.body
    content: object = None if body is None else b"".join(body)
    headers = {}
    if body is not None and len(body) > 1:
        content = iterated(body) if blocking else aiterated(body)
        headers["Content-Length"] = str(sum(map(len, body)))
    return httpx.Request(
        exchange.method,
        server.url,
        headers=headers,
        content=content,  # type: ignore[arg-type]
        extensions=EXTENSIONS,
    )


def iterated(chunks: Sequence[bytes]) -> Iterator[bytes]:
    yield from chunks


async def aiterated(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def settle(server: ScriptedServer, ended: int) -> None:
    """Wait until the server has ended as many connections as it should have by now."""
    deadline = time.monotonic() + DEADLINE
    while server.finished < ended:
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def outcome_of(response: httpx.Response, body: bytes | None = None) -> Outcome:
    """Return everything that a user sees of a response, whose body is read unless given."""
    extensions = response.extensions["http_version"], response.extensions["reason_phrase"]
    content = response.content if body is None else body
    return response.status_code, *extensions, response.headers.raw, content


def play(transport: httpx.BaseTransport, exchanges: Sequence[Exchange]) -> list[Outcome]:
    """Let a blocking transport make the exchanges; return what came of each."""
    outcomes: list[Outcome] = []
    ended = 0
    with ScriptedServer(*scripts_of(exchanges)) as server, transport:
        for exchange in exchanges:
            try:
                response = transport.handle_request(request_of(server, exchange, blocking=True))
                try:
                    response.read()
                finally:
                    response.close()
                outcomes.append(outcome_of(response))
            except httpx.HTTPError as error:
                outcomes.append((type(error).__name__,))
            ended += not exchange.goes_on
            settle(server, ended)
        return [*outcomes, (server.connections,)]


async def play_async(
    transport: httpx.AsyncBaseTransport, exchanges: Sequence[Exchange]
) -> list[Outcome]:
    """Let an async transport make the exchanges; return what came of each."""
    outcomes: list[Outcome] = []
    ended = 0
    with ScriptedServer(*scripts_of(exchanges)) as server:
        async with transport:
            for exchange in exchanges:
                try:
                    request = request_of(server, exchange, blocking=False)
                    response = await transport.handle_async_request(request)
                    try:
                        await response.aread()
                    finally:
                        await response.aclose()
                    outcomes.append(outcome_of(response))
                except httpx.HTTPError as error:
                    outcomes.append((type(error).__name__,))
                ended += not exchange.goes_on
                await asyncio.to_thread(settle, server, ended)
        return [*outcomes, (server.connections,)]


def played(exchanges: Sequence[Exchange]) -> dict[str, list[Outcome]]:
    """Return what came of the exchanges with each transport."""

    async def both() -> tuple[list[Outcome], list[Outcome]]:
        return (
            await play_async(reduct_async.Transport(), exchanges),
            await play_async(httpx.AsyncHTTPTransport(verify=NO_TLS), exchanges),
        )

    ours, stock = asyncio.run(both())
    return {
        "ours, async": ours,
        "stock, async": stock,
        "ours, blocking": play(reduct_sync.Transport(), exchanges),
        "stock, blocking": play(httpx.HTTPTransport(verify=NO_TLS), exchanges),
    }


# --- the comparison ------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=SCRIPTS)
@given(st.lists(exchanges(), min_size=1, max_size=4))
def test_the_same_bytes_mean_the_same(exchanges: list[Exchange]) -> None:
    found = played(exchanges)
    for name, outcomes in found.items():
        assert outcomes == found["stock, blocking"], name


async def played_early(exchanges: Sequence[Exchange], sizes: Sequence[int]) -> list[Outcome]:
    """As `play_async` does with our transport, by what only our own clients use: requests that
    are sent before their answer is asked for, and bodies received into a buffer.
    """
    outcomes: list[Outcome] = []
    ended = 0
    with ScriptedServer(*scripts_of(exchanges)) as server:
        async with reduct_async.Transport() as transport:
            for exchange in exchanges:
                try:
                    request = request_of(server, exchange, blocking=False)
                    early = None if exchange.body else transport.begin(request)
                    if early is None:
                        response = await transport.handle_async_request(request)
                    else:
                        response = await early.finish()
                    body = await by_sizes(response, sizes)
                    await response.aclose()
                    outcomes.append(outcome_of(response, body))
                except httpx.HTTPError as error:
                    outcomes.append((type(error).__name__,))
                ended += not exchange.goes_on
                await asyncio.to_thread(settle, server, ended)
        return [*outcomes, (server.connections,)]


async def by_sizes(response: httpx.Response, sizes: Sequence[int]) -> bytes:
    """Read a body in portions of these sizes, the last one again and again."""
    stream = response.stream
    assert isinstance(stream, WireExchange)
    pieces: list[bytes] = []
    coming = iter(sizes)
    size = 1
    try:
        while piece := await stream.read(size):
            pieces.append(piece)
            size = next(coming, size)
    except httpx.HTTPError:
        await response.aclose()
        raise
    return b"".join(pieces)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=SCRIPTS)
@given(
    st.lists(exchanges(), min_size=1, max_size=4),
    st.lists(st.sampled_from([1, 7, 60, 1000, 70_000, 10**6]), min_size=1, max_size=6),
)
def test_requests_sent_early_and_buffers_change_nothing(
    exchanges: list[Exchange], sizes: list[int]
) -> None:
    stock = play(httpx.HTTPTransport(verify=NO_TLS), exchanges)
    assert asyncio.run(played_early(exchanges, [*sizes, 4096])) == stock


@st.composite
def spoilt(draw: st.DrawFn) -> Exchange:
    """Draw an exchange whose reply has some wrong bytes."""
    method = draw(st.sampled_from(["GET", "HEAD"]))
    data = bytearray(draw(replies(method))[0])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 2))] = draw(
            st.sampled_from([b"", b"\n", b"\r", b"\0", b" ", b":", b"\r\n", b"7", b"\xff", b"a"])
        )
    return Exchange(method, None, [REQUEST, *draw(in_pieces(bytes(data))), FINISH], False)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=SCRIPTS)
@given(spoilt())
def test_spoilt_bytes_mean_the_same_or_are_refused(exchange: Exchange) -> None:
    """Ours are stricter, e.g. about bare line feeds; both flavours agree."""
    found = played([exchange])
    assert found["ours, async"][0] == found["ours, blocking"][0]
    allowed = [found["stock, blocking"][0], ("RemoteProtocolError",)]
    assert found["ours, blocking"][0] in allowed


@pytest.mark.parametrize("what", ["status", "body", "order"])
def test_differences_are_seen(what: str) -> None:
    """The comparison has an eye for everything."""
    reply = {
        "status": b"HTTP/1.1 201 OK\r\nContent-Length: 1\r\n\r\na",
        "body": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb",
        "order": b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na",
    }
    right = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
    outcomes = [
        play(reduct_sync.Transport(), [Exchange("GET", None, [REQUEST, data, FINISH], False)])
        for data in (right, reply[what])
    ]
    assert outcomes[0] != outcomes[1]
