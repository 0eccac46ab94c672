"""DELETE /io/{bucket}/remove: Remove many records of several entries.

One header `x-reduct-<index>-<delta>` per record, with any value. Missing entries and records
are named by headers of the answer; an error at one time is reported for every record of the
request with that time, also for those of other entries that were removed. Needs write
permission.

Headers of status 200:

* `x-reduct-entries`: Names of entries, percent-encoded and joined by commas; empty if there
  are no records.
* `x-reduct-start-ts`: Timestamp in microseconds that the deltas count from; 0 if there are no
  records.
* `x-reduct-error-<index>-<delta>`: One per record that failed: `<status>,<message>`; the
  status may be negative.
"""

from ...types import StreamSpec, segment


def build_request(
    bucket: str, *, x_reduct_entries: str | None = None, x_reduct_start_ts: int
) -> StreamSpec:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    * `x_reduct_entries`: Names of entries, percent-encoded and joined by commas; the position
      counts from 0. May be absent only in a batch without records.
    * `x_reduct_start_ts`: Timestamp in microseconds that the deltas count from; not later
      than any record.
    """
    headers: dict[str, str] = {"x-reduct-start-ts": str(x_reduct_start_ts)}
    if x_reduct_entries is not None:
        headers["x-reduct-entries"] = x_reduct_entries
    return StreamSpec(method="DELETE", url=f"/io/{segment(bucket)}/remove", headers=headers)
