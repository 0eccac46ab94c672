"""PUT /lifecycles/{lifecycle_name}: Replace the settings of a lifecycle policy.

**All settings are replaced**: those not given return to their defaults, so a disabled policy
without `mode` is enabled again. Status 404: the policy or the bucket is missing; 409: the
policy is provisioned. Needs full access.
"""

import httpx

from ...models.lifecycle_settings import LifecycleSettings
from ...types import RequestSpec, segment, unexpected_status


def build_request(lifecycle_name: str, *, body: LifecycleSettings) -> RequestSpec[None]:
    """Describe the request; nothing is sent.

    * `lifecycle_name`: Name of the lifecycle policy.
    """
    headers: dict[str, str] = {"Content-Type": "application/json"}
    return RequestSpec(
        method="PUT",
        url=f"/lifecycles/{segment(lifecycle_name)}",
        headers=headers,
        json=body.to_dict(),
        parse=parse_response,
    )


def parse_response(response: httpx.Response) -> None:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return
    raise unexpected_status(response)
