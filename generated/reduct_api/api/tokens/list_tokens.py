"""GET /tokens: List the tokens.

Sorted by name, without their values; empty when authentication is switched off. Needs full
access.
"""

import httpx

from ...models.token_list import TokenList
from ...types import RequestSpec, parse_body, unexpected_status


def build_request() -> RequestSpec[TokenList]:
    """Describe the request; nothing is sent."""
    return RequestSpec(method="GET", url="/tokens", parse=parse_response)


def parse_response(response: httpx.Response) -> TokenList:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, TokenList.from_dict)
    raise unexpected_status(response)
