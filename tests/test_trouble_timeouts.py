"""Servers that stall: each phase has its limit, and its error names phase and seconds."""

import builtins
from typing import Any

import anyio
import httpx
import pytest

from reduct_async import ReductError, Retry, TimeoutError
from tests.calls import CALLS
from tests.flavours import Flavour
from tests.scripted_server import (
    DEADLINE,
    HEAD,
    HOLD,
    REQUEST,
    Pause,
    Script,
    ScriptedServer,
    answer,
)

EMPTY_LIST = answer(b'{"buckets": []}')

PATIENCE = 0.3
"""Seconds that a client waits for a server that does nothing."""


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


async def test_wait_ready_keeps_its_deadline(flavour: Flavour) -> None:
    """Also where a request hangs; the client's own limits are those of its other calls."""
    with ScriptedServer([HOLD]) as server:
        client = flavour.client(server.url, timeout=httpx.Timeout(DEADLINE))
        with anyio.fail_after(DEADLINE / 2):
            with pytest.raises(TimeoutError, match=r"was not ready within 0\.3 s"):
                await client.wait_ready(PATIENCE)
