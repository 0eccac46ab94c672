"""Endpoints of tokens."""

from starlette.requests import Request
from starlette.routing import Route

from reduct_local.api.common import (
    Answer,
    Permission,
    authorize,
    json_answer,
    json_body,
    state,
)
from reduct_local.errors import ApiError
from reduct_local.token_model import format_time, invalid_body, parse_token_request


async def list_tokens(request: Request) -> Answer:
    """List all tokens, without their values."""
    await authorize(request, Permission.FULL)
    return json_answer({"tokens": state(request).auth.describe_all()})


async def get_token(request: Request) -> Answer:
    """Describe one token, without its value."""
    await authorize(request, Permission.FULL)
    return json_answer(state(request).auth.get(request.path_params["token_name"]))


async def create_token(request: Request) -> Answer:
    """Create a token; the answer is the only place where its value shows."""
    # The body is understood before the caller is known, as on the real server.
    try:
        body = await json_body(request)
    except ApiError:
        raise invalid_body() from None
    wanted = parse_token_request(body)
    await authorize(request, Permission.FULL)
    return _created(*state(request).auth.create(request.path_params["token_name"], wanted))


async def rotate_token(request: Request) -> Answer:
    """Give a token a new value."""
    await authorize(request, Permission.FULL)
    return _created(*state(request).auth.rotate(request.path_params["token_name"]))


async def remove_token(request: Request) -> Answer:
    """Remove a token."""
    await authorize(request, Permission.FULL)
    state(request).auth.remove(request.path_params["token_name"])
    return Answer()


def _created(value: str, created_at: int) -> Answer:
    return json_answer({"value": value, "created_at": format_time(created_at)})


def routes() -> list[Route]:
    """Return the routes of this module."""
    return [
        Route("/tokens", list_tokens),
        Route("/tokens/{token_name}", get_token),
        Route("/tokens/{token_name}", create_token, methods=["POST"]),
        Route("/tokens/{token_name}", remove_token, methods=["DELETE"]),
        Route("/tokens/{token_name}/rotate", rotate_token, methods=["POST"]),
    ]
