"""PUT /b/{bucket}/{entry}/rename: Rename an entry with everything below it.

Attachments follow, and missing parents of the new name are created. All running queries over
the entries of the bucket end with 404. Status 409 means that the new name exists, equals the
old one or lies below it, or that the entry is being removed. Needs write permission.
"""

import httpx

from ...models.rename_entry_request import RenameEntryRequest
from ...types import RequestSpec, segment, segments, unexpected_status


def build_request(bucket: str, entry: str, *, body: RenameEntryRequest) -> RequestSpec[None]:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    * `entry`: Name of the entry, with its slashes.
    """
    headers: dict[str, str] = {"Content-Type": "application/json"}
    return RequestSpec(
        method="PUT",
        url=f"/b/{segment(bucket)}/{segments(entry)}/rename",
        headers=headers,
        json=body.to_dict(),
        parse=parse_response,
    )


def parse_response(response: httpx.Response) -> None:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return
    raise unexpected_status(response)
