"""GET /lifecycles/{lifecycle_name}: Describe a lifecycle policy.

Its state and its settings. Needs full access.
"""

import httpx

from ...models.lifecycle_detail_info import LifecycleDetailInfo
from ...types import RequestSpec, parse_body, segment, unexpected_status


def build_request(lifecycle_name: str) -> RequestSpec[LifecycleDetailInfo]:
    """Describe the request; nothing is sent.

    * `lifecycle_name`: Name of the lifecycle policy.
    """
    return RequestSpec(
        method="GET", url=f"/lifecycles/{segment(lifecycle_name)}", parse=parse_response
    )


def parse_response(response: httpx.Response) -> LifecycleDetailInfo:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, LifecycleDetailInfo.from_dict)
    raise unexpected_status(response)
