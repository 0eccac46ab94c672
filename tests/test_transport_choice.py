"""Which transport a client uses: its own by default, httpx's where that cannot do it."""

import httpx
import pytest

import reduct_async
from reduct_async import TransportError
from tests.flavours import Flavour, to_blocking
from tests.scripted_server import REQUEST, ScriptedServer, answer, refusing

EMPTY_LIST = answer(b'{"buckets": []}')

STOCK = (httpx.HTTPTransport, httpx.AsyncHTTPTransport)


async def test_its_own_by_default(flavour: Flavour) -> None:
    """Chosen when it is first needed."""
    with ScriptedServer([REQUEST, EMPTY_LIST]) as server:
        client = flavour.client(server.url)
        assert client.transport is None
        await client.list()
        assert isinstance(client.transport, flavour.package.Transport)


async def test_httpx_s_where_the_environment_names_a_proxy(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer([REQUEST, EMPTY_LIST]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        client = flavour.client("http://reduct.test")
        await client.list()
        assert isinstance(client.transport, STOCK)


async def test_what_is_given(flavour: Flavour) -> None:
    transport = flavour.stock_transport()
    client = flavour.client("http://reduct.test", transport=transport)
    assert to_blocking(client.transport) is transport


async def test_failures_choose_as_well(flavour: Flavour) -> None:
    with refusing() as url:
        client = flavour.client(url, retry=None)
        with pytest.raises(TransportError):
            await client.list()
        assert isinstance(client.transport, flavour.package.Transport)


async def test_limits_and_certificates_reach_it(flavour: Flavour) -> None:
    """The pool of one connection is used for everything."""
    with ScriptedServer([REQUEST, EMPTY_LIST] * 5) as server:
        client = flavour.client(server.url, limits=httpx.Limits(max_connections=1))
        for _ in range(5):
            await client.list()
        assert server.connections == 1


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_httpx_s_under_trio() -> None:
    with ScriptedServer([REQUEST, EMPTY_LIST]) as server:
        async with reduct_async.Client(server.url) as client:
            await client.list()
            assert isinstance(client.transport, httpx.AsyncHTTPTransport)


async def test_a_client_that_was_never_used_is_closed(flavour: Flavour) -> None:
    client = flavour.client("http://reduct.test")
    await client.close()
    assert client.transport is None
    with pytest.raises(TransportError, match="the client is closed"):
        await client.list()
