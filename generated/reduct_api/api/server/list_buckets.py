"""GET /list: List the buckets.

Sorted by name, only those that the token may read. Buckets that are being removed are listed
with the status DELETING. Needs any valid token.
"""

import httpx

from ...models.bucket_list import BucketList
from ...types import RequestSpec, parse_body, unexpected_status


def build_request() -> RequestSpec[BucketList]:
    """Describe the request; nothing is sent."""
    return RequestSpec(method="GET", url="/list", parse=parse_response)


def parse_response(response: httpx.Response) -> BucketList:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, BucketList.from_dict)
    raise unexpected_status(response)
