"""PATCH /b/{bucket}/{entry}: Change labels of a record.

Each header `x-reduct-label-<name>` sets a label; an empty value removes it. All other labels
stay, and so does the content. A body is ignored. Needs write permission.
"""

import httpx

from ...types import RequestSpec, segment, segments, unexpected_status


def build_request(bucket: str, entry: str, *, ts: int) -> RequestSpec[None]:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    * `entry`: Name of the entry, with its slashes.
    * `ts`: Timestamp of the record, in microseconds.
    """
    params: dict[str, str | int] = {"ts": ts}
    return RequestSpec(
        method="PATCH",
        url=f"/b/{segment(bucket)}/{segments(entry)}",
        params=params,
        parse=parse_response,
    )


def parse_response(response: httpx.Response) -> None:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return
    raise unexpected_status(response)
