"""DELETE /b/{bucket}/{entry}/batch: Remove many records of one entry.

One header `x-reduct-time-<us>` per record, with any value. A missing bucket or entry is 404;
missing records are named by headers of the answer. Needs write permission.

Headers of status 200:

* `x-reduct-error-<us>`: One per record that failed: `<status>,<message>`; the status may be
  negative.
"""

from ...types import StreamSpec, segment, segments


def build_request(bucket: str, entry: str) -> StreamSpec:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    * `entry`: Name of the entry, with its slashes.
    """
    return StreamSpec(method="DELETE", url=f"/b/{segment(bucket)}/{segments(entry)}/batch")
