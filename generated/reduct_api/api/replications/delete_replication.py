"""DELETE /replications/{replication_name}: Delete a replication.

What was copied stays; what still waited is not sent. Status 409: the replication is
provisioned. Needs full access.
"""

import httpx

from ...types import RequestSpec, segment, unexpected_status


def build_request(replication_name: str) -> RequestSpec[None]:
    """Describe the request; nothing is sent.

    * `replication_name`: Name of the replication.
    """
    return RequestSpec(
        method="DELETE", url=f"/replications/{segment(replication_name)}", parse=parse_response
    )


def parse_response(response: httpx.Response) -> None:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return
    raise unexpected_status(response)
