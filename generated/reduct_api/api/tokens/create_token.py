"""POST /tokens/{token_name}: Create a token.

The answer holds the value of the token, which is shown only here. Unknown fields of the body
are refused. Older clients send the fields of the permissions at the top level, which is still
accepted: `{}` creates a token without any permission.

Status 400 means that authentication is switched off, 409 that the name exists, 422 that the
token would have expired already or that an item of the permissions cannot be used. Needs full
access.
"""

import httpx

from ...models.token_create_request import TokenCreateRequest
from ...models.token_create_response import TokenCreateResponse
from ...types import RequestSpec, parse_body, segment, unexpected_status


def build_request(token_name: str, *, body: TokenCreateRequest) -> RequestSpec[TokenCreateResponse]:
    """Describe the request; nothing is sent.

    * `token_name`: Name of the token.
    """
    headers: dict[str, str] = {"Content-Type": "application/json"}
    return RequestSpec(
        method="POST",
        url=f"/tokens/{segment(token_name)}",
        headers=headers,
        json=body.to_dict(),
        parse=parse_response,
    )


def parse_response(response: httpx.Response) -> TokenCreateResponse:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, TokenCreateResponse.from_dict)
    raise unexpected_status(response)
