"""POST /io/{bucket}/q: Query or remove records of several entries.

QUERY starts a query over the entries that exist now and answers with its id, which is valid for
this bucket only; a query that matches no entry ends at once. REMOVE removes what the query
selects before it answers, entry by entry in order of names, and needs at least one restriction
(422). State of a condition (`$limit`, `$each_n`) is kept for each entry. Status 409: the bucket
or a matching entry is being removed. Needs read permission for QUERY, write permission for
REMOVE.
"""

import httpx

from ...models.query_entry import QueryEntry
from ...models.query_id import QueryId
from ...models.removed_records import RemovedRecords
from ...types import RequestSpec, one_of, parse_body, segment, unexpected_status


def build_request(bucket: str, *, body: QueryEntry) -> RequestSpec[QueryId | RemovedRecords]:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    """
    headers: dict[str, str] = {"Content-Type": "application/json"}
    return RequestSpec(
        method="POST",
        url=f"/io/{segment(bucket)}/q",
        headers=headers,
        json=body.to_dict(),
        parse=parse_response,
    )


def parse_response(response: httpx.Response) -> QueryId | RemovedRecords:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, one_of(QueryId.from_dict, RemovedRecords.from_dict))
    raise unexpected_status(response)
