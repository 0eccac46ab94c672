"""What goes wrong below the API: connections, framing, timeouts, over a scripted byte server."""

import builtins
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import httpx
import pytest

from reduct_async import (
    ApiError,
    AuthenticationError,
    Client,
    ProtocolError,
    ReductError,
    Retry,
    TimeoutError,
    TransportError,
)
from tests.calls import CALLS, PROBES, trouble_of
from tests.flavours import Flavour
from tests.scripted_server import (
    DEADLINE,
    FINISH,
    HEAD,
    HOLD,
    REQUEST,
    RESET,
    Pause,
    Request,
    Script,
    ScriptedServer,
    answer,
    chunked,
    refusing,
)

EMPTY_LIST = answer(b'{"buckets": []}')

PATIENCE = 0.3
"""Seconds that a client waits for a server that does nothing."""


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something has happened that no answer tells."""
    with anyio.fail_after(DEADLINE):
        while not condition():
            await anyio.sleep(0.005)


async def lost(client: Client) -> TransportError:
    """Return the error of a call whose answer does not come."""
    with pytest.raises(TransportError) as caught:
        await client.list()
    assert caught.value.status_code == -1
    return caught.value


# --- no connection -------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
async def test_connection_refused(flavour: Flavour, name: str) -> None:
    with refusing() as url:
        client = flavour.client(url, retry=Retry(attempts=2, backoff=0))
        if name in PROBES - {"wait_ready"}:
            assert await CALLS[name](client, flavour) is False
            return
        found = await trouble_of(CALLS[name], client, flavour)
        assert found
        begin = f"{url} was not ready" if name == "wait_ready" else f"Cannot connect to {url}: "
        assert all(isinstance(error, TransportError) for error in found)
        assert all(error.message.startswith(begin) for error in found)


async def test_unknown_host(flavour: Flavour) -> None:
    client = flavour.client("http://reduct.invalid:8383", retry=None)
    assert (await lost(client)).message.startswith("Cannot connect to http://reduct.invalid:8383: ")


async def test_a_server_that_comes_up_is_found(flavour: Flavour) -> None:
    with refusing() as url:
        client = flavour.client(url, retry=None)
        await lost(client)
        assert await client.is_ready() is False
    script: Script = [REQUEST, answer(), REQUEST, EMPTY_LIST]
    with ScriptedServer(script) as server:
        client = flavour.client(server.url)
        await client.wait_ready()
        assert await client.list() == []


async def test_wait_ready_waits(flavour: Flavour) -> None:
    starting = answer(status=503)
    script: Script = [REQUEST, starting, REQUEST, starting, REQUEST, starting, REQUEST, answer()]
    with ScriptedServer(script) as server:
        await flavour.client(server.url).wait_ready()
        assert len(server.requests) == 4


# --- the connection breaks -----------------------------------------------------------------

CHUNKED = {"content-length": "", "transfer-encoding": "chunked"}

BROKEN: dict[str, Script] = {
    "reset before the head": [REQUEST, RESET],
    "closed before the head": [REQUEST],
    "reset within the head": [REQUEST, EMPTY_LIST[:30], Pause(0.05), RESET],
    "closed within the head": [REQUEST, EMPTY_LIST[:30]],
    "reset after the head": [REQUEST, answer(length=15), Pause(0.05), RESET],
    "closed after the head": [REQUEST, answer(length=15)],
    "closed within the body": [REQUEST, EMPTY_LIST[:-1]],
    "closed within a chunk": [
        REQUEST,
        answer(
            chunked(b"[1]")[:-6], headers={"content-length": "", "transfer-encoding": "chunked"}
        ),
    ],
    "no last chunk": [
        REQUEST,
        answer(
            chunked(b"[1]")[:-5], headers={"content-length": "", "transfer-encoding": "chunked"}
        ),
    ],
    "another protocol": [b"SSH-2.0-OpenSSH_9.6\r\n"],
    "no status line": [REQUEST, b"\r\n\r\n\r\n"],
    "a bad header": [REQUEST, b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"],
    "a bad status": [REQUEST, b"HTTP/1.1 abc OK\r\n\r\n"],
    "two lengths": [
        REQUEST,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]x",
    ],
    "a bad length": [REQUEST, b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n[]"],
    "a bad chunk": [REQUEST, answer(b"zz\r\n[]", headers=CHUNKED)],
}


@pytest.mark.parametrize("trouble", BROKEN)
async def test_broken_answers(flavour: Flavour, trouble: str) -> None:
    """One clear error; the next call finds a connection that works. Nothing is sent twice."""
    with ScriptedServer(BROKEN[trouble], [REQUEST, EMPTY_LIST]) as server:
        client = flavour.client(server.url)
        error = await lost(client)
        assert server.url in error.message
        assert (error.method, error.path) == ("GET", "/api/v1/list")
        assert isinstance(error.__cause__, httpx.TransportError)
        assert server.connections == 1
        assert await client.list() == []


def reply(request: Request) -> bytes:
    """Return what a server in order answers to a listing, a write or a question for a bucket."""
    return EMPTY_LIST if request.method == "GET" else answer()


@pytest.mark.parametrize("trouble", BROKEN)
@pytest.mark.parametrize("name", ["write", "write stream", "write_batch", "write_record_batch"])
async def test_writes_are_not_repeated_on_broken_connections(
    flavour: Flavour, name: str, trouble: str
) -> None:
    """The server may have stored the record; only the user can know what then is right."""
    with ScriptedServer(BROKEN[trouble], [reply, reply]) as server:
        client = flavour.client(server.url)
        found = await trouble_of(CALLS[name], client, flavour)
        assert [isinstance(error, TransportError) for error in found] == [True]
        assert found[0].method == "POST"
        assert [request.method for request in server.requests].count("POST") <= 1
        await CALLS[name](client, flavour)


async def test_truncated_record(flavour: Flavour) -> None:
    """Also a payload that is streamed; what came before stays readable."""
    size = 9_000_000
    script: Script = [REQUEST, answer(bytes(size - 1), headers={"x-reduct-time": "1"}, length=size)]
    with ScriptedServer(script) as server:
        taken = 0
        async with flavour.client(server.url).bucket("bucket").read("entry") as record:
            error = None
            try:
                async for piece in record.read(1000):
                    taken += len(piece)
            except TransportError as exc:
                error = exc
        assert "lost before the answer was complete" in str(error)
        assert taken > size / 2


async def test_truncated_batch(flavour: Flavour) -> None:
    """The records of a broken answer do not come, those of the answers before do."""

    def heads(*times: int) -> dict[str, str]:
        return {f"x-reduct-time-{time}": "4," for time in times}

    script: Script = [
        REQUEST,
        answer(b'{"id": 1}'),
        REQUEST,
        answer(b"datadata", headers=heads(1, 2)),
        REQUEST,
        answer(b"datad", headers=heads(3, 4), length=8),
    ]
    with ScriptedServer(script) as server:
        records = flavour.client(server.url).bucket("bucket").query("entry")
        assert [(await anext(records)).timestamp for _ in range(2)] == [1, 2]
        with pytest.raises(TransportError, match="lost before the answer was complete"):
            await anext(records)


# --- timeouts: each names itself and its seconds -------------------------------------------


async def stalled(call: Any) -> TimeoutError:
    """Return the error of a call that takes too long, after checking what each one promises."""
    with anyio.fail_after(DEADLINE):
        with pytest.raises(builtins.TimeoutError) as caught:
            await call
    error = caught.value
    assert type(error) is TimeoutError
    assert isinstance(error, ReductError)
    assert error.status_code == -1
    assert isinstance(error.__cause__, httpx.TimeoutException)
    return error


async def test_connect_timeout(flavour: Flavour) -> None:
    """A server that accepts and then says nothing, where TLS needs an answer to connect."""
    with ScriptedServer([HOLD]) as server:
        url = server.url.replace("http", "https")
        client = flavour.client(
            url,
            timeout=httpx.Timeout(DEADLINE, connect=PATIENCE),
            retry=Retry(attempts=2, backoff=0),
        )
        error = await stalled(client.list())
        assert error.message == f"Cannot connect to {url}: connect timeout of 0.3 s passed"
        assert server.connections == 2


async def test_read_timeout(flavour: Flavour) -> None:
    with ScriptedServer([REQUEST, HOLD]) as server:
        client = flavour.client(server.url, timeout=httpx.Timeout(DEADLINE, read=PATIENCE))
        error = await stalled(client.list())
        assert error.message == f"read timeout of 0.3 s passed (GET {server.url}/api/v1/list)"
        assert (error.method, error.path) == ("GET", "/api/v1/list")
        assert server.connections == 1


async def test_read_timeout_within_a_body(flavour: Flavour) -> None:
    script: Script = [REQUEST, answer(b"1234", headers={"x-reduct-time": "1"}, length=8), HOLD]
    with ScriptedServer(script) as server:
        client = flavour.client(server.url, timeout=httpx.Timeout(DEADLINE, read=PATIENCE))
        error = await stalled(CALLS["read"](client, flavour))
        assert "read timeout of 0.3 s passed" in error.message


async def test_write_timeout(flavour: Flavour) -> None:
    """A server that does not read; 64 MB are more than the system takes off the client."""
    with ScriptedServer([HEAD, HOLD]) as server:
        client = flavour.client(server.url, timeout=httpx.Timeout(DEADLINE, write=PATIENCE))
        error = await stalled(client.bucket("b").write("entry", bytes(64_000_000)))
        assert error.message.startswith("write timeout of 0.3 s passed (POST http://127.0.0.1:")
        assert server.connections == 1


async def test_pool_timeout(flavour: Flavour) -> None:
    """All connections are in use: the record is streamed, and holds its own."""
    size = 9_000_000
    script: Script = [
        REQUEST,
        answer(bytes(1000), headers={"x-reduct-time": "1"}, length=size),
        HOLD,
    ]
    with ScriptedServer(script) as server:
        client = flavour.client(
            server.url,
            timeout=httpx.Timeout(DEADLINE, pool=PATIENCE),
            limits=httpx.Limits(max_connections=1),
            retry=Retry(attempts=2, backoff=0),
        )
        async with client.bucket("bucket").read("entry"):
            error = await stalled(client.list())
        assert error.message == f"pool timeout of 0.3 s passed (GET {server.url}/api/v1/list)"
        assert server.connections == 1


async def test_without_a_limit_the_client_waits(flavour: Flavour) -> None:
    with ScriptedServer([REQUEST, Pause(2 * PATIENCE), EMPTY_LIST]) as server:
        client = flavour.client(server.url, timeout=httpx.Timeout(PATIENCE, read=None))
        assert await client.list() == []


async def test_b23_the_time_of_the_consumer_does_not_count(flavour: Flavour) -> None:
    """Nor is there a limit for the whole, which takes longer here than any phase may."""
    body = bytes(9_000_000)
    with ScriptedServer([REQUEST, answer(body, headers={"x-reduct-time": "1"})]) as server:
        client = flavour.client(server.url, timeout=2.0)
        async with client.bucket("bucket").read("entry") as record:
            pieces = record.read(3_000_000)
            taken = len(await anext(pieces))
            await anyio.sleep(2.2)
            taken += sum([len(piece) async for piece in pieces])
        assert taken == len(body)


# --- framing ------------------------------------------------------------------------------


def drip(data: bytes) -> Iterator[bytes]:
    """Yield single bytes, each a segment of its own."""
    for index in range(len(data)):
        yield data[index : index + 1]


RECORDS = {"x-reduct-time-1": "4,text/plain,a=1", "x-reduct-time-2": "0,", "x-reduct-last": "true"}

STARTED = answer(b'{"id": 7}')

FRAMINGS: dict[str, Script] = {
    "length": [answer(b"data", headers=RECORDS)],
    "one byte at a time": list(drip(answer(b"data", headers=RECORDS))),
    "chunked": [answer(chunked(b"d", b"at", b"a"), headers={**RECORDS, **CHUNKED})],
    "until close": [answer(b"data", headers={**RECORDS, "content-length": ""}), FINISH],
    "after 100": [b"HTTP/1.1 100 Continue\r\n\r\n", answer(b"data", headers=RECORDS)],
    "after 103": [b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n", answer(b"data", headers=RECORDS)],
    "HTTP/1.0": [answer(b"data", headers=RECORDS).replace(b"HTTP/1.1", b"HTTP/1.0"), FINISH],
    "no reason": [answer(b"data", headers=RECORDS, reason="").replace(b"200 ", b"200")],
}


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_framings(flavour: Flavour, framing: str) -> None:
    script: Script = [REQUEST, STARTED, REQUEST, *FRAMINGS[framing]]
    with ScriptedServer(script) as server:
        found = await CALLS["query"](flavour.client(server.url), flavour)
    assert found == [("entry", 1, {"a": "1"}, b"data"), ("entry", 2, {}, b"")]


async def test_b29_capitalised_header_names(flavour: Flavour) -> None:
    """Proxies may write names as they like; nothing may depend on it."""
    v2 = {
        "X-Reduct-Start-Ts": "5",
        "X-Reduct-Entries": "entry-1",
        "X-REDUCT-LABELS": "a",
        "X-Reduct-0-0": "4,text/plain,0=1",
        "X-Reduct-Last": "true",
    }
    script: Script = [
        REQUEST,
        answer(b"data", headers={"X-Reduct-Time": "3", "X-Reduct-Label-A": "1"}),
        REQUEST,
        STARTED,
        REQUEST,
        answer(b"data", headers={name.title(): value for name, value in RECORDS.items()}),
        REQUEST,
        STARTED,
        REQUEST,
        answer(b"data", headers=v2),
        REQUEST,
        answer(headers={"X-Reduct-Error-2": "409,exists"}),
        REQUEST,
        answer(
            headers={
                "X-Reduct-Error-1-1": "409,exists",
                "X-Reduct-Start-Ts": "1",
                "X-Reduct-Entries": "entry-1,entry-2",
            }
        ),
        REQUEST,
        answer(b"<html>", headers={"CONTENT-TYPE": "TEXT/HTML", "x-reduct-api": ""}),
        REQUEST,
        answer(status=404, headers={"X-Reduct-Error": "the text"}),
    ]
    with ScriptedServer(script) as server:
        client = flavour.client(server.url)
        record = await CALLS["read"](client, flavour)
        assert record == (3, {"a": "1"}, {}, "application/octet-stream", b"data")
        assert len(await CALLS["query"](client, flavour)) == 2
        found = await CALLS["query several"](client, flavour)
        assert found == [("entry-1", 5, {"a": "1"}, b"data")]
        exists = ReductError(409, "exists")
        assert await CALLS["write_batch"](client, flavour) == {2: exists}
        assert await CALLS["write_record_batch"](client, flavour) == {"entry-2": {2: exists}}
        with pytest.raises(ProtocolError):
            await CALLS["write"](client, flavour)
        with pytest.raises(ApiError, match="the text"):
            await CALLS["read"](client, flavour)


async def test_without_the_api_header(flavour: Flavour) -> None:
    """A proxy may strip it (B34)."""
    script: Script = [REQUEST, answer(b'{"buckets": []}', headers={"x-reduct-api": ""})]
    with ScriptedServer(script) as server:
        client = flavour.client(server.url)
        assert client.api_version is None
        assert await client.list() == []
        assert client.api_version is None


async def test_nonsense_in_the_api_header(flavour: Flavour) -> None:
    for text in ("x", "1", "1.", "1.x", "1.20.3", "-1.5", "9" * 5000 + ".1"):
        script: Script = [REQUEST, answer(b'{"buckets": []}', headers={"x-reduct-api": text})]
        with ScriptedServer(script) as server:
            client = flavour.client(server.url)
            assert await client.list() == []
            assert client.api_version in (None, (1, 20))


@pytest.mark.parametrize("name", ["query", "query head", "query several", "query pattern head"])
async def test_the_end_of_a_query_keeps_its_connection(flavour: Flavour, name: str) -> None:
    """The real server's 204 announces 24 bytes and sends none."""
    end = answer(status=204, headers={"x-reduct-error": "No content"}, length=24)
    script: Script = [REQUEST, STARTED, REQUEST, end, REQUEST, EMPTY_LIST]
    with ScriptedServer(script) as server:
        client = flavour.client(server.url)
        assert await CALLS[name](client, flavour) == []
        assert await client.list() == []
        assert server.connections == 1


