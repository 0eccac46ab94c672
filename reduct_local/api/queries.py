"""Creation of queries and removal by query: JSON, and the older form in the query string."""

from collections.abc import Mapping

from starlette.requests import Request

from reduct_local.api.common import (
    Answer,
    OverLimit,
    Permission,
    authorize,
    json_answer,
    json_body,
    query_params,
    state,
)
from reduct_local.api.records import check_removable, timestamp_param
from reduct_local.errors import ApiError
from reduct_local.integers import parse_u64
from reduct_local.query_request import parse_query

FILTERS = (
    "entries",
    "start",
    "stop",
    "ttl",
    "only_metadata",
    "continuous",
    "when",
    "strict",
    "ext",
)
"""The fields of which a removal needs at least one."""


async def create(request: Request, bucket: str, entry: str) -> Answer:
    """Start a query on an entry or remove by it: `POST /b/{b}/{e}/q`."""
    document = await json_body(request, OverLimit.NO_LIMIT)
    return await _run(request, bucket, entry, document)


async def create_multi(request: Request) -> Answer:
    """Start a query over several entries or remove by it: `POST /io/{b}/q`."""
    document = await json_body(request, OverLimit.TEXT_413)
    return await _run(request, request.path_params["bucket_name"], None, document)


async def _run(
    request: Request, bucket: str, entry: str | None, document: Mapping[str, object]
) -> Answer:
    parsed = parse_query(document)
    permission = Permission.WRITE if parsed.remove else Permission.READ
    await authorize(request, permission, bucket)
    server = state(request)
    if not parsed.remove:
        return json_answer({"id": server.queries.create(bucket, entry, parsed)})
    if not any(document.get(name) is not None for name in FILTERS):
        raise ApiError(422, "Define at least one query parameter to delete records")
    if entry is not None:
        server.engine.create_entry(bucket, entry)
    return json_answer({"removed_records": server.queries.remove(bucket, entry, parsed)})


async def create_by_get(request: Request, bucket: str, entry: str) -> Answer:
    """Start a query by parameters: `GET /b/{b}/{e}/q`."""
    await authorize(request, Permission.READ, bucket)
    server = state(request)
    server.engine.check_entry(bucket, entry)
    parsed = parse_query(_document(query_params(request), "QUERY"))
    return json_answer({"id": server.queries.create(bucket, entry, parsed)})


async def remove_by_delete(request: Request, bucket: str, entry: str) -> Answer:
    """Remove the records of a range: `DELETE /b/{b}/{e}/q?...`."""
    check_removable(entry)
    await authorize(request, Permission.WRITE, bucket)
    server = state(request)
    server.engine.create_entry(bucket, entry)
    params = query_params(request)
    if not params:
        raise ApiError(422, "Define at least one query parameter to delete records")
    parsed = parse_query(_document(params, "REMOVE"))
    return json_answer({"removed_records": server.queries.remove(bucket, entry, parsed)})


def _document(params: dict[str, str], query_type: str) -> Mapping[str, object]:
    """Return the JSON form of a query given by parameters; unknown ones are ignored."""
    return {
        "query_type": query_type,
        "continuous": _flag(params),
        "ttl": _seconds(params),
        "start": timestamp_param(params, "start"),
        "stop": timestamp_param(params, "stop"),
    }


def _flag(params: dict[str, str]) -> bool | None:
    text = params.get("continuous")
    if text not in (None, "true", "false"):
        raise ApiError(422, "'continue' must be a bool value")
    return None if text is None else text == "true"


def _seconds(params: dict[str, str]) -> int | None:
    if "ttl" not in params:
        return None
    seconds = parse_u64(params["ttl"])
    if seconds is None:
        raise ApiError(422, "'ttl' must be in seconds as an unsigned integer")
    return seconds
