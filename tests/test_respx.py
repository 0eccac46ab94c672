"""Users test their own code with respx: its routers work through `httpx.MockTransport`.

    router = respx.MockRouter(base_url="http://reduct.test/api/v1")
    router.get("/list").respond(json={"buckets": []})
    client = reduct_sync.Client("http://reduct.test", transport=httpx.MockTransport(router.handler))

With `reduct_async` the handler is `router.async_handler`.
"""

import asyncio

import httpx
import pytest
import respx

import reduct_async
import reduct_sync
from reduct_async import (
    AuthenticationError,
    Client,
    NotFoundError,
    ProtocolError,
    TimeoutError,
    TransportError,
)
from tests.calls import no_sleep
from tests.flavours import Flavour

URL = "http://reduct.test/base"
API = f"{URL}/api/v1"


@pytest.fixture
def router() -> respx.MockRouter:
    """A router that fails the test for requests without a route, and for unused routes."""
    return respx.MockRouter(base_url=API)


@pytest.fixture
def client(flavour: Flavour, router: respx.MockRouter) -> Client:
    """A client whose requests go to the router."""
    handler = router.handler if flavour.name == "sync" else router.async_handler
    return flavour.client(URL, "token", transport=httpx.MockTransport(handler))


def test_the_example_of_the_docstring() -> None:
    router = respx.MockRouter(base_url="http://reduct.test/api/v1")
    router.get("/list").respond(json={"buckets": []})
    transport = httpx.MockTransport(router.handler)
    assert reduct_sync.Client("http://reduct.test", transport=transport).list() == []

    async def use() -> None:
        transport = httpx.MockTransport(router.async_handler)
        async with reduct_async.Client("http://reduct.test", transport=transport) as client:
            assert await client.list() == []

    asyncio.run(use())
    assert router.routes[0].call_count == 2


async def test_a_write_is_seen(client: Client, router: respx.MockRouter) -> None:
    route = router.post("/b/bucket/sensor/left", params={"ts": "5"}).respond()
    await client.bucket("bucket").write("sensor/left", b"data", 5, labels={"unit": "mm"})
    request = route.calls.last.request
    assert request.content == b"data"
    assert request.headers["authorization"] == "Bearer token"
    assert request.headers["content-length"] == "4"
    assert request.headers["x-reduct-label-unit"] == "mm"


async def test_a_body_in_pieces_is_seen_whole(client: Client, router: respx.MockRouter) -> None:
    route = router.post("/b/bucket/entry").respond()
    pieces = iter([b"a" * 100_000, b"b" * 100_000])
    await client.bucket("bucket").write("entry", pieces, 1, content_length=200_000)
    assert route.calls.last.request.content == b"a" * 100_000 + b"b" * 100_000


async def test_errors_of_records_in_a_batch(
    client: Client, router: respx.MockRouter, flavour: Flavour
) -> None:
    router.post("/b/bucket/entry/batch").respond(headers={"x-reduct-error-2": "409,exists"})
    batch = flavour.package.Batch()
    batch.add(1, b"one")
    batch.add(2, b"two")
    found = await client.bucket("bucket").write_batch("entry", batch)
    assert {timestamp: str(error) for timestamp, error in found.items()} == {
        2: "Status 409: exists"
    }


async def test_a_read(client: Client, router: respx.MockRouter) -> None:
    router.get("/b/bucket/entry", params={"ts": 7}).respond(
        content=b"data",
        headers={"x-reduct-time": "7", "x-reduct-label-unit": "mm", "content-type": "text/plain"},
    )
    async with client.bucket("bucket").read("entry", timestamp=7) as record:
        assert (record.timestamp, record.labels) == (7, {"unit": "mm"})
        assert await record.read_all() == b"data"


async def test_a_query(client: Client, router: respx.MockRouter) -> None:
    started = router.post("/b/bucket/entry/q").respond(json={"id": 9})
    answers = router.get("/b/bucket/entry/batch", params={"q": 9})
    answers.side_effect = [
        httpx.Response(200, headers={"x-reduct-time-1": "3,text/plain"}, content=b"one"),
        httpx.Response(200, headers={"x-reduct-time-2": "3,,a=b"}, content=b"two"),
        httpx.Response(204),
    ]
    records = [record async for record in client.bucket("bucket").query("entry", start=1)]
    assert [await record.read_all() for record in records] == [b"one", b"two"]
    assert [record.labels for record in records] == [{}, {"a": "b"}]
    assert started.call_count == 1
    assert answers.call_count == 3


async def test_failures_on_demand(client: Client, router: respx.MockRouter) -> None:
    """What users want to see their own code survive."""
    bucket = client.bucket("bucket")
    route = router.get("/b/bucket")
    route.respond(401, headers={"x-reduct-error": "expired"})
    with pytest.raises(AuthenticationError, match="expired"):
        await bucket.info()
    route.respond(404, json={"detail": "no bucket"})
    with pytest.raises(NotFoundError, match="no bucket"):
        await bucket.info()
    route.respond(200, html="<h1>Log in</h1>")
    with pytest.raises(ProtocolError, match="text/html"):
        await bucket.info()
    route.mock(side_effect=httpx.ReadTimeout)
    with pytest.raises(TimeoutError, match="read timeout of 75 s"):
        await bucket.info()


async def test_a_server_that_comes_back(
    client: Client, router: respx.MockRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = no_sleep(monkeypatch)
    route = router.get("/list")
    route.side_effect = [
        httpx.ConnectError,
        httpx.Response(503),
        httpx.Response(200, json={"buckets": []}),
        httpx.ConnectError,
        httpx.ConnectError,
        httpx.ConnectError,
    ]
    assert await client.list() == []
    assert (route.call_count, len(pauses)) == (3, 2)
    with pytest.raises(TransportError, match="Cannot connect"):
        await client.list()
    assert route.call_count == 6


async def test_a_request_without_a_route_fails_the_test(
    client: Client, router: respx.MockRouter
) -> None:
    """respx's own error comes out as it is, not as one that the code under test may catch."""
    router.get("/list").respond(json={"buckets": []})
    with pytest.raises(AssertionError, match="not mocked"):
        await client.info()
    with pytest.raises(AssertionError):
        router.assert_all_called()
    await client.list()
    router.assert_all_called()
