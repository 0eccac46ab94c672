"""What goes wrong below the API: connections, framing, sizes, over a scripted byte server."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import anyio
import httpx
import pytest

import reduct_async
from reduct_async import (
    ApiError,
    AuthenticationError,
    Bucket,
    Client,
    ProtocolError,
    ReductError,
    Retry,
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
STARTED = answer(b'{"id": 7}')


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


def v1_answer(*times: int, cut: int = 0, last: bool = False) -> bytes:
    """Return an answer with records of four bytes, the last `cut` bytes missing."""
    heads = {f"x-reduct-time-{time}": "4," for time in times}
    body = b"data" * len(times)
    headers = {**heads, "x-reduct-last": "true" if last else "false"}
    return answer(body[: len(body) - cut], headers=headers, length=len(body))


async def test_truncated_batch(flavour: Flavour) -> None:
    """Of a broken answer nothing is handed out; the rest of the query is asked for anew."""
    first: Script = [REQUEST, STARTED, REQUEST, v1_answer(1, 2), REQUEST, v1_answer(3, 4, cut=3)]
    second: Script = [REQUEST, STARTED, REQUEST, v1_answer(3, 4, last=True)]
    with ScriptedServer(first, second) as server:
        found = await CALLS["query"](flavour.client(server.url), flavour)
        assert [(record[1], record[3]) for record in found] == [(t, b"data") for t in (1, 2, 3, 4)]
        starts = [json.loads(request.body)["start"] for request in server.requests[::3][:2]]
        assert starts == [0, 3]


async def test_truncated_batch_without_progress(flavour: Flavour) -> None:
    """A query that got nowhere is not begun again and again."""
    first: Script = [REQUEST, STARTED, REQUEST, v1_answer(1), REQUEST, v1_answer(2, cut=1)]
    second: Script = [REQUEST, STARTED, REQUEST, v1_answer(2, cut=1)]
    with ScriptedServer(first, second) as server:
        records = flavour.client(server.url).bucket("bucket").query("entry")
        assert (await anext(records)).timestamp == 1
        with pytest.raises(TransportError, match="lost before the answer was complete"):
            await anext(records)
        assert server.connections == 2


async def test_truncated_batch_of_several_entries(flavour: Flavour) -> None:
    """Its order does not tell what is missing: an error, with the likely cause."""
    headers = {
        "x-reduct-start-ts": "5",
        "x-reduct-entries": "entry-1",
        "x-reduct-0-0": "4,text/plain",
    }
    whole, cut = answer(b"data", headers=headers), answer(b"dat", headers=headers, length=4)
    with ScriptedServer([REQUEST, STARTED, REQUEST, whole, REQUEST, cut]) as server:
        records = flavour.client(server.url).bucket("bucket").query("entry-*")
        assert (await anext(records)).timestamp == 5
        with pytest.raises(TransportError, match="lost before the answer") as caught:
            await anext(records)
        assert "collect first" in "".join(caught.value.__notes__)
        assert server.connections == 1


# --- framing ------------------------------------------------------------------------------


def drip(data: bytes) -> Iterator[bytes]:
    """Yield single bytes, each a segment of its own."""
    for index in range(len(data)):
        yield data[index : index + 1]


RECORDS = {"x-reduct-time-1": "4,text/plain,a=1", "x-reduct-time-2": "0,", "x-reduct-last": "true"}

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
    ]
    failed: Script = [REQUEST, answer(status=404, headers={"X-Reduct-Error": "the text"})]
    with ScriptedServer(script, failed) as server:
        client = flavour.client(server.url)
        record = await CALLS["read"](client, flavour)
        assert record == (3, {"a": "1"}, {}, "application/octet-stream", b"data")
        assert len(await CALLS["query"](client, flavour)) == 2
        found = await CALLS["query pattern"](client, flavour)
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


@pytest.mark.parametrize("name", ["query", "query head", "query pattern", "query pattern head"])
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

LARGE_HEADS: dict[str, tuple[bool, dict[str, str], str]] = {
    "stock, one line": (True, {"x-a": "v" * 200_000}, "100 KiB"),
    "stock, many lines": (True, {f"x-{n}": "v" * 1000 for n in range(200)}, "100 KiB"),
    "one line": (False, {"x-a": "v" * 1_100_000}, "1 MiB"),
    "many lines": (False, {f"x-{n}": "v" for n in range(2001)}, "2,000 lines"),
}
"""Whether httpx's own transport reads it; header lines; the limit that the error names."""


