"""PATCH /io/{bucket}/update: Change labels of many records of several entries.

One header `x-reduct-<index>-<delta>` per record, `0,,<label>=<value>,...`; an empty value
removes the label. **Operations accumulate**: a record also receives those of all earlier
records of its entry in the same request. Missing entries and records are named by headers of
the answer. Needs write permission.

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
    bucket: str,
    *,
    x_reduct_entries: str | None = None,
    x_reduct_start_ts: int,
    x_reduct_labels: str | None = None,
) -> StreamSpec:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    * `x_reduct_entries`: Names of entries, percent-encoded and joined by commas; the position
      counts from 0. May be absent only in a batch without records.
    * `x_reduct_start_ts`: Timestamp in microseconds that the deltas count from; not later
      than any record.
    * `x_reduct_labels`: Names of labels, percent-encoded and joined by commas. When present,
      a number in the place of a label's name is the position in this list, from 0.
    """
    headers: dict[str, str] = {"x-reduct-start-ts": str(x_reduct_start_ts)}
    if x_reduct_entries is not None:
        headers["x-reduct-entries"] = x_reduct_entries
    if x_reduct_labels is not None:
        headers["x-reduct-labels"] = x_reduct_labels
    return StreamSpec(method="PATCH", url=f"/io/{segment(bucket)}/update", headers=headers)
