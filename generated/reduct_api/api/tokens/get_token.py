"""GET /tokens/{token_name}: Describe a token.

Everything but its value. Needs full access.
"""

import httpx

from ...models.full_token_info import FullTokenInfo
from ...types import RequestSpec, parse_body, segment, unexpected_status


def build_request(token_name: str) -> RequestSpec[FullTokenInfo]:
    """Describe the request; nothing is sent.

    * `token_name`: Name of the token.
    """
    return RequestSpec(method="GET", url=f"/tokens/{segment(token_name)}", parse=parse_response)


def parse_response(response: httpx.Response) -> FullTokenInfo:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, FullTokenInfo.from_dict)
    raise unexpected_status(response)
