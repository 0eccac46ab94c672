"""HEAD /b/{bucket}: Ask whether a bucket exists.

Status 409 means that the bucket is being removed. Needs any valid token.
"""

import httpx

from ...types import RequestSpec, segment, unexpected_status


def build_request(bucket: str) -> RequestSpec[None]:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    """
    return RequestSpec(method="HEAD", url=f"/b/{segment(bucket)}", parse=parse_response)


def parse_response(response: httpx.Response) -> None:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return
    raise unexpected_status(response)
