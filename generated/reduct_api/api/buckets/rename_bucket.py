"""PUT /b/{bucket}/rename: Rename a bucket.

Permissions of tokens follow the new name; replications, lifecycle policies and running queries
do not. Status 409 means that the new name exists, or that the bucket is provisioned or being
removed. A body that is no JSON (400), of another content type (415) or of another shape (422)
is refused with plain text. Needs full access.
"""

import httpx

from ...models.rename_bucket_request import RenameBucketRequest
from ...types import RequestSpec, segment, unexpected_status


def build_request(bucket: str, *, body: RenameBucketRequest) -> RequestSpec[None]:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    """
    headers: dict[str, str] = {"Content-Type": "application/json"}
    return RequestSpec(
        method="PUT",
        url=f"/b/{segment(bucket)}/rename",
        headers=headers,
        json=body.to_dict(),
        parse=parse_response,
    )


def parse_response(response: httpx.Response) -> None:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return
    raise unexpected_status(response)
