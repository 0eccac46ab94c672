"""What the examples of openapi.yaml speak of, on a real server.

Bucket, entry, record, token, replication and policy exist under the names of the examples before
each request, and what an operation creates does not exist. So a generated request that is led to
these names succeeds, unless the rest of it prevents that.
"""

import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import requests
from schemathesis import Case
from schemathesis.core.parameters import ParameterLocation

from tests.contract_hooks import API, body_of
from tests.document import OPERATIONS, Operation, document
from tools.real_server import RealServer

AnyCase: TypeAlias = Case[Any]

SETTLE_SECONDS = 20.0
"""Buckets and entries are removed in the background, within milliseconds; against hangs only."""

REQUEST_SECONDS = 20.0
"""No request of these tests waits for anything; against hangs only."""

CONTENT = b"0123456789"
RECORD_HEADERS = {
    "Content-Type": "text/plain",
    "x-reduct-label-axis": "x",
    "x-reduct-label-peak": "12",
    "x-reduct-label-offset": "0",
}

DONE = {HTTPStatus.OK}
GONE = {HTTPStatus.NOT_FOUND}
ANY = {HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}
"""Also that it is there already, that it is gone already, and that it is being removed."""

PARAMETERS: dict[str, dict[str, Any]] = document()["components"]["parameters"]
NAMES: dict[str, Any] = {
    parameter["name"]: parameter["example"]
    for parameter in PARAMETERS.values()
    if "example" in parameter
}
"""The examples of parameters by name."""

TIME: int = NAMES["ts"]
BUCKET = f"/b/{NAMES['bucket']}"
ENTRY = f"{BUCKET}/{NAMES['entry']}"
RECORD = f"{ENTRY}?ts={TIME}"
TOKEN = f"/tokens/{NAMES['token_name']}"
REPLICATION = f"/replications/{NAMES['replication_name']}"
LIFECYCLE = f"/lifecycles/{NAMES['lifecycle_name']}"


def example_bodies(operation: Operation) -> list[Any]:
    """Return the examples of an operation's request body."""
    content = operation.content.get("requestBody", {}).get("content", {})
    examples = content.get("application/json", {}).get("examples", {})
    return [example["value"] for example in examples.values()]


BODIES = {operation.name: example_bodies(operation) for operation in OPERATIONS}


def new_session() -> requests.Session:
    """Return a session without the proxies and passwords of whoever runs the tests."""
    session = requests.Session()
    session.trust_env = False
    return session


