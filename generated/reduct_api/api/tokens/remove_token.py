"""DELETE /tokens/{token_name}: Remove a token.

Status 409 means that the token is provisioned, or the last one with full access. With
authentication switched off the answer is 200 and nothing happens. Needs full access.
"""

import httpx

from ...types import RequestSpec, segment, unexpected_status


def build_request(token_name: str) -> RequestSpec[None]:
    """Describe the request; nothing is sent.

    * `token_name`: Name of the token.
    """
    return RequestSpec(method="DELETE", url=f"/tokens/{segment(token_name)}", parse=parse_response)


def parse_response(response: httpx.Response) -> None:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return
    raise unexpected_status(response)
