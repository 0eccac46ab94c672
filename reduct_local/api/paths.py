"""What a path below a bucket means: the entry, and what its last segment asks for."""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TypeAlias

from starlette.requests import Request
from starlette.routing import Route

from reduct_local.api import batches, queries, records
from reduct_local.api.common import Answer
from reduct_local.errors import ApiError


class Action(Enum):
    """What is to be done with an entry; the value is the suffix of the path."""

    RECORD = ""
    BATCH = "/batch"
    QUERY = "/q"
    RENAME = "/rename"


EntryEndpoint: TypeAlias = Callable[[Request, str, str], Awaitable[Answer]]
"""Takes the request, the name of the bucket and that of the entry."""

_ENDPOINTS: dict[tuple[str, Action], EntryEndpoint] = {
    ("POST", Action.BATCH): batches.write,
    ("POST", Action.QUERY): queries.create,
    ("POST", Action.RECORD): records.write,
    ("GET", Action.BATCH): batches.read,
    ("GET", Action.QUERY): queries.create_by_get,
    ("GET", Action.RECORD): records.read,
    ("PATCH", Action.BATCH): batches.update,
    ("PATCH", Action.RECORD): records.update,
    ("DELETE", Action.BATCH): batches.remove,
    ("DELETE", Action.QUERY): queries.remove_by_delete,
    ("DELETE", Action.RECORD): records.remove,
    ("PUT", Action.RENAME): records.rename_entry,
}

METHODS = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"]


def resolve(method: str, path: str) -> tuple[Action, str] | None:
    """Return the action and the entry of the decoded path behind the bucket; None is 404.

    One suffix at most is taken off, and only where something stays before it.
    """
    method = "GET" if method == "HEAD" else method
    for action in (Action.BATCH, Action.QUERY, Action.RENAME):
        entry = path.removesuffix(action.value)
        if entry and entry != path and (method, action) in _ENDPOINTS:
            return action, entry
    return (Action.RECORD, path) if (method, Action.RECORD) in _ENDPOINTS else None


async def dispatch(request: Request) -> Answer:
    """Answer a request for an entry, its records, batches or queries."""
    method = request.method
    path = request.path_params["entry_name"]
    resolved = resolve(method, path)
    if resolved is None:
        raise ApiError(404, "Not found")
    action, entry = resolved
    endpoint = _ENDPOINTS["GET" if method == "HEAD" else method, action]
    return await endpoint(request, request.path_params.get("bucket_name", ""), entry)


def routes() -> list[Route]:
    """Return the routes below `/b/{bucket}/`; the real router lets the bucket be empty."""
    return [
        Route("/b/{bucket_name}/{entry_name:path}", dispatch, methods=METHODS),
        Route("/b//{entry_name:path}", dispatch, methods=METHODS),
    ]