async def test_heads_keep_their_connection(flavour: Flavour) -> None:
    """An answer to HEAD announces the length that GET would have."""
    script: Script = [
        REQUEST,
        answer(headers={"x-reduct-time": "1"}, length=9_000_000_000),
        REQUEST,
        answer(status=404, headers={"x-reduct-error": "no record"}, length=30),
        REQUEST,
        EMPTY_LIST,
    ]
    with ScriptedServer(script) as server:
        client = flavour.client(server.url)
        async with client.bucket("bucket").read("entry", head=True) as record:
            assert record.size == 9_000_000_000
        with pytest.raises(ApiError, match="no record"):
            await CALLS["read head"](client, flavour)
        assert await client.list() == []
        assert server.connections == 1


@pytest.mark.parametrize("excess", [b"x", b"\r\n", b"<html>", bytes(100_000)])
async def test_excess_body(flavour: Flavour, excess: bytes) -> None:
    """Bytes after an answer belong to no answer: the next call never takes them for its own."""
    with ScriptedServer([REQUEST, EMPTY_LIST + excess, REQUEST], [REQUEST, EMPTY_LIST]) as server:
        client = flavour.client(server.url)
        assert await client.list() == []
        try:
            assert await client.list() == []
        except TransportError:
            assert await client.list() == []


