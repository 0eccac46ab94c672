"""Raw calls to a server, embedded or real: exactly the headers and bytes of a test."""

import time
import uuid
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from tests.differential.wire import Answer, Call, Connection

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]


PATIENCE_S = 20.0
"""Against hangs only."""


class Raw:
    """One connection to a server, opened again when it was closed.

    Args:
        url: the server's address.
        token: sent as the bearer of all calls; None sends none.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._connection = Connection(url)
        self._always = [] if token is None else [("authorization", f"Bearer {token}")]

    def __call__(
        self,
        method: str,
        target: str,
        headers: Headers = (),
        body: bytes = b"",
        *,
        size: int | str | None = "body",
        chunked: bool = False,
    ) -> Answer:
        """Send one call and return its answer; `target` follows `/api/v1`."""
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        lines = (*self._always, *pairs)
        return self._connection.send(Call(method, target, lines, body, size, chunked))

    def new_bucket(self, settings: bytes = b"") -> str:
        """Create a bucket and return its name."""
        name = f"raw-{uuid.uuid4().hex}"
        assert self("POST", f"/b/{name}", body=settings).status == 200
        return name

    def wait_for(self, statuses: Mapping[str, int]) -> None:
        """Wait until reads of these targets have these statuses, which a server brings about."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := {target: self("GET", target).status for target in statuses}) != statuses:
            assert time.monotonic() < deadline, found
            time.sleep(0.01)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def with_prefix(answer: Answer, prefix: str) -> dict[str, str]:
    """Return the headers of an answer that begin with `prefix`, without it."""
    return {name[len(prefix) :]: value for name, value in answer.headers if name.startswith(prefix)}
