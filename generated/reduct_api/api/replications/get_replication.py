"""GET /replications/{replication_name}: Describe a replication.

Its state, its settings without the token, and how it went in the last hour. Needs full access.
"""

import httpx

from ...models.replication_detail_info import ReplicationDetailInfo
from ...types import RequestSpec, parse_body, segment, unexpected_status


def build_request(replication_name: str) -> RequestSpec[ReplicationDetailInfo]:
    """Describe the request; nothing is sent.

    * `replication_name`: Name of the replication.
    """
    return RequestSpec(
        method="GET", url=f"/replications/{segment(replication_name)}", parse=parse_response
    )


def parse_response(response: httpx.Response) -> ReplicationDetailInfo:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, ReplicationDetailInfo.from_dict)
    raise unexpected_status(response)
