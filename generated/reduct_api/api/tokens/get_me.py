"""GET /me: Describe the token of this request.

With authentication switched off the name is `AUTHENTICATION-DISABLED`, with full access. Needs
any valid token.
"""

import httpx

from ...models.full_token_info import FullTokenInfo
from ...types import RequestSpec, parse_body, unexpected_status


def build_request() -> RequestSpec[FullTokenInfo]:
    """Describe the request; nothing is sent."""
    return RequestSpec(method="GET", url="/me", parse=parse_response)


def parse_response(response: httpx.Response) -> FullTokenInfo:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, FullTokenInfo.from_dict)
    raise unexpected_status(response)
