"""Batches of records of one entry: batch protocol v1."""

import logging
from collections.abc import Iterable, Sequence

from starlette.requests import Request

from reduct_local import batch_v1
from reduct_local.api.common import (
    Answer,
    Permission,
    RawHeaders,
    authorize,
    client_ip,
    declared_size,
    drain,
    query_params,
    state,
)
from reduct_local.api.records import (
    check_delivers,
    check_removable,
    content_answer,
    query_id_param,
)
from reduct_local.api.uploads import Upload, receive
from reduct_local.engine import Engine, Record
from reduct_local.errors import ApiError

logger = logging.getLogger("reduct_local")


async def write(request: Request, bucket: str, entry: str) -> Answer:
    """Write records: `POST /b/{b}/{e}/batch`; refused ones are named in the answer's headers."""
    await authorize(request, Permission.WRITE, bucket)
    timed = batch_v1.timed_values(request.headers.raw)
    try:
        heads = batch_v1.parse_heads(timed)
        total = sum(head.size for head in heads)
        check_size(declared_size(request), total)
        server = state(request)
        server.limits.ingress(client_ip(request), total)
        upload = Upload(server.engine, bucket, [(entry, head) for head in heads])
        await receive(request, upload)
    except ApiError:
        await drain(request)
        raise
    errors = upload.errors.items()
    warn_of_controls(upload.errors.values())
    return Answer(
        200, [batch_v1.error_header(heads[index].timestamp, error) for index, error in errors]
    )


def check_size(declared: int | None, total: int) -> None:
    """Refuse a body of another size than the records together (422)."""
    if declared is not None and declared != total:
        raise ApiError(
            422,
            "content-length header does not match the sum of the content-lengths in the headers",
        )


def warn_of_controls(errors: Iterable[ApiError]) -> None:
    """Log that the real server would end when it puts such a message into a header."""
    for error in errors:
        if batch_v1.CONTROLS.search(error.message):
            logger.warning(
                "an error of a record has control characters (%r): "
                "the real server does not survive it",
                error.message,
            )


async def update(request: Request, bucket: str, entry: str) -> Answer:
    """Change labels of records: `PATCH /b/{b}/{e}/batch`; lengths and types are ignored."""
    await authorize(request, Permission.WRITE, bucket)
    heads = batch_v1.parse_heads(batch_v1.timed_values(request.headers.raw))
    # Of several headers of one time, such as 1 and 01, the last counts.
    changes = {head.timestamp: head.labels for head in heads}
    engine = state(request).engine
    engine.check_entry(bucket, entry)
    headers: RawHeaders = []
    with engine.transaction():
        for timestamp, labels in changes.items():
            try:
                engine.update_labels(bucket, entry, timestamp, labels)
            except ApiError as error:
                headers.append(batch_v1.error_header(timestamp, error))
    return Answer(200, headers)


async def remove(request: Request, bucket: str, entry: str) -> Answer:
    """Remove records: `DELETE /b/{b}/{e}/batch`; values of headers do not matter."""
    await authorize(request, Permission.WRITE, bucket)
    check_removable(entry)
    timestamps = [timestamp for timestamp, _ in batch_v1.timed_values(request.headers.raw)]
    errors = state(request).engine.remove_records(bucket, entry, timestamps)
    return Answer(200, [batch_v1.error_header(*item) for item in errors.items()])


async def read(request: Request, bucket: str, entry: str) -> Answer:
    """Read the next records of a query: `GET /b/{b}/{e}/batch?q=`."""
    await authorize(request, Permission.READ, bucket)
    query_id = query_id_param(query_params(request))
    if query_id is None:
        raise ApiError(422, "'q' parameter is required for batched reads")
    server = state(request)
    server.engine.check_entry(bucket, entry)
    without_content = server.queries.is_only_metadata(bucket, entry, query_id)
    headers: RawHeaders = []

    def header_size(record: Record) -> int:
        name, value = batch_v1.record_header(
            record.timestamp, record.size, record.content_type, record.labels
        )
        headers.append((name, value))
        return len(name) + len(value) + 2

    is_head = request.method == "HEAD"
    batch = await server.queries.take_batch(
        bucket, entry, query_id, head=is_head, header_size=header_size
    )
    for record in batch.records:
        _check_names(record)
    if without_content:
        check_delivers(request, batch.records)
    headers += end_headers(last=batch.last)
    return batch_answer(request, server.engine, headers, batch.records)


def _check_names(record: Record) -> None:
    if not batch_v1.carries(record.labels):
        logger.warning(
            "record %s/%s/%d has labels that v1 batches cannot name: "
            "the real server does not survive reading it in one",
            record.bucket,
            record.entry,
            record.timestamp,
        )
        raise ApiError(422, "Names of labels that are not ASCII can be read by /io only")


def end_headers(*, last: bool) -> RawHeaders:
    """Return what every read batch carries, v1 or v2."""
    return [
        (b"content-type", b"application/octet-stream"),
        (b"x-reduct-last", b"true" if last else b"false"),
    ]


def batch_answer(
    request: Request, engine: Engine, headers: RawHeaders, records: Sequence[Record]
) -> Answer:
    """Return the answer of a read batch, without contents for HEAD."""
    size = sum(record.size for record in records)
    if request.method == "HEAD":
        return Answer(200, headers, pieces=(), size=size)
    state(request).limits.egress(client_ip(request), size)
    return content_answer(engine, headers, records)