async def test_compressed_by_a_proxy(flavour: Flavour) -> None:
    """Nobody asked for it; a body that does not decode is an error of ours."""
    script: Script = [REQUEST, answer(b"not gzip", headers={"content-encoding": "gzip"})]
    with ScriptedServer(script) as server:
        with pytest.raises(ProtocolError, match="cannot be decoded"):
            await flavour.client(server.url).list()
        assert server.requests[0].headers["accept-encoding"] == "identity"


# --- sizes --------------------------------------------------------------------------------

LARGE_HEADS = {
    "one line": {"x-reduct-label-a": "v" * 200_000},
    "many lines": {f"x-reduct-time-{number}": "0," + "v" * 1000 for number in range(200)},
}


@pytest.mark.parametrize("kind", LARGE_HEADS)
async def test_b19_a_head_beyond_the_limit_names_the_limit(flavour: Flavour, kind: str) -> None:
    with ScriptedServer(
        [REQUEST, answer(headers=LARGE_HEADS[kind])], [REQUEST, EMPTY_LIST]
    ) as server:
        client = flavour.client(server.url)
        with pytest.raises(ProtocolError, match="larger than 100 KiB"):
            await CALLS["read"](client, flavour)
        assert await client.list() == []


async def test_b19_a_head_below_the_limit_passes(flavour: Flavour) -> None:
    heads = {f"x-reduct-time-{number}": "0,text/plain,a=" + "v" * 900 for number in range(100)}
    last = {**heads, "x-reduct-last": "true"}
    with ScriptedServer([REQUEST, STARTED, REQUEST, answer(headers=last)]) as server:
        found = await CALLS["query"](flavour.client(server.url), flavour)
    assert len(found) == 100
    assert {len(labels["a"]) for _, _, labels, _ in found} == {900}


