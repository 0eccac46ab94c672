"""HEAD /b/{bucket}/{entry}/batch: Read the next records of a query, without contents.

As reading, without the body; the only way to read a query with `only_metadata`. Records are
consumed. Needs read permission.

Headers of status 200:

* `x-reduct-last`: `true` if the end of the query was reached, or a continuous query has
  caught up.
* `x-reduct-time-<us>`: One per record: `<length in bytes>,<content type>,<label>=<value>,...`.
"""

from ...types import StreamSpec, segment, segments


def build_request(bucket: str, entry: str, *, q: int) -> StreamSpec:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    * `entry`: Name of the entry, with its slashes.
    * `q`: Id of a query over this entry.
    """
    params: dict[str, str | int] = {"q": q}
    return StreamSpec(
        method="HEAD", url=f"/b/{segment(bucket)}/{segments(entry)}/batch", params=params
    )
