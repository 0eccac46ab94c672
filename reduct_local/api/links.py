"""Query links: creation, and downloads without a token."""

import itertools
import logging
from dataclasses import replace

from starlette.requests import Request
from starlette.routing import Route

from reduct_local import links
from reduct_local.api.common import (
    Answer,
    Permission,
    State,
    authorize,
    client_ip,
    json_answer,
    json_body,
    query_params,
    state,
)
from reduct_local.api.records import check_delivers, content_answer, record_headers
from reduct_local.engine import Record
from reduct_local.errors import ApiError
from reduct_local.integers import parse_u64
from reduct_local.links import LinkRequest
from reduct_local.query_request import parse_query

logger = logging.getLogger("reduct_local")

WEB_PORTS = (80, 443)

SECOND = 1_000_000


# -- Creation ---------------------------------------------------------------------------------


async def create(request: Request) -> Answer:
    """Make a link to one record of a query: `POST /links/{file name}`."""
    file_name = request.path_params["file_name"]
    link = links.parse_link(await json_body(request))
    token = await authorize(request, Permission.READ, link.bucket)
    if parse_query(link.query).remove:
        raise ApiError(422, "Only 'Query' type is supported for query links")
    if link.record_entry is None or link.record_timestamp is None:
        raise ApiError(
            422, "Both 'record_entry' and 'record_timestamp' must be provided in payload"
        )
    base = _default_url(request) if link.base_url is None else link.base_url
    if link.base_url is not None:
        links.check_base_url(base)
    sealed = links.seal(link, token.secret)
    # Names are put in as they are, like on the real server.
    url = (
        f"{base}{'' if base.endswith('/') else '/'}api/v1/links/{file_name}"
        f"?ct={sealed['ct']}&s={sealed['s']}&i={token.name}&n={sealed['n']}"
    )
    return json_answer({"link": url})


def _default_url(request: Request) -> str:
    config = state(request).config
    if config.public_url is not None:
        return config.public_url
    port = request.scope["server"][1]
    place = config.host if port in WEB_PORTS else f"{config.host}:{port}"
    return f"http://{place}{config.base_path}"


# -- Download ---------------------------------------------------------------------------------


async def fetch(request: Request) -> Answer:
    """Deliver the record of a link: `GET /links/{any file name}?ct&s&i&n[&e&ts]`."""
    server = state(request)
    link = _opened(server, query_params(request))
    record = await _find(server, link)
    if link.query.get("only_metadata"):
        check_delivers(request, [record])
    headers = [*record_headers(record), (b"accept-ranges", b"bytes")]
    ranges = _ranges(request, record.size)
    if ranges is None:
        server.limits.egress(client_ip(request), record.size)
        if request.method == "HEAD":
            return Answer(200, headers, pieces=(), size=record.size)
        return content_answer(server.engine, headers, [record])
    if not ranges:
        return Answer(416, [*headers, (b"content-range", b"bytes */%d" % record.size)])
    size = sum(last - first + 1 for first, last in ranges)
    server.limits.egress(client_ip(request), size)
    headers.append((b"content-range", b"bytes %d-%d/%d" % (*ranges[0], record.size)))
    pieces = itertools.chain.from_iterable(
        server.engine.content(record, first, last + 1) for first, last in ranges
    )
    return Answer(206, headers, pieces=pieces, size=size)


def _opened(server: State, params: dict[str, str]) -> LinkRequest:
    """Return what a link asks for, if it may still be used."""
    for name in ("ct", "s", "n", "i"):
        if name not in params:
            raise ApiError(422, f"Missing '{name}' parameter")
    token = server.auth.token(params["i"])
    try:
        link = links.unseal(params, token.secret)
    except links.LinkLengthError:
        logger.warning("a link with a salt or nonce of a wrong length: it ends the real server")
        raise
    now = server.clock.now_us()
    if link.expire_at * SECOND < now:
        raise ApiError(422, "Query link has expired")
    link = _for_record(link, params)
    if token.expires_at is not None and now >= token.expires_at:
        raise ApiError(401, "Token has expired")
    server.auth.check(token, Permission.READ, link.bucket)
    return link


def _for_record(link: LinkRequest, params: dict[str, str]) -> LinkRequest:
    """Return the link for the record that the parameters `e` and `ts` name, if they are there."""
    if "e" not in params and "ts" not in params:
        return link
    if "e" not in params or "ts" not in params:
        raise ApiError(422, "Both 'e' and 'ts' parameters must be provided together")
    timestamp = parse_u64(params["ts"])
    if timestamp is None:
        raise ApiError(422, "Invalid 'ts' parameter: it must be a number")
    return replace(link, record_entry=params["e"], record_timestamp=timestamp)


async def _find(server: State, link: LinkRequest) -> Record:
    """Run the query of a link until its record comes; 404 if it does not."""
    query = parse_query({**link.query, "entries": link.query.get("entries") or [link.entry]})
    query_id = server.queries.create(link.bucket, None, query)
    wanted = (link.record_entry, link.record_timestamp)
    missing = ApiError(404, f"Record {wanted[0]}/{wanted[1]} not found in query result")
    while True:
        try:
            batch = await server.queries.take_batch(
                link.bucket, None, query_id, head=True, header_size=lambda _record: 0
            )
        except ApiError as error:
            raise (missing if error.status == 204 else error) from None
        for record in batch.records:
            if (record.entry, record.timestamp) == wanted:
                return record
        # A continuous query never ends: the real server would search for ever.
        if batch.last or (query.continuous and not batch.records):
            raise missing


def _ranges(request: Request, size: int) -> list[tuple[int, int]] | None:
    """Return the asked ranges, none if the answer is 416, None without `Range: bytes=`."""
    header = request.headers.get("range")
    if header is None:
        return None
    if not header.startswith("bytes="):
        logger.warning("Range %r of a link is ignored: it ends the real server", header)
        return None
    return links.parse_ranges(header, size)


def routes() -> list[Route]:
    """Return the routes of links."""
    return [
        Route("/links/{file_name:path}", create, methods=["POST"]),
        Route("/links/{file_name:path}", fetch, methods=["GET"]),
    ]
