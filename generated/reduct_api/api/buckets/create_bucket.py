"""POST /b/{bucket}: Create a bucket.

Settings that are not given, or no body at all, mean the defaults of the server. Status 409
means that the bucket exists, perhaps still being removed. Needs full access.
"""

import httpx

from ...models.bucket_settings import BucketSettings
from ...types import RequestSpec, segment, unexpected_status


def build_request(bucket: str, *, body: BucketSettings | None = None) -> RequestSpec[None]:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    """
    headers: dict[str, str] = {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    return RequestSpec(
        method="POST",
        url=f"/b/{segment(bucket)}",
        headers=headers,
        json=body.to_dict() if body is not None else None,
        parse=parse_response,
    )


def parse_response(response: httpx.Response) -> None:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return
    raise unexpected_status(response)
