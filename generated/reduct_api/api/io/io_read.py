"""GET /io/{bucket}/read: Read the next records of a query.

The body is the contents one after the other, ordered by index and delta of the headers
`x-reduct-<index>-<delta>`: all records of the first entry, then all of the second. Entries are
numbered anew in each answer. An answer without records (`x-reduct-entries` is empty) is not the
end: ask again. It comes after 5 s, when a continuous query has nothing new or a filter finds
nothing. Records are consumed: those of a lost answer are lost for this query.

Status 204: the query has ended; 404: the query is unknown or its time to live is over; with a
strict condition also that a label is missing. Needs read permission.

Headers of status 200:

* `x-reduct-entries`: Names of entries, percent-encoded and joined by commas; empty if there
  are no records.
* `x-reduct-start-ts`: Timestamp in microseconds that the deltas count from; 0 if there are no
  records.
* `x-reduct-labels`: Names of labels, percent-encoded and joined by commas; absent if no
  record has labels.
* `x-reduct-last`: `true` if the end of the query was reached, or a continuous query has
  caught up.
* `x-reduct-<index>-<delta>`: One per record: `<length in bytes>,<content type>,<label
  index>=<value>,...`. What did not change since the record before of the same entry is left
  out; an empty value says that the label is gone.
"""

from ...types import StreamSpec, segment


def build_request(bucket: str, *, x_reduct_query_id: int) -> StreamSpec:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    * `x_reduct_query_id`: Id of a query over this bucket.
    """
    headers: dict[str, str] = {"x-reduct-query-id": str(x_reduct_query_id)}
    return StreamSpec(method="GET", url=f"/io/{segment(bucket)}/read", headers=headers)