async def test_b19_answers_are_asked_for_below_the_limit(flavour: Flavour) -> None:
    last = answer(status=204)
    script: Script = [REQUEST, STARTED, REQUEST, last, REQUEST, STARTED, REQUEST, last]
    with ScriptedServer(script) as server:
        client = flavour.client(server.url)
        for name in ("query", "query several"):
            await CALLS[name](client, flavour)
        for request in server.requests[::2]:
            assert 0 < json.loads(request.body)["when"]["#batch_metadata_size"] < 100_000


async def test_431(flavour: Flavour) -> None:
    """Made by the HTTP layer: no API headers, and the connection ends."""
    plain = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n"
    with ScriptedServer([REQUEST, plain], [REQUEST, EMPTY_LIST]) as server:
        client = flavour.client(server.url)
        with pytest.raises(ApiError, match="Status 431: Request Header Fields Too Large"):
            await CALLS["write"](client, flavour)
        assert await client.list() == []


# --- early answers and old connections -----------------------------------------------------

EARLY = {
    401: answer(status=401, headers={"x-reduct-error": "bad token", "connection": "close"}),
    413: answer(status=413, headers={"x-reduct-error": "too large", "connection": "close"}),
}


async def zeros(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 1_000_000):
        yield bytes(1_000_000)


