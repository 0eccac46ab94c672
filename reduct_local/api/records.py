"""Single records: write, read, update, remove; removal and renaming of entries."""

import itertools
import logging
import re
from collections.abc import Iterable, Iterator, Sequence

from starlette.requests import Request

from reduct_local.api.common import (
    Answer,
    OverLimit,
    Permission,
    RawHeaders,
    authorize,
    client_ip,
    declared_size,
    drain,
    json_body,
    query_params,
    state,
)
from reduct_local.api.uploads import Upload, receive
from reduct_local.batch_v1 import DEFAULT_TYPE, RecordHead, ascii_text
from reduct_local.engine import Engine, Record
from reduct_local.errors import ApiError
from reduct_local.integers import parse_u64
from reduct_local.names import is_meta

logger = logging.getLogger("reduct_local")

LABEL_PREFIX = b"x-reduct-label-"

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]*")

SMALL_CONTENT = 1024 * 1024
"""Contents up to this size in bytes are read before the answer begins."""


# -- Requests -------------------------------------------------------------------------------


def timestamp_param(params: dict[str, str], name: str = "ts") -> int | None:
    """Return a time in microseconds of the query string, None without it; 422 for no number."""
    if name not in params:
        return None
    timestamp = parse_u64(params[name])
    if timestamp is None:
        raise ApiError(422, f"'{name}' must be an unix timestamp in microseconds")
    return timestamp


def query_id_param(params: dict[str, str]) -> int | None:
    """Return the id of a query of the query string, None without it; 422 for no number."""
    if "q" not in params:
        return None
    query_id = parse_u64(params["q"])
    if query_id is None:
        raise ApiError(422, "'query' must be a number")
    return query_id


def _required_timestamp(request: Request) -> int:
    timestamp = timestamp_param(query_params(request))
    if timestamp is None:
        raise ApiError(422, "'ts' parameter is required")
    return timestamp


def _labels(request: Request) -> dict[str, str]:
    """Return the labels of the headers; of a repeated one the last counts."""
    return {
        name[len(LABEL_PREFIX) :].decode("latin-1"): ascii_text(value).strip()
        for name, value in request.headers.raw
        if name.startswith(LABEL_PREFIX)
    }


def check_removable(entry: str, *, whole: bool = False) -> None:
    """Refuse the removal of attachments, or of the `whole` entry that holds them (422)."""
    if not is_meta(entry):
        return
    if whole:
        raise ApiError(422, f"Can't delete system entry '{entry}'; remove the parent entry instead")
    raise ApiError(
        422,
        f"Can't delete records from system entry '{entry}'; use label update with remove=true",
    )


# -- Write, update, remove --------------------------------------------------------------------


async def write(request: Request, bucket: str, entry: str) -> Answer:
    """Write one record: `POST /b/{b}/{e}?ts=`."""
    await authorize(request, Permission.WRITE, bucket)
    try:
        head = _announced(request)
    except ApiError:
        await drain(request)
        raise
    upload = Upload(state(request).engine, bucket, [(entry, head)], single=True)
    await receive(request, upload)
    if upload.errors:
        await drain(request)
        raise upload.errors[0]
    return Answer()


def _announced(request: Request) -> RecordHead:
    timestamp = _required_timestamp(request)
    size = declared_size(request)
    if size is None:
        raise ApiError(422, "content-length header is required")
    state(request).limits.ingress(client_ip(request), size)
    content_type = next(
        (value for name, value in request.headers.raw if name == b"content-type"), None
    )
    text = DEFAULT_TYPE if content_type is None else ascii_text(content_type).strip()
    return RecordHead(timestamp, size, text, _labels(request))


async def update(request: Request, bucket: str, entry: str) -> Answer:
    """Change the labels of one record: `PATCH /b/{b}/{e}?ts=`."""
    await authorize(request, Permission.WRITE, bucket)
    timestamp = _required_timestamp(request)
    state(request).engine.update_labels(bucket, entry, timestamp, _labels(request))
    return Answer()


async def remove(request: Request, bucket: str, entry: str) -> Answer:
    """Remove one record, or without any parameter the entry: `DELETE /b/{b}/{e}[?ts=]`."""
    params = query_params(request)
    if not params:
        return await _remove_entry(request, bucket, entry)
    await authorize(request, Permission.WRITE, bucket)
    timestamp = _required_timestamp(request)
    check_removable(entry)
    errors = state(request).engine.remove_records(bucket, entry, [timestamp])
    if errors:
        raise errors[timestamp]
    return Answer()


