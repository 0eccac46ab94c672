"""GET /b/{bucket}/{entry}/q: Start a query over one entry, by parameters.

Knows neither conditions nor extensions, and ignores parameters that it does not know. Use POST.
Needs read permission.
"""

import httpx

from ...models.query_id import QueryId
from ...types import RequestSpec, parse_body, segment, segments, unexpected_status


def build_request(
    bucket: str,
    entry: str,
    *,
    start: int | None = None,
    stop: int | None = None,
    ttl: int | None = None,
    continuous: bool | None = None,
) -> RequestSpec[QueryId]:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    * `entry`: Name of the entry, with its slashes.
    * `start`: First timestamp, in microseconds, included; the oldest record if absent. Later
      than `stop` is refused (422), also where one of them is absent.
    * `stop`: Timestamp to stop at, in microseconds, excluded; after the latest record if
      absent.
    * `ttl`: Seconds for which the query is kept after the start of its last read; 60 if
      absent. With 0 it is over at once.
    * `continuous`: Whether the query goes on with records written later, and ignores `stop`.
    """
    params: dict[str, str | int] = {}
    if start is not None:
        params["start"] = start
    if stop is not None:
        params["stop"] = stop
    if ttl is not None:
        params["ttl"] = ttl
    if continuous is not None:
        params["continuous"] = "true" if continuous else "false"
    return RequestSpec(
        method="GET",
        url=f"/b/{segment(bucket)}/{segments(entry)}/q",
        params=params,
        parse=parse_response,
    )


def parse_response(response: httpx.Response) -> QueryId:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, QueryId.from_dict)
    raise unexpected_status(response)