@pytest.mark.parametrize("status", EARLY)
@pytest.mark.parametrize("streamed", [False, True])
async def test_early_answers_while_a_body_is_sent(
    flavour: Flavour, status: int, streamed: bool
) -> None:
    """The server has made up its mind after the head; what follows is read and dropped."""
    size = 32_000_000
    script: Script = [HEAD, EARLY[status], FINISH]
    with ScriptedServer(script, [REQUEST, EMPTY_LIST]) as server:
        client = flavour.client(server.url)
        body: Any = zeros(size) if streamed else bytes(size)
        with pytest.raises(AuthenticationError if status == 401 else ApiError) as caught:
            await client.bucket("b").write("entry", body, content_length=size)
        assert caught.value.status_code == status
        assert await client.list() == []
        assert len(server.requests) == 2


@pytest.mark.parametrize("status", EARLY)
async def test_early_answers_before_a_reset(flavour: Flavour, status: int) -> None:
    """A reset may overtake the answer: then the connection was lost. Never a second attempt."""
    with ScriptedServer([HEAD, EARLY[status], RESET], [reply, reply]) as server:
        client = flavour.client(server.url)
        with pytest.raises(ReductError) as caught:
            await client.bucket("b").write("entry", bytes(32_000_000))
        assert caught.value.status_code in (status, -1)
        assert await client.list() == []
        assert [request.method for request in server.requests].count("POST") == 1


