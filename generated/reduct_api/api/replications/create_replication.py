"""POST /replications/{replication_name}: Create a replication.

Records written and labels changed from now on are sent to the destination; removals are not. A
label that is removed is not removed there. While the destination cannot be reached or answers
429, 502, 503 or 504, records wait, 1,000,000 of each entry at most; records that it refuses
otherwise are dropped.

Status 404: the source bucket is missing; 409: the name exists; 422: the URL or the condition
cannot be used, or source and destination are the same. Needs full access.
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
        method="POST",
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
