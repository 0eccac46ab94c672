"""What the recorder sends, without any server: respx plays its part."""

import httpx
import pytest
import respx

from reduct_async import Client

from ..curve import Curve
from ..recorder import Recorder


@pytest.mark.anyio
async def test_one_request_for_a_curve() -> None:
    router = respx.MockRouter(base_url="http://store.example/api/v1")
    route = router.post("/b/archive/press-1", params={"ts": "17"}).respond()
    transport = httpx.MockTransport(router.async_handler)
    async with Client("http://store.example", "token", transport=transport) as client:
        await Recorder(client.bucket("archive"), "press-1").take(Curve(17, (2.5, 1.0)))

    request = route.calls.last.request
    assert route.call_count == 1
    assert request.headers["authorization"] == "Bearer token"
    assert request.headers["x-reduct-label-peak"] == "2.5"
    assert request.headers["content-type"] == "application/vnd.presses.curve"
    assert len(request.content) == 16
