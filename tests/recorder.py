"""A transport of either flavour that notes every request on its way to a real server."""

import httpx


class Recorder(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Sends by httpx's own transports; `requests` holds what was sent, in order."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._blocking = httpx.HTTPTransport()
        self._asynchronous = httpx.AsyncHTTPTransport()

    @property
    def lines(self) -> list[str]:
        """Method and path of each request, e.g. ``POST /b/bucket/entry?ts=1``."""
        return [
            f"{request.method} {request.url.raw_path.decode().removeprefix('/api/v1')}"
            for request in self.requests
        ]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._blocking.handle_request(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return await self._asynchronous.handle_async_request(request)

    def close(self) -> None:
        self._blocking.close()

    async def aclose(self) -> None:
        await self._asynchronous.aclose()
