"""What the endpoints share: the server's state, permissions, bodies, answers.

An endpoint is `async def name(request: Request) -> Answer`. Path parameters arrive
percent-decoded in `request.path_params`. `ApiError` raised anywhere becomes the error answer;
one with a status below 300 (204) too.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from reduct_local.addresses import client_address
from reduct_local.decoding import BrokenCodingError
from reduct_local.errors import ApiError
from reduct_local.integers import U64_MAX as U64_MAX
from reduct_local.integers import parse_u64 as parse_u64
from reduct_local.json_numbers import parse_number
from reduct_local.permission import Permission as Permission

if TYPE_CHECKING:
    from reduct_local.auth import Auth
    from reduct_local.clock import Clock
    from reduct_local.config import Config
    from reduct_local.engine import Engine
    from reduct_local.lifecycles import Lifecycles
    from reduct_local.limits import Limits
    from reduct_local.queries import Queries
    from reduct_local.replications import Replications
    from reduct_local.token_model import Token

logger = logging.getLogger("reduct_local")

VERSION = "1.21.4"
"""The version of the real server that this one behaves like."""

API_VERSION = "1.21"

BODY_LIMIT = 2_097_152
"""Bytes of a JSON body on most endpoints."""

UNLIMITED_BODY = 64 * 1024 * 1024
"""Bytes of a JSON body where the real server has no limit: it must fit in memory."""

JSON_DEPTH = 127
"""How deep arrays and objects may be nested, as in the real server's JSON parser."""

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]


@dataclass(slots=True, kw_only=True)
class State:
    """Everything that one server owns; endpoints get it by `state(request)`."""

    config: "Config"
    clock: "Clock"
    engine: "Engine"
    queries: "Queries"
    auth: "Auth"
    limits: "Limits"
    replications: "Replications"
    lifecycles: "Lifecycles"
    writers: asyncio.Semaphore | None
    """Places of `RS_IO_MAX_WRITERS_IN_FLIGHT`; None is no limit."""
    started: float
    """`time.monotonic()` of the start."""
    after_removal: Callable[[], None]
    """Call it once a bucket's or entry's removal was marked: finishes it in the background."""


def state(request: Request) -> State:
    """Return the state of the server that answers this request."""
    found: State = request.scope["reduct.state"]
    return found


async def authorize(request: Request, permission: Permission, bucket: str | None = None) -> "Token":
    """Return the caller's token; 401 for none or a bad one, 403 where it may not do this.

    READ and WRITE need the bucket. Without authentication the token is one that may do all.
    """
    auth = state(request).auth
    token = await auth.identify(request.headers.get("authorization"), lambda: client_ip(request))
    auth.check(token, permission, bucket)
    return token


def client_ip(request: Request) -> str:
    """Return the caller's address; of private peers, the one that their proxy headers name."""
    return client_address(request.scope)


# -- Query strings ------------------------------------------------------------


def query_params(request: Request) -> dict[str, str]:
    """Return the parameters of the query string: of a repeated one the last, `+` is a space."""
    query = request.scope["query_string"]
    if not query:
        return {}
    return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="replace"))


# -- Request bodies -----------------------------------------------------------


class OverLimit(Enum):
    """What a JSON body above 2 MiB gets."""

    TEXT_413 = "text"
    """Bucket create, update and rename, `POST /io/{b}/q`: 413 as text."""
    ERROR_422 = "error"
    """Tokens, replications, lifecycles, links: 422."""
    NO_LIMIT = "none"
    """Entry `/q` and `/rename`; above 64 MiB it is 422 all the same."""


class TextError(ApiError):
    """An error answered as plain text, without `x-reduct-error` (those of the web framework)."""


def declared_size(request: Request) -> int | None:
    """Return the announced bytes of the body: `Content-Length`, else `x-reduct-content-length`.

    None if neither is there (compressed bodies lose the first); 422 if it is not a number.
    """
    headers = request.headers
    text = headers.get("content-length")
    if text is None:
        text = headers.get("x-reduct-content-length")
    if text is None:
        return None
    size = parse_u64(text)
    if size is None:
        raise ApiError(422, "Invalid content-length header")
    return size


class BodyTimeout(ApiError):
    """The body paused for longer than `RS_IO_OPERATION_TIMEOUT` (400)."""

    def __init__(self) -> None:
        super().__init__(400, "Timeout while receiving data")


async def body_chunks(request: Request) -> AsyncIterator[bytes]:
    """Yield the body as it comes, decompressed, in non-empty pieces of any size.

    Raises `ClientDisconnect` when the client left before the end, `BodyTimeout` when it paused
    for too long, `BrokenCodingError` (400) for broken compressed data. Bytes beyond a declared
    size are delivered too. Nothing comes any more once the end was reached.
    """
    scope = request.scope
    timeout = state(request).config.operation_timeout
    while not scope.get("reduct.body_ended"):
        try:
            async with asyncio.timeout(timeout):
                message = await request.receive()
        except TimeoutError:
            raise BodyTimeout from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        scope["reduct.body_ended"] = not message.get("more_body", False)
        body = message.get("body", b"")
        if body:
            yield body


async def drain(request: Request) -> None:
    """Read the rest of the body and drop it, as the real server does before late errors.

    With `Expect` nothing is read: the error comes instead of `100 Continue`.
    """
    if "expect" in request.headers:
        return
    try:
        async for _chunk in body_chunks(request):
            pass
    except (ClientDisconnect, ApiError):
        pass


