"""GET /links/{file_name}: Read the record of a link.

Runs the query of the link and answers with the one record that it names. Status 401: the token
that made the link has expired; 403: it may no longer read the bucket; 404: token, bucket or
record are gone; 422: the link has expired or cannot be decoded. Needs no token.

Headers of status 200:

* `x-reduct-time`: Timestamp of the record, in microseconds.
* `x-reduct-entry`: Entry of the record.
* `x-reduct-label-<name>`: One per label of the record.
* `accept-ranges`: Always `bytes`.

Headers of status 206:

* `x-reduct-time`: Timestamp of the record, in microseconds.
* `x-reduct-entry`: Entry of the record.
* `x-reduct-label-<name>`: One per label of the record.
* `accept-ranges`: Always `bytes`.
* `content-range`: `bytes <first>-<last>/<size>`.
"""

from ...types import StreamSpec, segments


def build_request(
    file_name: str,
    *,
    ct: str,
    s: str,
    i: str,
    n: str,
    e: str | None = None,
    ts: int | None = None,
    range_: str | None = None,
) -> StreamSpec:
    """Describe the request; nothing is sent.

    * `file_name`: Name of the file that a browser stores, with its slashes; any name.
    * `ct`: The encrypted request, base64url without padding.
    * `s`: The salt of the key, base64url without padding.
    * `i`: Name of the token that made the link.
    * `n`: The nonce of the encryption, base64url without padding.
    * `e`: Entry of another record of the link's query; only together with `ts`.
    * `ts`: Timestamp in microseconds of another record of the link's query; only together
      with `e`.
    * `range_`: A range of bytes: `bytes=<first>-<last>`, `bytes=<first>-` or
      `bytes=-<count>`. Several ranges are answered one after the other, with the
      `content-range` of the first. A last byte beyond the end of the record gives a damaged
      answer, so learn the size from `bytes=0-0` first; **other units end the server process**.
    """
    params: dict[str, str | int] = {"ct": ct, "s": s, "i": i, "n": n}
    if e is not None:
        params["e"] = e
    if ts is not None:
        params["ts"] = ts
    headers: dict[str, str] = {}
    if range_ is not None:
        headers["Range"] = range_
    return StreamSpec(
        method="GET", url=f"/links/{segments(file_name)}", params=params, headers=headers
    )
