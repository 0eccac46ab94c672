"""PATCH /replications/{replication_name}/mode: Set the mode of a replication.

Allowed for provisioned ones too. Needs full access.
"""

import httpx

from ...models.replication_mode_request import ReplicationModeRequest
from ...types import RequestSpec, segment, unexpected_status


def build_request(replication_name: str, *, body: ReplicationModeRequest) -> RequestSpec[None]:
    """Describe the request; nothing is sent.

    * `replication_name`: Name of the replication.
    """
    headers: dict[str, str] = {"Content-Type": "application/json"}
    return RequestSpec(
        method="PATCH",
        url=f"/replications/{segment(replication_name)}/mode",
        headers=headers,
        json=body.to_dict(),
        parse=parse_response,
    )


def parse_response(response: httpx.Response) -> None:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return
    raise unexpected_status(response)
