"""What the examples of openapi.yaml speak of, on a real server.

Bucket, entry, records, token, replication and policy exist under the names of the examples before
each request, and what an operation creates does not exist, so that a generated request that is
led to these names (`lead`) succeeds unless the generated part prevents it.
"""

import itertools
import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import requests
from schemathesis import Case

from tests.contract_hooks import API
from tests.document import OPERATIONS, Operation, document
from tests.real_server import RealServer

SETTLE_SECONDS = 20.0
"""Buckets and entries are removed in the background, within milliseconds; against hangs only."""

REQUEST_SECONDS = 20.0
"""No request of these tests waits for anything; against hangs only."""

CONTENT = b"0123456789"

GONE = {HTTPStatus.NOT_FOUND}
THERE = {HTTPStatus.OK, HTTPStatus.CONFLICT}

PARAMETERS: dict[str, dict[str, Any]] = document()["components"]["parameters"]
NAMES: dict[str, Any] = {
    parameter["name"]: parameter["example"]
    for parameter in PARAMETERS.values()
    if "example" in parameter
}
"""The examples of parameters by name."""

TIME: int = NAMES["ts"]
MISSING_TIME = TIME + 1
BUCKET = f"/b/{NAMES['bucket']}"
ENTRY = f"{BUCKET}/{NAMES['entry']}"
RECORD = f"{ENTRY}?ts={TIME}"
NOBODY = "nobody"


def example_bodies(operation: Operation) -> list[Any]:
    """Return the examples of an operation's request body."""
    content = operation.content.get("requestBody", {}).get("content", {})
    examples = content.get("application/json", {}).get("examples", {})
    return [example["value"] for example in examples.values()]


BODIES = {operation.name: example_bodies(operation) for operation in OPERATIONS}


class World:
    """The prepared state of one server.

    Attributes:
        nobody: the value of a token without any permission; None without authentication.
    """

    def __init__(self, server: RealServer) -> None:
        self.url = f"{server.url}{API}"
        self.session = requests.Session()
        # Neither a proxy nor a password of the machine's user may come between.
        self.session.trust_env = False
        self._token = server.token
        self.nobody: str | None = None
        if server.token is not None:
            made = self.call("POST", f"/tokens/{NOBODY}", json={"permissions": {}})
            self.nobody = made.json()["value"]

    def authorization(self, token: str | None = None) -> dict[str, str]:
        """Return the header for a token, the one with full access by default."""
        token = token or self._token
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    def call(
        self, method: str, path: str, expected: set[HTTPStatus] | None = None, **arguments: Any
    ) -> requests.Response:
        """Send a request that has to be answered with one of the statuses, 200 by default."""
        headers = self.authorization() | arguments.pop("headers", {})
        response = self.session.request(
            method, self.url + path, headers=headers, timeout=REQUEST_SECONDS, **arguments
        )
        assert response.status_code in (expected or {HTTPStatus.OK}), (
            f"{method} {path}: {response.status_code} {response.text}"
        )
        return response

    # --- Making and removing ----------------------------------------------------------------------

    def make(self, path: str, **arguments: Any) -> None:
        """Create something, unless it is there."""
        self.call("POST", path, THERE, **arguments)

    def remove(self, path: str) -> None:
        """Remove something, unless it is gone, and wait until it is."""
        self.call("DELETE", path, THERE | GONE)
        deadline = time.monotonic() + SETTLE_SECONDS
        while self.call("HEAD", path, THERE | GONE).status_code not in GONE:
            assert time.monotonic() < deadline, f"{path} is not removed"
            time.sleep(0.002)

    def bucket(self) -> None:
        self.make(BUCKET)

    def no_bucket(self) -> None:
        self.remove(BUCKET)

    def no_renamed_bucket(self) -> None:
        self.bucket()
        self.remove(f"/b/{BODIES['rename_bucket'][0]['new_name']}")

    def records(self) -> None:
        self.bucket()
        self.make(RECORD, data=CONTENT, headers={"x-reduct-label-axis": "x"})

    def no_record(self) -> None:
        self.bucket()
        self.call("DELETE", RECORD, THERE | GONE)

    def no_renamed_entry(self) -> None:
        self.records()
        self.remove(f"{BUCKET}/{BODIES['rename_entry'][0]['new_name']}")

    def token(self) -> None:
        if self._token is not None:
            self.make(f"/tokens/{NAMES['token_name']}", json=BODIES["create_token"][0])

    def no_token(self) -> None:
        if self._token is not None:
            self.call("DELETE", f"/tokens/{NAMES['token_name']}", THERE | GONE)

    def replication(self) -> None:
        self.bucket()
        settings = at_home(BODIES["create_replication"][0])
        self.make(f"/replications/{NAMES['replication_name']}", json=settings)

    def no_replication(self) -> None:
        self.bucket()
        self.call("DELETE", f"/replications/{NAMES['replication_name']}", THERE | GONE)

    def lifecycle(self) -> None:
        self.bucket()
        settings = BODIES["create_lifecycle"][0]
        self.make(f"/lifecycles/{NAMES['lifecycle_name']}", json=settings)

    def no_lifecycle(self) -> None:
        self.bucket()
        self.call("DELETE", f"/lifecycles/{NAMES['lifecycle_name']}", THERE | GONE)

    # --- What is known only when it is made -------------------------------------------------------

    def query(self) -> str:
        """Start a query over the entry and return its id."""
        return str(self.call("POST", f"{ENTRY}/q", json=BODIES["create_query"][0]).json()["id"])

    def io_query(self) -> str:
        """Start a query over the bucket and return its id."""
        path = f"/io/{NAMES['bucket']}/q"
        return str(self.call("POST", path, json=BODIES["io_query"][0]).json()["id"])

    def link(self) -> dict[str, str]:
        """Make a link and return its parameters."""
        path = f"/links/{NAMES['file_name']}"
        link = self.call("POST", path, json=BODIES["create_link"][0]).json()["link"]
        return dict(parse_qsl(urlsplit(link).query))


def at_home(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of a replication whose destination is this machine, where nobody listens."""
    host = settings.get("dst_host")
    if not isinstance(host, str):
        return dict(settings)
    return {**settings, "dst_host": re.sub(r"(?<=://)[^/?#]*", "127.0.0.1:9", host)}


PREPARATIONS: dict[str, Callable[[World], None]] = {
    "create_token": World.no_token,
    "create_bucket": World.no_bucket,
    "rename_bucket": World.no_renamed_bucket,
    "rename_entry": World.no_renamed_entry,
    "write_record": World.no_record,
    "write_batch": World.no_record,
    "io_write": World.no_record,
    "create_replication": World.no_replication,
    "create_lifecycle": World.no_lifecycle,
}
"""What comes before an operation, where it is not enough that everything in its path exists."""

BY_PATH: dict[str, Callable[[World], None]] = {
    "/tokens/": World.token,
    "/replications/": World.replication,
    "/lifecycles/": World.lifecycle,
    "/b/{bucket}/{entry}": World.records,
    "/b/{bucket}": World.bucket,
    "/io/": World.records,
    "/links/": World.records,
}
"""What makes everything in a path exist, by its beginning."""


def preparation(operation: Operation) -> Callable[[World], None]:
    """Return what makes the state in which the examples of an operation succeed."""
    by_path = (make for start, make in BY_PATH.items() if operation.path.startswith(start))
    return PREPARATIONS.get(operation.name) or next(by_path, lambda world: None)
