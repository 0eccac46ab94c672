"""Raw calls of the HTTP API on one connection, past any client."""

import http.client
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 30.0
"""Seconds; against hangs only."""


@dataclass(frozen=True)
class Answer:
    """An answer; header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message of an error."""
        return self.headers["x-reduct-error"]


class Raw:
    """Sends raw calls: `raw("POST", "/b/x/e?ts=1", {"x-reduct-label-a": "1"}, b"data")`."""

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port, timeout=TIMEOUT
        )
        self._root = parts.path.rstrip("/") + "/api/v1"
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def __call__(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | str | None = None,
    ) -> Answer:
        """Send one request below `/api/v1` and return its answer."""
        sent = {**self._headers, **(headers or {})}
        self._connection.request(method, self._root + path, body, sent)
        reply = self._connection.getresponse()
        found = {name.lower(): value for name, value in reply.getheaders()}
        return Answer(reply.status, found, reply.read())

    def new_bucket(self) -> str:
        """Create a bucket and return its name."""
        name = f"raw-{uuid.uuid4().hex}"
        assert self("POST", f"/b/{name}").status == 200
        return name

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
