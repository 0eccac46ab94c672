"""POST /b/{bucket}/{entry}/q: Query or remove records of one entry.

QUERY starts a query and answers with its id, which is valid for this entry only. REMOVE removes
what the query selects before it answers, and needs at least one restriction (422); it creates
the entry if that is missing. `entries` is ignored. Status 409: the bucket or entry is being
removed; 422: condition, extension or range cannot be used. Needs read permission for QUERY,
write permission for REMOVE.
"""

import httpx

from ...models.query_entry import QueryEntry
from ...models.query_id import QueryId
from ...models.removed_records import RemovedRecords
from ...types import RequestSpec, one_of, parse_body, segment, segments, unexpected_status


def build_request(
    bucket: str, entry: str, *, body: QueryEntry
) -> RequestSpec[QueryId | RemovedRecords]:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    * `entry`: Name of the entry, with its slashes.
    """
    headers: dict[str, str] = {"Content-Type": "application/json"}
    return RequestSpec(
        method="POST",
        url=f"/b/{segment(bucket)}/{segments(entry)}/q",
        headers=headers,
        json=body.to_dict(),
        parse=parse_response,
    )


def parse_response(response: httpx.Response) -> QueryId | RemovedRecords:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, one_of(QueryId.from_dict, RemovedRecords.from_dict))
    raise unexpected_status(response)
