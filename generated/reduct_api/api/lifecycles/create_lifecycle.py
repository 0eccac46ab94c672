"""POST /lifecycles/{lifecycle_name}: Create a lifecycle policy.

It runs for the first time after one interval. Status 404: the bucket is missing; 409: the name
exists; 422: a duration is too short or cannot be read, or the condition cannot be used. Needs
full access.
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
        method="POST",
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
