"""GET /ready: Ask whether the server can be used.

Answered with 503 until the storage is loaded. Needs no token.
"""

import httpx

from ...types import RequestSpec, unexpected_status


def build_request() -> RequestSpec[None]:
    """Describe the request; nothing is sent."""
    return RequestSpec(method="GET", url="/ready", parse=parse_response)


def parse_response(response: httpx.Response) -> None:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return
    raise unexpected_status(response)
