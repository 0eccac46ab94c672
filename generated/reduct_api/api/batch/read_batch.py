"""GET /b/{bucket}/{entry}/batch: Read the next records of a query.

The body is the contents one after the other, in ascending order of time; sort the headers
`x-reduct-time-<us>` by number to match. Records are consumed: those of a lost answer are lost
for this query. A continuous query with nothing new is answered after a quarter of its time to
live.

Status 204: the query has ended, or a continuous one has nothing new; 404: the query is unknown
or its time to live is over; with a strict condition also that a label is missing. Needs read
permission.

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
        method="GET", url=f"/b/{segment(bucket)}/{segments(entry)}/batch", params=params
    )