async def test_stale_connections_are_replaced(flavour: Flavour) -> None:
    """The server closed the idle connection meanwhile: nothing was sent on it, nothing is lost."""
    with ScriptedServer(
        [REQUEST, EMPTY_LIST], [REQUEST, answer()], [REQUEST, EMPTY_LIST]
    ) as server:
        client = flavour.client(server.url, retry=None)
        assert await client.list() == []
        await eventually(lambda: server.finished == 1)
        await client.bucket("b").write("entry", b"data")
        await eventually(lambda: server.finished == 2)
        assert await client.list() == []
        assert server.connections == 3


async def test_a_connection_is_kept_without_a_with_block(flavour: Flavour) -> None:
    """B24: reduct-py opens one per call."""
    with ScriptedServer([reply] * 20) as server:
        client = flavour.client(server.url)
        for _ in range(10):
            assert await client.list() == []
            await client.bucket("b").write("entry", b"data")
        assert server.connections == 1
        assert len(server.requests) == 20


async def test_errors_keep_the_connection(flavour: Flavour) -> None:
    failed = answer(b'{"detail": "no"}', status=404)
    with ScriptedServer([REQUEST, failed] * 10) as server:
        client = flavour.client(server.url)
        for name in ("info", "write", "read", "write_batch", "remove_record") * 2:
            assert await trouble_of(CALLS[name], client, flavour) == [ReductError(404, "no")]
        assert server.connections == 1
