"""POST /b/{bucket}/{entry}: Write a record.

Creates the entry and its parents where they are missing. `Content-Type` is stored with the
record as it is (`application/octet-stream` without one), and each header
`x-reduct-label-<name>` as a label (names arrive in lower case; values are visible ASCII, spaces
and tabs, and may be empty). `Content-Length` or `x-reduct-content-length` is required; 0 is
allowed. A chunked body that does not have the size announced leaves a broken record, though the
answer is 200.

Most errors are answered only after the whole body was read, unless the request says `Expect:
100-continue`. Status 400: the HARD quota is exceeded, or the body is shorter than announced or
came too slowly. 404: the bucket is missing. 409: a record with this timestamp exists, or the
bucket or entry is being removed. 500: the FIFO quota or the size of the storage cannot be kept.
Needs write permission.
"""

import httpx

from ...types import Content, RequestSpec, segment, segments, unexpected_status


def build_request(
    bucket: str, entry: str, *, body: Content, ts: int, x_reduct_content_length: int | None = None
) -> RequestSpec[None]:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    * `entry`: Name of the entry, with its slashes.
    * `ts`: Timestamp of the record, in microseconds.
    * `x_reduct_content_length`: Size of the body in bytes, where `Content-Length` cannot be
      sent or the body is compressed; `Content-Length` wins over it.
    """
    params: dict[str, str | int] = {"ts": ts}
    headers: dict[str, str] = {"Content-Type": "application/octet-stream"}
    if x_reduct_content_length is not None:
        headers["x-reduct-content-length"] = str(x_reduct_content_length)
    return RequestSpec(
        method="POST",
        url=f"/b/{segment(bucket)}/{segments(entry)}",
        params=params,
        headers=headers,
        content=body,
        parse=parse_response,
    )


def parse_response(response: httpx.Response) -> None:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return
    raise unexpected_status(response)
