"""GET /b/{bucket}/{entry}: Read a record.

The record at `ts`, or the next one of the query `q`, or without either the latest one of the
entry. When both are given, `ts` counts. Ranges are not supported. A record that a query
delivers is consumed: it does not come again.

Status 204: the query has ended; 400: it had ended before. 404: bucket, entry, record or query
are missing, or the time to live of the query is over. 409: the bucket or entry is being
removed. 425: the record is still being written. 500: the record is broken. Needs read
permission.

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
    return StreamSpec(method="GET", url=f"/b/{segment(bucket)}/{segments(entry)}", params=params)