async def json_body(
    request: Request, over_limit: OverLimit = OverLimit.ERROR_422, *, optional: bool = False
) -> dict[str, Any]:
    """Return the JSON object of the body; 422 for anything else.

    Call it before `authorize`: the real server parses these bodies first. With `optional` an
    empty body is an empty object.
    """
    body = await read_limited(request, over_limit)
    if optional and not body:
        return {}
    value = parse_json(body)
    if not isinstance(value, dict):
        raise ApiError(422, f"Invalid JSON: expected an object, got {_json_kind(value)}")
    return value


async def read_limited(request: Request, over_limit: OverLimit) -> bytes:
    """Return a whole body of at most 2 MiB (`NO_LIMIT`: 64 MiB); 413 or 422 for a longer one."""
    limit = UNLIMITED_BODY if over_limit is OverLimit.NO_LIMIT else BODY_LIMIT
    pieces: list[bytes] = []
    size = 0
    try:
        async for chunk in body_chunks(request):
            size += len(chunk)
            if size > limit:
                raise _body_error(over_limit, 413, "length limit exceeded")
            pieces.append(chunk)
    except BrokenCodingError as error:
        raise _body_error(over_limit, 400, error.message) from None
    return b"".join(pieces)


def _body_error(over_limit: OverLimit, status: int, message: str) -> ApiError:
    text = f"Failed to buffer the request body: {message}"
    if over_limit is OverLimit.TEXT_413:
        return TextError(status, text)
    return ApiError(422, text)


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text; 422 for what the real server's parser refuses."""
    try:
        value = json.loads(
            body.decode(),
            parse_constant=_refuse,
            parse_int=parse_number,
            parse_float=parse_number,
        )
    except (ValueError, RecursionError) as error:
        raise ApiError(422, f"Invalid JSON: {error}") from None
    if b"\\u" in body and not _is_unicode(value):
        raise ApiError(422, "Invalid JSON: lone surrogate in a string")
    if body.count(b"[") + body.count(b"{") > JSON_DEPTH and _depth(value) > JSON_DEPTH:
        raise ApiError(422, "Invalid JSON: recursion limit exceeded")
    return value


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _is_unicode(value: object) -> bool:
    """Tell whether all texts can be written as UTF-8, which lone surrogates cannot."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _depth(value: object) -> int:
    level = [value]
    depth = 0
    while level:
        containers = [item for item in level if isinstance(item, (dict, list))]
        depth += bool(containers)
        level = [
            child
            for item in containers
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return depth


def _json_kind(value: object) -> str:
    kinds = {str: "a string", list: "an array", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


# -- Answers ------------------------------------------------------------------


class Answer:
    """A response: status, raw headers, and a body in memory or in pieces.

    With `pieces` give `size`, the sum of their lengths. HEAD answers get the same headers and
    no body; the pieces are then not asked for. `content-length` is added here.
    """

    __slots__ = ("body", "headers", "pieces", "size", "status")

    def __init__(
        self,
        status: int = 200,
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: bytes = b"",
        *,
        pieces: Iterable[bytes] | None = None,
        size: int | None = None,
    ) -> None:
        self.status = status
        self.headers: RawHeaders = list(headers)
        self.body = body
        self.pieces = pieces
        self.size = len(body) if size is None else size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it (an ASGI application)."""
        headers = self.headers
        headers.extend(scope["reduct.headers"])
        if self.status != 204:
            headers.append((b"content-length", b"%d" % self.size))
        if scope["reduct.cycle"].waiting_for_100_continue:
            # The client may now leave its body out: nothing after this can be told apart.
            headers.append((b"connection", b"close"))
        scope["reduct.answered"] = True
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if scope["method"] == "HEAD":
            scope["reduct.cycle"].transport.flush()
            await send({"type": "http.response.body", "body": b""})
        elif self.status == 204:
            await send({"type": "http.response.body", "body": b""})
        elif self.pieces is None:
            await send({"type": "http.response.body", "body": self.body})
        else:
            await self._send_pieces(self.pieces, scope, send)

    @staticmethod
    async def _send_pieces(pieces: Iterable[bytes], scope: Scope, send: Send) -> None:
        cycle = scope["reduct.cycle"]
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            # A fast reader never blocks a write: other requests get their turn here.
            await asyncio.sleep(0)
            if cycle.disconnected:
                return
        await send({"type": "http.response.body", "body": b""})


Endpoint: TypeAlias = Callable[[Request], Awaitable[Answer]]

_JSON_HEADERS: Sequence[tuple[bytes, bytes]] = ((b"content-type", b"application/json"),)


def json_answer(value: object, status: int = 200) -> Answer:
    """Return an answer with a JSON body."""
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Answer(status, _JSON_HEADERS, body.encode("utf-8", "replace"))


def error_answer(error: ApiError) -> Answer:
    """Return the answer that reports an error in the API's format."""
    if isinstance(error, TextError):
        return Answer(
            error.status,
            ((b"content-type", b"text/plain; charset=utf-8"),),
            error.message.encode(),
        )
    # Quotes only: the real server does not escape anything else, clients parse leniently.
    detail = error.message.replace('"', "'")
    headers = [(b"x-reduct-error", header_value(error.message)), *_JSON_HEADERS]
    return Answer(error.status, headers, f'{{"detail": "{detail}"}}'.encode("utf-8", "replace"))


def header_value(text: str) -> bytes:
    """Return a message as a header value, `Unparsable message` if it has control characters."""
    value = text.encode("utf-8", "replace")
    if any((byte < 32 and byte != 9) or byte == 127 for byte in value):
        return b"Unparsable message"
    return value
