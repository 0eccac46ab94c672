"""POST /b/{bucket}/{entry}/batch: Write many records of one entry.

One header `x-reduct-time-<us>` per record; the body is the contents one after the other, in
ascending order of time whatever the order of the headers. A size that is announced must be the
sum of the lengths (422). The entry and its parents are created where they are missing.

**Status 200 does not mean stored**: each record that failed, even for a missing bucket, is
named by a header of the answer. Status 400: the body is shorter than announced or came too
slowly; records received before stay stored. Needs write permission.

Headers of status 200:

* `x-reduct-error-<us>`: One per record that failed: `<status>,<message>`; the status may be
  negative.
"""

from ...types import Content, StreamSpec, segment, segments


def build_request(
    bucket: str, entry: str, *, body: Content, x_reduct_content_length: int | None = None
) -> StreamSpec:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    * `entry`: Name of the entry, with its slashes.
    * `x_reduct_content_length`: Size of the body in bytes, where `Content-Length` cannot be
      sent or the body is compressed; `Content-Length` wins over it.
    """
    headers: dict[str, str] = {"Content-Type": "application/octet-stream"}
    if x_reduct_content_length is not None:
        headers["x-reduct-content-length"] = str(x_reduct_content_length)
    return StreamSpec(
        method="POST",
        url=f"/b/{segment(bucket)}/{segments(entry)}/batch",
        headers=headers,
        content=body,
    )
