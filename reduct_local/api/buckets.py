"""Endpoints of buckets."""

import json

from starlette.requests import Request
from starlette.routing import Route

from reduct_local.api.common import (
    Answer,
    OverLimit,
    Permission,
    TextError,
    authorize,
    json_answer,
    json_body,
    parse_json,
    read_limited,
    state,
)
from reduct_local.errors import ApiError


async def get_bucket(request: Request) -> Answer:
    """Describe a bucket, its settings and its entries."""
    name = request.path_params["bucket_name"]
    await authorize(request, Permission.READ, name)
    engine = state(request).engine
    info = engine.bucket_info(name)
    return json_answer(
        {
            "info": info.to_dict(),
            "settings": engine.settings(name).to_dict(),
            "entries": [entry.to_dict() for entry in engine.entry_infos(name)],
        }
    )


async def head_bucket(request: Request) -> Answer:
    """Tell whether a bucket exists; any token may ask."""
    await authorize(request, Permission.ANY)
    state(request).engine.check_bucket(request.path_params["bucket_name"])
    return Answer()


async def create_bucket(request: Request) -> Answer:
    """Create a bucket."""
    settings = await json_body(request, OverLimit.TEXT_413, optional=True)
    await authorize(request, Permission.FULL)
    state(request).engine.create_bucket(request.path_params["bucket_name"], settings)
    return Answer()


async def change_bucket(request: Request) -> Answer:
    """Change settings of a bucket."""
    settings = await json_body(request, OverLimit.TEXT_413, optional=True)
    await authorize(request, Permission.FULL)
    state(request).engine.change_settings(request.path_params["bucket_name"], settings)
    return Answer()


async def remove_bucket(request: Request) -> Answer:
    """Mark a bucket for removal, which follows in the background."""
    await authorize(request, Permission.FULL)
    name = request.path_params["bucket_name"]
    server = state(request)
    server.engine.remove_bucket(name)
    server.queries.forget_bucket(name)
    server.auth.forget_bucket(name)
    server.after_removal()
    return Answer()


async def rename_bucket(request: Request) -> Answer:
    """Rename a bucket; the permissions of tokens follow."""
    new_name = await _new_name(request)
    await authorize(request, Permission.FULL)
    name = request.path_params["bucket_name"]
    server = state(request)
    server.engine.rename_bucket(name, new_name)
    server.queries.forget_bucket(name)
    server.auth.forget_bucket(name, new_name)
    return Answer()


async def _new_name(request: Request) -> str:
    """Return the `new_name` of the body, read as strictly as the real server's framework."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    kind, _, subtype = media_type.partition("/")
    if kind != "application" or not (subtype == "json" or subtype.endswith("+json")):
        raise TextError(415, "Expected request with `Content-Type: application/json`")
    body = await read_limited(request, OverLimit.TEXT_413)
    try:
        new_name = _name_in(parse_json(body))
    except ApiError as error:
        # The real server reads value by value: what lacks a name is wrong before what follows.
        if _name_in(_first_value(body)) is not None:
            message = f"Failed to parse the request body as JSON: {error.message}"
            raise TextError(400, message) from None
        new_name = None
    if new_name is None:
        raise TextError(
            422, "Failed to deserialize the JSON body into the target type: missing `new_name`"
        )
    return new_name


def _name_in(value: object) -> str | None:
    name = value.get("new_name") if isinstance(value, dict) else None
    return name if isinstance(name, str) else None


def _first_value(body: bytes) -> object:
    """Return the JSON value at the beginning of a body; without any, one that has a name."""
    try:
        value, _end = json.JSONDecoder().raw_decode(body.decode(errors="replace").lstrip())
    except (ValueError, RecursionError):
        return {"new_name": ""}
    return value


def routes() -> list[Route]:
    """Return the routes of this module."""
    path = "/b/{bucket_name}"
    return [
        Route(path, get_bucket),
        Route(path, head_bucket, methods=["HEAD"]),
        Route(path, create_bucket, methods=["POST"]),
        Route(path, change_bucket, methods=["PUT"]),
        Route(path, remove_bucket, methods=["DELETE"]),
        Route(path + "/rename", rename_bucket, methods=["PUT"]),
    ]