class World:
    """The prepared state of one server."""

    def __init__(self, server: RealServer) -> None:
        self.url = f"{server.url}{API}"
        self._token = server.token
        self._session = new_session()

    def authorization(self) -> dict[str, str]:
        """Return the header for the token with full access."""
        return {} if self._token is None else {"Authorization": f"Bearer {self._token}"}

    def call(
        self, method: str, path: str, expected: set[HTTPStatus] = DONE, **arguments: Any
    ) -> requests.Response:
        """Send a request that must be answered with one of the statuses."""
        headers = self.authorization() | arguments.pop("headers", {})
        response = self._session.request(
            method, self.url + path, headers=headers, timeout=REQUEST_SECONDS, **arguments
        )
        answer = f"{response.status_code} {response.headers.get('x-reduct-error')}"
        assert response.status_code in expected, f"{method} {path}: {answer}"
        return response

    def new_token(self, name: str, permissions: Mapping[str, Any]) -> str:
        """Create a token and return its value."""
        made = self.call("POST", f"/tokens/{name}", json={"permissions": permissions})
        return str(made.json()["value"])

    # --- What is there, and what is not -----------------------------------------------------------

    def bucket(self) -> None:
        self.make(BUCKET)

    def record(self) -> None:
        if not self.is_there(RECORD):
            self.bucket()
            self.make(RECORD, data=CONTENT, headers=RECORD_HEADERS)

    def token(self) -> None:
        if self._token is not None:
            self.make(TOKEN, json=BODIES["create_token"][0])

    def replication(self) -> None:
        self.bucket()
        self.make(REPLICATION, json=at_home(BODIES["create_replication"][0]))
        # So that something waits to be sent.
        self.record()

    def lifecycle(self) -> None:
        self.bucket()
        self.make(LIFECYCLE, json=BODIES["create_lifecycle"][0])

    def no_bucket(self) -> None:
        self.remove(BUCKET)

    def no_renamed_bucket(self) -> None:
        self.bucket()
        self.remove(f"/b/{BODIES['rename_bucket'][0]['new_name']}")

    def no_record(self) -> None:
        self.bucket()
        self.remove(RECORD)

    def no_renamed_entry(self) -> None:
        self.record()
        self.remove(f"{BUCKET}/{BODIES['rename_entry'][0]['new_name']}")

    def no_token(self) -> None:
        if self._token is not None:
            self.remove(TOKEN)

    def no_replication(self) -> None:
        self.bucket()
        self.remove(REPLICATION)

    def no_lifecycle(self) -> None:
        self.bucket()
        self.remove(LIFECYCLE)

    def make(self, path: str, **arguments: Any) -> None:
        """Create something unless it is there; after what had its name is removed."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while not self.is_there(path):
            assert time.monotonic() < deadline, f"{path} cannot be made"
            self.call("POST", path, ANY, **arguments)

    def is_there(self, path: str) -> bool:
        return self.call("HEAD", path, ANY).status_code in DONE

    def remove(self, path: str) -> None:
        """Remove something unless it is gone, and wait until it is."""
        self.call("DELETE", path, ANY)
        deadline = time.monotonic() + SETTLE_SECONDS
        while self.call("HEAD", path, ANY).status_code not in GONE:
            assert time.monotonic() < deadline, f"{path} cannot be removed"
            time.sleep(0.002)

    # --- What is known only when it is made -------------------------------------------------------

    def query(self) -> int:
        """Start a query over the entry and return its id."""
        return int(self.call("POST", f"{ENTRY}/q", json=BODIES["create_query"][0]).json()["id"])

    def io_query(self) -> int:
        """Start a query over the bucket and return its id."""
        path = f"/io/{NAMES['bucket']}/q"
        return int(self.call("POST", path, json=BODIES["io_query"][0]).json()["id"])

    def link(self) -> dict[str, str]:
        """Make a link and return its parameters."""
        path = f"/links/{NAMES['file_name']}"
        link = self.call("POST", path, json=BODIES["create_link"][0]).json()["link"]
        return dict(parse_qsl(urlsplit(link).query))


PREPARATIONS: dict[str, Callable[[World], None]] = {
    "create_token": World.no_token,
    "create_bucket": World.no_bucket,
    # Its requests set quotas that would refuse the record.
    "update_bucket": World.bucket,
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
    "/tokens": World.token,
    "/replications": World.replication,
    "/lifecycles": World.lifecycle,
    "/": World.record,
}
"""What makes everything in a path exist, by its beginning."""


def preparation(operation: Operation) -> Callable[[World], None]:
    """Return what makes the state in which the examples of an operation succeed."""
    by_path = (make for start, make in BY_PATH.items() if operation.path.startswith(start))
    return PREPARATIONS.get(operation.name) or next(by_path)


# --- Leading requests there -----------------------------------------------------------------------


def lead(case: AnyCase, operation: Operation, world: World) -> None:
    """Put the names of the examples into a generated request.

    What was generated to violate the document stays as it is.
    """
    if not violates(case, ParameterLocation.PATH):
        case.path_parameters.update({name: NAMES[name] for name in case.path_parameters})
    if not violates(case, ParameterLocation.QUERY):
        case.query.update(parameters(operation, world, case.query))
    if not violates(case, ParameterLocation.HEADER):
        headers = parameters(operation, world, case.headers)
        case.headers.update({name: str(value) for name, value in headers.items()})


def violates(case: AnyCase, location: ParameterLocation) -> bool:
    """Return whether a part of a request was generated to violate the document."""
    meta = case.meta
    assert meta is not None
    return location in meta.components and meta.components[location].mode.is_negative


def parameters(
    operation: Operation, world: World, given: Mapping[str, Any]
) -> Mapping[str, str | int]:
    """Return values for those of the given parameters that have to name something that exists."""
    if operation.name in {"fetch_link", "head_link"}:
        known = {**world.link(), "e": NAMES["entry"], "ts": TIME}
    else:
        known = {name: NAMES[name] for name in ("ts", "x-reduct-entries", "x-reduct-start-ts")}
    if "q" in given:
        known["q"] = world.query()
    if "x-reduct-query-id" in given:
        known["x-reduct-query-id"] = world.io_query()
    return {name: known[name] for name in known if name in given}


def add_records(prepared: requests.PreparedRequest, operation: Operation) -> None:
    """Add the record headers of a batch, which the document cannot list: one for the whole body.

    Updates and removals get a second one, for a record that is missing.
    """
    kind = operation.name.removeprefix("io_").removesuffix("_batch")
    if kind not in {"write", "update", "remove"}:
        return
    several = operation.name.startswith("io_")
    name, first = ("x-reduct-0-{}", 0) if several else ("x-reduct-time-{}", TIME)
    # Position 0 is a generated name where `x-reduct-labels` was generated.
    label = "0" if "x-reduct-labels" in prepared.headers else "axis"
    if kind == "write":
        prepared.headers[name.format(first)] = f"{len(body_of(prepared))},text/plain,{label}=x"
    else:
        for there_or_missing in (first, first + 1):
            prepared.headers[name.format(there_or_missing)] = f"0,,{label}=y"


def at_home(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of a replication whose destination is this machine, where nobody listens."""
    host = settings.get("dst_host")
    if not isinstance(host, str):
        return dict(settings)
    return {**settings, "dst_host": re.sub(r"(?<=://)[^/?#]*", "127.0.0.1:9", host)}