async def _remove_entry(request: Request, bucket: str, entry: str) -> Answer:
    check_removable(entry, whole=True)
    await authorize(request, Permission.WRITE, bucket)
    server = state(request)
    server.engine.remove_entry(bucket, entry)
    server.queries.forget_entries(bucket, entry)
    server.after_removal()
    return Answer()


async def rename_entry(request: Request, bucket: str, entry: str) -> Answer:
    """Rename an entry and all below it: `PUT /b/{b}/{e}/rename`."""
    body = await json_body(request, OverLimit.NO_LIMIT)
    new_name = body.get("new_name")
    if not isinstance(new_name, str):
        raise ApiError(422, "Invalid JSON: missing field `new_name`, or it is not a string")
    await authorize(request, Permission.WRITE, bucket)
    server = state(request)
    server.engine.rename_entry(bucket, entry, new_name)
    server.queries.forget_renamed(bucket, entry)
    return Answer()


# -- Read -------------------------------------------------------------------------------------


async def read(request: Request, bucket: str, entry: str) -> Answer:
    """Read one record by time, of a query, or the latest: `GET /b/{b}/{e}[?ts=|q=]`."""
    await authorize(request, Permission.READ, bucket)
    server = state(request)
    server.engine.check_entry(bucket, entry)
    params = query_params(request)
    timestamp = timestamp_param(params)
    query_id = query_id_param(params)
    if timestamp is None and query_id is not None:
        without_content = server.queries.is_only_metadata(bucket, entry, query_id)
        record = await server.queries.take_one(bucket, entry, query_id)
        if without_content:
            check_delivers(request, [record])
    else:
        record = server.engine.read(bucket, entry, timestamp)
    if request.method == "HEAD":
        return Answer(200, record_headers(record), pieces=(), size=record.size)
    server.limits.egress(client_ip(request), record.size)
    return content_answer(server.engine, record_headers(record), [record])


def check_delivers(request: Request, records: Iterable[Record]) -> None:
    """Refuse to GET records of an `only_metadata` query, unless there is no content anyway."""
    if request.method != "HEAD" and any(record.size for record in records):
        logger.warning(
            "GET of a query with only_metadata: "
            "the real server closes the connection without an answer"
        )
        raise ApiError(422, "A query with 'only_metadata' has no content: read it with HEAD")


def record_headers(record: Record) -> RawHeaders:
    """Return the headers of a single record.

    422 for names of labels that no header can have; they come from batch writes.
    """
    headers: RawHeaders = [
        (b"content-type", record.content_type.encode()),
        (b"content-disposition", b"attachment"),
        (b"x-reduct-time", b"%d" % record.timestamp),
        (b"x-reduct-entry", record.entry.encode()),
    ]
    # Names that differ in case only become one header, as on the real server.
    labels = {name.lower(): (name, value) for name, value in record.labels.items()}
    for lower, (name, value) in labels.items():
        if not _HEADER_NAME.fullmatch(name):
            logger.warning(
                "record %s/%s/%d has the label %r, which no header can name: "
                "the real server does not survive reading it singly",
                record.bucket,
                record.entry,
                record.timestamp,
                name,
            )
            raise ApiError(422, f"Label '{name}' can be read in batches only")
        headers.append((LABEL_PREFIX + lower.encode(), value.encode()))
    return headers


def content_answer(engine: Engine, headers: RawHeaders, records: Sequence[Record]) -> Answer:
    """Return a 200 with the contents of the records one after the other."""
    size = sum(record.size for record in records)
    pieces = contents(engine, records)
    if size <= SMALL_CONTENT:
        return Answer(200, headers, b"".join(pieces))
    # The first piece is read now: if it is not there any more, the answer can still be an error.
    first = next(pieces)
    return Answer(200, headers, pieces=itertools.chain([first], pieces), size=size)


def contents(engine: Engine, records: Iterable[Record]) -> Iterator[bytes]:
    """Yield the contents of the records one after the other, in pieces."""
    for record in records:
        if record.size:
            yield from engine.content(record)
