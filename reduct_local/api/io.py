"""Batches of records over several entries: batch protocol v2."""

from starlette.requests import Request
from starlette.routing import Route

from reduct_local import batch_v2
from reduct_local.api.batches import batch_answer, check_size, end_headers, warn_of_controls
from reduct_local.api.common import (
    Answer,
    Permission,
    authorize,
    client_ip,
    declared_size,
    drain,
    state,
)
from reduct_local.api.queries import create_multi
from reduct_local.api.records import check_delivers, check_removable
from reduct_local.api.uploads import Upload, receive
from reduct_local.batch_v2 import BatchRequest, Place
from reduct_local.engine import Record
from reduct_local.errors import ApiError
from reduct_local.integers import parse_u64


async def write(request: Request) -> Answer:
    """Write records: `POST /io/{b}/write`; refused ones are named in the answer's headers."""
    bucket = request.path_params["bucket_name"]
    await authorize(request, Permission.WRITE, bucket)
    batch = batch_v2.parse_request(request.headers.raw)
    heads = batch_v2.parse_heads(batch)
    declared = declared_size(request)
    if declared is None:
        raise ApiError(422, "content-length header is required")
    check_size(declared, sum(head.size for _, head in heads))
    server = state(request)
    upload = Upload(server.engine, bucket, [(place.entry, head) for place, head in heads])
    try:
        server.limits.ingress(client_ip(request), declared)
        await receive(request, upload)
    except ApiError:
        await drain(request)
        raise
    errors = [(heads[index][0], error) for index, error in upload.errors.items()]
    return _reported(batch, errors)


def _reported(batch: BatchRequest, errors: list[tuple[Place, ApiError]]) -> Answer:
    warn_of_controls(error for _, error in errors)
    return Answer(200, batch.echo() + [batch_v2.error_header(*item) for item in errors])


async def update(request: Request) -> Answer:
    """Change labels of records: `PATCH /io/{b}/update`."""
    bucket = request.path_params["bucket_name"]
    await authorize(request, Permission.WRITE, bucket)
    batch = batch_v2.parse_request(request.headers.raw)
    # Of several changes of one record the last counts.
    changes = {batch.first_place(place): labels for place, labels in batch_v2.parse_updates(batch)}
    engine = state(request).engine
    engine.check_bucket(bucket)
    errors = []
    with engine.transaction():
        for place, labels in changes.items():
            try:
                engine.update_labels(bucket, place.entry, place.timestamp, labels)
            except ApiError as error:
                errors.append((place, error))
    return _reported(batch, errors)


async def remove(request: Request) -> Answer:
    """Remove records: `DELETE /io/{b}/remove`; values of headers do not matter.

    Errors are told per timestamp, as on the real server: where one entry has no record at a
    time, every record of the request with this time is reported.
    """
    bucket = request.path_params["bucket_name"]
    await authorize(request, Permission.WRITE, bucket)
    batch = batch_v2.parse_request(request.headers.raw, with_labels=False)
    for entry in batch.entries:
        check_removable(entry)
    places = batch.places()
    engine = state(request).engine
    engine.check_bucket(bucket)
    errors: dict[int, ApiError] = {}
    for entry in dict.fromkeys(place.entry for place in places):
        timestamps = [place.timestamp for place in places if place.entry == entry]
        try:
            errors |= engine.remove_records(bucket, entry, timestamps)
        except ApiError as error:
            errors |= dict.fromkeys(timestamps, error)
    return _reported(
        batch,
        [(place, errors[place.timestamp]) for place in places if place.timestamp in errors],
    )


async def read(request: Request) -> Answer:
    """Read the next records of a query: `GET /io/{b}/read`."""
    bucket = request.path_params["bucket_name"]
    await authorize(request, Permission.READ, bucket)
    query_id = _query_id(request)
    server = state(request)
    server.engine.check_bucket(bucket)
    without_content = server.queries.is_only_metadata(bucket, None, query_id)
    encoder = batch_v2.Encoder[Record]()
    is_head = request.method == "HEAD"
    batch = await server.queries.take_batch(
        bucket, None, query_id, head=is_head, header_size=encoder.add
    )
    if without_content:
        check_delivers(request, batch.records)
    headers, records = encoder.finish()
    headers += end_headers(last=batch.last)
    return batch_answer(request, server.engine, headers, records)


def _query_id(request: Request) -> int:
    text = request.headers.get("x-reduct-query-id")
    if text is None:
        raise ApiError(422, "x-reduct-query-id header is required for batched reads")
    query_id = parse_u64(text)
    if query_id is None:
        raise ApiError(422, "Invalid query id")
    return query_id


def routes() -> list[Route]:
    """Return the routes below `/io/{bucket}`."""
    return [
        Route("/io/{bucket_name}/write", write, methods=["POST"]),
        Route("/io/{bucket_name}/q", create_multi, methods=["POST"]),
        Route("/io/{bucket_name}/read", read, methods=["GET"]),
        Route("/io/{bucket_name}/update", update, methods=["PATCH"]),
        Route("/io/{bucket_name}/remove", remove, methods=["DELETE"]),
    ]
