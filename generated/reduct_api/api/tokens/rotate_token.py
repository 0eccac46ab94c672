"""POST /tokens/{token_name}/rotate: Give a token a new value.

The old value and the links made with it end at once. Status 409 means that the token is
provisioned, 422 that it has expired, 400 that authentication is switched off. Needs full
access.
"""

import httpx

from ...models.token_create_response import TokenCreateResponse
from ...types import RequestSpec, parse_body, segment, unexpected_status


def build_request(token_name: str) -> RequestSpec[TokenCreateResponse]:
    """Describe the request; nothing is sent.

    * `token_name`: Name of the token.
    """
    return RequestSpec(
        method="POST", url=f"/tokens/{segment(token_name)}/rotate", parse=parse_response
    )


def parse_response(response: httpx.Response) -> TokenCreateResponse:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, TokenCreateResponse.from_dict)
    raise unexpected_status(response)
