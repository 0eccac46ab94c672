"""GET /replications: List the replications.

In no particular order; empty on a replica. Needs full access.
"""

import httpx

from ...models.replication_list import ReplicationList
from ...types import RequestSpec, parse_body, unexpected_status


def build_request() -> RequestSpec[ReplicationList]:
    """Describe the request; nothing is sent."""
    return RequestSpec(method="GET", url="/replications", parse=parse_response)


def parse_response(response: httpx.Response) -> ReplicationList:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, ReplicationList.from_dict)
    raise unexpected_status(response)
