"""DELETE /b/{bucket}/{entry}/q: Remove records of one entry between two times.

At least one parameter of any name is required (422). **Parameters that the server does not know
are ignored, so a misspelt one removes every record of the entry.** A missing entry is created.
Use POST with REMOVE for conditions. Needs write permission.
"""

import httpx

from ...models.removed_records import RemovedRecords
from ...types import RequestSpec, parse_body, segment, segments, unexpected_status


def build_request(
    bucket: str,
    entry: str,
    *,
    start: int | None = None,
    stop: int | None = None,
    ttl: int | None = None,
    continuous: bool | None = None,
) -> RequestSpec[RemovedRecords]:
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
        method="DELETE",
        url=f"/b/{segment(bucket)}/{segments(entry)}/q",
        params=params,
        parse=parse_response,
    )


def parse_response(response: httpx.Response) -> RemovedRecords:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, RemovedRecords.from_dict)
    raise unexpected_status(response)
