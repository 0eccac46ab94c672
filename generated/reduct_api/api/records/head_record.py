"""HEAD /b/{bucket}/{entry}: Read a record's size, type and labels.

As reading, without the content; `content-length` is the size of the record. A record of the
query `q` is consumed. Needs read permission.

Headers of status 200:

* `x-reduct-time`: Timestamp of the record, in microseconds.
* `x-reduct-entry`: Entry of the record.
* `x-reduct-label-<name>`: One per label of the record.
"""

from ...types import StreamSpec, segment, segments


def build_request(
    bucket: str, entry: str, *, ts: int | None = None, q: int | None = None
) -> StreamSpec:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    * `entry`: Name of the entry, with its slashes.
    * `ts`: Timestamp of the record, in microseconds; wins over `q`.
    * `q`: Id of a query over this entry.
    """
    params: dict[str, str | int] = {}
    if ts is not None:
        params["ts"] = ts
    if q is not None:
        params["q"] = q
    return StreamSpec(method="HEAD", url=f"/b/{segment(bucket)}/{segments(entry)}", params=params)
