"""Bare requests past any client."""

import http.client
from urllib.parse import urlsplit


def status_of(url: str, method: str, path: str, *, token: str | None = None, timeout: float) -> int:
    """Send one request without a body to the server at `url` and return the answer's status.

    Args:
        url: the server's address, with its base path.
        path: what follows `/api/v1`.
        token: sent as the bearer; None sends no authorization.
        timeout: seconds without progress after which TimeoutError is raised.
    """
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=timeout)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        connection.request(method, f"{address.path}/api/v1{path}", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()
