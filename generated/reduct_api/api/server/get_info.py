"""GET /info: Describe the server.

Version, sizes, the settings of new buckets, and the licence. Needs any valid token.
"""

import httpx

from ...models.server_info import ServerInfo
from ...types import RequestSpec, parse_body, unexpected_status


def build_request() -> RequestSpec[ServerInfo]:
    """Describe the request; nothing is sent."""
    return RequestSpec(method="GET", url="/info", parse=parse_response)


def parse_response(response: httpx.Response) -> ServerInfo:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, ServerInfo.from_dict)
    raise unexpected_status(response)
