"""DELETE /lifecycles/{lifecycle_name}: Delete a lifecycle policy.

Status 409: the policy is provisioned. Needs full access.
"""

import httpx

from ...types import RequestSpec, segment, unexpected_status


def build_request(lifecycle_name: str) -> RequestSpec[None]:
    """Describe the request; nothing is sent.

    * `lifecycle_name`: Name of the lifecycle policy.
    """
    return RequestSpec(
        method="DELETE", url=f"/lifecycles/{segment(lifecycle_name)}", parse=parse_response
    )


def parse_response(response: httpx.Response) -> None:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return
    raise unexpected_status(response)
