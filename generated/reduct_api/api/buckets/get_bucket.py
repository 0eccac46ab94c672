"""GET /b/{bucket}: Describe a bucket, its settings and its entries.

Entries are sorted by name; attachments are not listed. Status 409 means that the bucket is
being removed. Needs read permission.
"""

import httpx

from ...models.bucket_full_info import BucketFullInfo
from ...types import RequestSpec, parse_body, segment, unexpected_status


def build_request(bucket: str) -> RequestSpec[BucketFullInfo]:
    """Describe the request; nothing is sent.

    * `bucket`: Name of the bucket.
    """
    return RequestSpec(method="GET", url=f"/b/{segment(bucket)}", parse=parse_response)


def parse_response(response: httpx.Response) -> BucketFullInfo:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, BucketFullInfo.from_dict)
    raise unexpected_status(response)
