"""GET /lifecycles: List the lifecycle policies.

In no particular order; empty on a replica. Needs full access.
"""

import httpx

from ...models.lifecycle_list import LifecycleList
from ...types import RequestSpec, parse_body, unexpected_status


def build_request() -> RequestSpec[LifecycleList]:
    """Describe the request; nothing is sent."""
    return RequestSpec(method="GET", url="/lifecycles", parse=parse_response)


def parse_response(response: httpx.Response) -> LifecycleList:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, LifecycleList.from_dict)
    raise unexpected_status(response)