@pytest.mark.parametrize("kind", LARGE_HEADS)
async def test_b19_a_head_beyond_the_limit_names_the_limit(flavour: Flavour, kind: str) -> None:
    stock, lines, limit = LARGE_HEADS[kind]
    with ScriptedServer([REQUEST, answer(headers=lines)], [REQUEST, EMPTY_LIST]) as server:
        transport = flavour.stock_transport() if stock else None
        client = flavour.client(server.url, transport=transport)
        with pytest.raises(ProtocolError, match=f"larger than .*{limit}.*#batch_records"):
            await CALLS["read"](client, flavour)
        assert await client.list() == []


async def test_b19_a_head_below_the_limit_passes(flavour: Flavour) -> None:
    heads = {f"x-reduct-time-{number}": "0,text/plain,a=" + "v" * 900 for number in range(1000)}
    last = {**heads, "x-reduct-last": "true"}
    with ScriptedServer([REQUEST, STARTED, REQUEST, answer(headers=last)]) as server:
        found = await CALLS["query"](flavour.client(server.url), flavour)
    assert len(found) == 1000
    assert {len(labels["a"]) for _, _, labels, _ in found} == {900}


@pytest.mark.parametrize(("stock", "limit"), [(True, 100 * 1024), (False, 1024 * 1024)])
async def test_b19_answers_are_asked_for_below_the_limit(
    flavour: Flavour, stock: bool, limit: int
) -> None:
    last = answer(status=204)
    script: Script = [REQUEST, STARTED, REQUEST, last, REQUEST, STARTED, REQUEST, last]
    with ScriptedServer(script) as server:
        transport = flavour.stock_transport() if stock else None
        client = flavour.client(server.url, transport=transport)
        for name in ("query", "query pattern"):
            await CALLS[name](client, flavour)
        for request in server.requests[::2]:
            asked = json.loads(request.body)["when"]["#batch_metadata_size"]
            assert limit * 0.4 < asked < limit * 0.6


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


@pytest.mark.parametrize("error", [OSError, ConnectionResetError, httpx.ReadError, TransportError])
async def test_b28_errors_of_a_body_pass_while_it_is_sent(
    flavour: Flavour, error: type[Exception]
) -> None:
    """They look like those of the connection, and are the user's own."""
    mine = TransportError(-1, "mine") if error is TransportError else error("mine")

    def body() -> Iterator[bytes]:
        yield bytes(200_000)
        raise mine

    with ScriptedServer([REQUEST], [reply, reply]) as server:
        bucket = flavour.client(server.url).bucket("bucket")
        with pytest.raises(error) as caught:
            await bucket.write("entry", body(), content_length=300_000)
        assert caught.value is mine
        await bucket.write("entry", b"data")
    assert sorted(request.complete for request in server.requests) == [False, True]


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.anyio
async def test_cancelled_calls_leak_nothing() -> None:
    """Nor does the answer of a cancelled call reach the next one."""
    streamed = answer(bytes(1000), headers={"x-reduct-time": "1"}, length=9_000_000)
    scripts: list[Script] = [
        [REQUEST, HOLD],
        [REQUEST, EMPTY_LIST[:40], HOLD],
        [REQUEST, HOLD],
        [REQUEST, streamed, HOLD],
        [reply, reply],
    ]
    with ScriptedServer(*scripts) as server:
        limits = httpx.Limits(max_connections=1)
        async with reduct_async.Client(server.url, timeout=DEADLINE, limits=limits) as client:
            bucket = client.bucket("bucket")
            write = partial(bucket.write, "entry", b"data")
            calls: list[Any] = [client.list, client.list, write, partial(read, bucket)]
            for call in calls:
                seen = len(server.requests)
                async with anyio.create_task_group() as group:
                    group.start_soon(call)
                    await eventually(partial(more_than, server, seen))
                    await anyio.sleep(0.05)
                    group.cancel_scope.cancel()
            await bucket.write("entry", b"data")
            assert await client.list() == []
        assert server.connections == 5


def more_than(server: ScriptedServer, requests: int) -> bool:
    return len(server.requests) > requests


async def read(bucket: Bucket) -> None:
    async with bucket.read("entry") as record:
        await record.read_all()


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
        for name in ("info", "read", "update", "remove_record", "remove_batch") * 2:
            assert await trouble_of(CALLS[name], client, flavour) == [ReductError(404, "no")]
        assert server.connections == 1


@pytest.mark.parametrize("name", ["write", "write stream", "write_batch", "write_record_batch"])
async def test_errors_of_requests_with_a_body_end_the_connection(
    flavour: Flavour, name: str
) -> None:
    """The server may have answered early, and be about to close it (T21)."""
    failed = answer(b'{"detail": "no"}', status=404)
    with ScriptedServer([REQUEST, failed, REQUEST, RESET], [reply, reply]) as server:
        client = flavour.client(server.url)
        assert set(await trouble_of(CALLS[name], client, flavour)) == {ReductError(404, "no")}
        assert await client.list() == []
        await CALLS[name](client, flavour)
        assert server.connections == 2
