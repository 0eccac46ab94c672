"""PATCH /lifecycles/{lifecycle_name}/mode: Set the mode of a lifecycle policy.

Allowed for provisioned ones too. A worker that is running keeps its settings, so `dry_run`
takes effect with the next replacement of the settings; `disabled` takes effect at once. Needs
full access.
"""

import httpx

from ...models.lifecycle_mode_request import LifecycleModeRequest
from ...types import RequestSpec, segment, unexpected_status


def build_request(lifecycle_name: str, *, body: LifecycleModeRequest) -> RequestSpec[None]:
    """Describe the request; nothing is sent.

    * `lifecycle_name`: Name of the lifecycle policy.
    """
    headers: dict[str, str] = {"Content-Type": "application/json"}
    return RequestSpec(
        method="PATCH",
        url=f"/lifecycles/{segment(lifecycle_name)}/mode",
        headers=headers,
        json=body.to_dict(),
        parse=parse_response,
    )


def parse_response(response: httpx.Response) -> None:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return
    raise unexpected_status(response)
