"""POST /links/{file_name}: Make a link to a record.

Nothing is stored: the request itself, encrypted with the token of the caller, becomes part of
the link. Bucket, entry and record need not exist. Needs read permission for the bucket of the
body.
"""

import httpx

from ...models.query_link_request import QueryLinkRequest
from ...models.query_link_response import QueryLinkResponse
from ...types import RequestSpec, parse_body, segments, unexpected_status


def build_request(file_name: str, *, body: QueryLinkRequest) -> RequestSpec[QueryLinkResponse]:
    """Describe the request; nothing is sent.

    * `file_name`: Name of the file that a browser stores, with its slashes; any name.
    """
    headers: dict[str, str] = {"Content-Type": "application/json"}
    return RequestSpec(
        method="POST",
        url=f"/links/{segments(file_name)}",
        headers=headers,
        json=body.to_dict(),
        parse=parse_response,
    )


def parse_response(response: httpx.Response) -> QueryLinkResponse:
    """Decode a successful answer, fully read; UnexpectedStatus or UnexpectedBody for any other."""
    if response.status_code == 200:
        return parse_body(response, QueryLinkResponse.from_dict)
    raise unexpected_status(response)
