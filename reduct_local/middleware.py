"""What happens around every endpoint: headers, CORS, limits, compressed bodies, errors."""

import logging

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from reduct_local.addresses import client_address
from reduct_local.api.common import (
    API_VERSION,
    VERSION,
    Answer,
    RawHeaders,
    State,
    error_answer,
)
from reduct_local.decoding import UnknownCodingError, decoded
from reduct_local.errors import ApiError
from reduct_local.router import Router

logger = logging.getLogger("reduct_local")

_VERSIONS: RawHeaders = [
    (b"server", b"ReductStore " + VERSION.encode()),
    (b"x-reduct-api", API_VERSION.encode()),
]
_EXPOSE = (b"access-control-expose-headers", b"*")
_VARY = (b"vary", b"origin")


class Middleware:
    """The outermost ASGI application of a server: calls the router and reports its errors."""

    def __init__(self, router: Router, state: State) -> None:
        self._router = router
        self._state = state
        self._limits = state.limits
        self._origins = {origin.encode() for origin in state.config.cors_allow_origin}
        cors = [] if b"*" in self._origins else [_VARY]
        if b"*" in self._origins:
            cors.append((b"access-control-allow-origin", b"*"))
        self._cors: RawHeaders = cors
        self._headers: RawHeaders = [*_VERSIONS, *cors, _EXPOSE]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; never raises."""
        scope["reduct.state"] = self._state
        scope["reduct.headers"] = self._headers
        scope["reduct.answered"] = False
        allowed = self._allowed_origin(scope) if self._origins else []
        if scope["method"] == "OPTIONS":
            scope["reduct.headers"] = []
            await self._preflight(scope, allowed)(scope, receive, send)
            return
        if allowed:
            scope["reduct.headers"] = [*self._headers, *allowed]
        try:
            if self._limits.counts_requests:
                self._count(scope, allowed)
            try:
                receive = decoded(scope, receive)
            except UnknownCodingError:
                await Answer(415, [(b"accept-encoding", b"zstd,gzip")])(scope, receive, send)
                return
            await self._router(scope, receive, send)
        except ApiError as error:
            await self._report(error_answer(error), scope, receive, send)
        except ClientDisconnect:
            return
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            answer = error_answer(ApiError(500, "Internal server error"))
            await self._report(answer, scope, receive, send)

    def _allowed_origin(self, scope: Scope) -> RawHeaders:
        """Return the header for an allowed origin that is named."""
        for name, value in scope["headers"]:
            if name == b"origin" and value in self._origins:
                return [(b"access-control-allow-origin", value)]
        return []

    def _preflight(self, scope: Scope, allowed: RawHeaders) -> Answer:
        headers = [
            *self._cors,
            (b"access-control-allow-methods", b"*"),
            (b"access-control-allow-headers", b"*"),
            *allowed,
        ]
        allow = self._router.allow(scope)
        if allow is not None:
            headers.append((b"allow", allow))
        return Answer(200, headers)

    def _count(self, scope: Scope, allowed: RawHeaders) -> None:
        try:
            self._limits.api(client_address(scope))
        except ApiError:
            # The real server answers these before it adds its versions.
            scope["reduct.headers"] = [*self._cors, *allowed, _EXPOSE]
            raise

    async def _report(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["reduct.answered"]:
            # Too late for a status: a body that ends early tells the client.
            scope["reduct.cycle"].transport.close()
            return
        await answer(scope, receive, send)
