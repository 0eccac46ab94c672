"""POST /io/{bucket}/write: Write many records of several entries.

One header `x-reduct-<index>-<delta>` per record; the body is the contents one after the other,
ordered by index and delta as numbers, whatever the order of the headers. `Content-Length` or
`x-reduct-content-length` is required and must be the sum of the lengths. A label with an empty
value is not stored.

**Status 200 does not mean stored**: each record that failed, even for a missing bucket, is
named by a header of the answer. Status 400: the body is shorter than announced or came too
slowly; records received before stay stored. Needs write permission.

Headers of status 200:

* `x-reduct-entries`: Names of entries, percent-encoded and joined by commas; empty if there
  are no records.
* `x-reduct-start-ts`: Timestamp in microseconds that the deltas count from; 0 if there are no
  records.
* `x-reduct-error-<index>-<delta>`: One per record that failed: `<status>,<message>`; the
  status may be negative.
"""

from ...types import Content, StreamSpec, segment


def build_request(
    bucket: str,
    *,
    body: Content,
    x_reduct_entries: str | None = None,
    x_reduct_start_ts: int,
    x_reduct_labels: str | None = None,
    x_reduct_content_length: int | None = None,
) -> StreamSpec:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    * `x_reduct_entries`: Names of entries, percent-encoded and joined by commas; the position
      counts from 0. May be absent only in a batch without records.
    * `x_reduct_start_ts`: Timestamp in microseconds that the deltas count from; not later
      than any record.
    * `x_reduct_labels`: Names of labels, percent-encoded and joined by commas. When present,
      a number in the place of a label's name is the position in this list, from 0.
    * `x_reduct_content_length`: Size of the body in bytes, where `Content-Length` cannot be
      sent or the body is compressed; `Content-Length` wins over it.
    """
    headers: dict[str, str] = {
        "Content-Type": "application/octet-stream",
        "x-reduct-start-ts": str(x_reduct_start_ts),
    }
    if x_reduct_entries is not None:
        headers["x-reduct-entries"] = x_reduct_entries
    if x_reduct_labels is not None:
        headers["x-reduct-labels"] = x_reduct_labels
    if x_reduct_content_length is not None:
        headers["x-reduct-content-length"] = str(x_reduct_content_length)
    return StreamSpec(
        method="POST", url=f"/io/{segment(bucket)}/write", headers=headers, content=body
    )
