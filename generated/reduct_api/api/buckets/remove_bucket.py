"""DELETE /b/{bucket}: Remove a bucket with everything in it.

Marks the bucket DELETING, answers, and removes it in the background; its name leaves the
permissions of all tokens. Status 409 means that the bucket is provisioned or already being
removed. Needs full access.
"""

import httpx

from ...types import RequestSpec, segment, unexpected_status


def build_request(bucket: str) -> RequestSpec[None]:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    """
    return RequestSpec(method="DELETE", url=f"/b/{segment(bucket)}", parse=parse_response)


def parse_response(response: httpx.Response) -> None:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return
    raise unexpected_status(response)
