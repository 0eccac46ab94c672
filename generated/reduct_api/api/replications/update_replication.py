"""PUT /replications/{replication_name}: Replace the settings of a replication.

**All settings are replaced**: those not given return to their defaults, so a paused replication
without `mode` is enabled again. Only `dst_token` is kept when it is not given. Status 404: the
replication or the source bucket is missing; 409: the replication is provisioned. Needs full
access.
"""

import httpx

from ...models.replication_settings import ReplicationSettings
from ...types import RequestSpec, segment, unexpected_status


def build_request(replication_name: str, *, body: ReplicationSettings) -> RequestSpec[None]:
    """Describe the request; nothing is sent.

    * `replication_name`: Name of the replication.
    """
    headers: dict[str, str] = {"Content-Type": "application/json"}
    return RequestSpec(
        method="PUT",
        url=f"/replications/{segment(replication_name)}",
        headers=headers,
        json=body.to_dict(),
        parse=parse_response,
    )


def parse_response(response: httpx.Response) -> None:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return
    raise unexpected_status(response)
