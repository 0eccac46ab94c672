"""DELETE /b/{bucket}/{entry}: Remove a record, or the entry with everything below it.

With `ts` the one record, at once. **Without any query string the entry, all entries below it
and their attachments**: they are marked DELETING and removed in the background, and until then
everything else is answered with 409. Attachments themselves cannot be removed this way (422).
Needs write permission.
"""

import httpx

from ...types import RequestSpec, segment, segments, unexpected_status


def build_request(bucket: str, entry: str, *, ts: int | None = None) -> RequestSpec[None]:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    * `entry`: Name of the entry, with its slashes.
    * `ts`: Timestamp of the record to remove, in microseconds. Absent: the whole entry is
      removed.
    """
    params: dict[str, str | int] = {}
    if ts is not None:
        params["ts"] = ts
    return RequestSpec(
        method="DELETE",
        url=f"/b/{segment(bucket)}/{segments(entry)}",
        params=params,
        parse=parse_response,
    )


def parse_response(response: httpx.Response) -> None:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return
    raise unexpected_status(response)
