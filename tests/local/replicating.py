"""What tests of replications and lifecycles share: bare requests, and waiting for effects."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.flavours import NO_TLS

DEADLINE = 30.0
"""Against hangs only: effects show within some milliseconds, on a real server within 0.3 s."""


@contextmanager
def api(url: str, token: str | None = None) -> Iterator[httpx.Client]:
    """Yield a client for paths below `/api/v1` of the server at `url`."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    with httpx.Client(
        base_url=f"{url}/api/v1", headers=headers, timeout=DEADLINE, verify=NO_TLS
    ) as client:
        yield client


def wait_until(holds: Callable[[], bool]) -> None:
    """Return when the condition holds; fail if it does not in reasonable time."""
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline, "the expected effect did not come"
        time.sleep(0.005)


def done(response: httpx.Response) -> httpx.Response:
    """Return an answer that must be a success."""
    assert response.status_code == 200, response.text
    return response


def refusal(response: httpx.Response) -> tuple[int, str]:
    """Return status and message of an error answer."""
    return response.status_code, response.headers.get("x-reduct-error", "")


def new_bucket(client: httpx.Client) -> str:
    """Create a bucket and return its name."""
    name = f"bucket-{uuid.uuid4().hex}"
    done(client.post(f"/b/{name}"))
    return name


def write(client: httpx.Client, path: str, data: bytes, ts: int, **labels: str) -> None:
    """Write a record; `path` is `<bucket>/<entry>`."""
    headers = {f"x-reduct-label-{name}": value for name, value in labels.items()}
    done(client.post(f"/b/{path}", params={"ts": ts}, content=data, headers=headers))


def update(client: httpx.Client, path: str, ts: int, **labels: str) -> None:
    """Change labels of a record; empty ones are removed."""
    headers = {f"x-reduct-label-{name}": value for name, value in labels.items()}
    done(client.patch(f"/b/{path}", params={"ts": ts}, headers=headers))


def read(client: httpx.Client, path: str, ts: int) -> tuple[bytes, dict[str, str]] | None:
    """Return content and labels of a record, None if it is not there or not complete."""
    response = client.get(f"/b/{path}", params={"ts": ts})
    if response.status_code in {404, 425}:
        return None
    prefix = "x-reduct-label-"
    labels = {
        name.removeprefix(prefix): value
        for name, value in done(response).headers.items()
        if name.startswith(prefix)
    }
    return response.content, labels


def entries(client: httpx.Client, bucket: str) -> dict[str, int]:
    """Return the visible entries that have records, with how many; empty without bucket."""
    response = client.get(f"/b/{bucket}")
    if response.status_code == 404:
        return {}
    found = done(response).json()["entries"]
    return {entry["name"]: entry["record_count"] for entry in found if entry["record_count"]}


def status(client: httpx.Client, name: str) -> dict[str, Any]:
    """Return the info of a replication."""
    info: dict[str, Any] = done(client.get(f"/replications/{name}")).json()["info"]
    return info


def hourly(client: httpx.Client, name: str) -> dict[str, Any]:
    """Return the diagnostics of a replication."""
    document = done(client.get(f"/replications/{name}")).json()
    counts: dict[str, Any] = document["diagnostics"]["hourly"]
    return counts
