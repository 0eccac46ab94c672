"""The API of lifecycle policies, on the embedded and on the real server."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.local.replicating import api, done, new_bucket, refusal
from tests.servers import NewServer, Server

DEFAULTS: dict[str, Any] = {
    "entries": [],
    "interval": "3600s",
    "when": None,
    "processing_interval": None,
    "mode": "enabled",
}


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """Requests to the shared server."""
    with api(server.url) as client:
        yield client


@pytest.fixture
def settings(client: httpx.Client) -> dict[str, Any]:
    """Settings of a policy of a fresh bucket."""
    return {"type": "delete", "bucket": new_bucket(client), "older_than": "1h"}


@pytest.fixture
def name(client: httpx.Client) -> Iterator[str]:
    """A name for a policy, which is removed afterwards."""
    name = f"lifecycle-{uuid.uuid4().hex}"
    yield name
    client.delete(f"/lifecycles/{name}")


def test_create_read_update_delete(
    client: httpx.Client, settings: dict[str, Any], name: str
) -> None:
    path = f"/lifecycles/{name}"
    assert done(client.post(path, json=settings)).content == b""
    info = {
        "name": name,
        "is_provisioned": False,
        "is_running": True,
        "type": "delete",
        "mode": "enabled",
        "last_run": None,
    }
    expected = {"info": info, "settings": settings | DEFAULTS}
    assert done(client.get(path)).json() == expected
    assert info in done(client.get("/lifecycles")).json()["lifecycles"]

    changed = settings | {
        "entries": ["a/**", "!b"],
        "older_than": "2h -30m",
        "interval": "10m",
        "when": {"&score": {"$lt": 10}},
        "processing_interval": "1us",
        "mode": "disabled",
    }
    done(client.put(path, json=changed))
    disabled = info | {"mode": "disabled"}
    assert done(client.get(path)).json() == {"info": disabled, "settings": changed}
    done(client.put(path, json=settings))
    assert done(client.get(path)).json() == expected

    assert done(client.delete(path)).content == b""
    gone = (404, f"Lifecycle '{name}' does not exist")
    assert refusal(client.get(path)) == gone
    assert refusal(client.delete(path)) == gone
    assert refusal(client.put(path, json=settings)) == gone
    assert refusal(client.patch(f"{path}/mode", json={"mode": "dry_run"})) == gone


def test_mode_alone(client: httpx.Client, settings: dict[str, Any], name: str) -> None:
    path = f"/lifecycles/{name}"
    done(client.post(path, json=settings | {"interval": "20m"}))
    for mode in ("dry_run", "disabled", "enabled"):
        done(client.patch(f"{path}/mode", json={"mode": mode, "unknown": 1}))
        answered = done(client.get(path)).json()
        assert answered["info"]["mode"] == answered["settings"]["mode"] == mode
        assert answered["settings"]["interval"] == "20m"
    for wrong in ({}, {"mode": None}, {"mode": "paused"}, {"mode": 1}):
        assert client.patch(f"{path}/mode", json=wrong).status_code == 422
    # The body is looked at first.
    assert client.patch("/lifecycles/missing/mode", json={}).status_code == 422


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"bucket": "missing"}, 404),
        ({"bucket": 1}, 422),
        ({"type": "DELETE"}, 422),
        ({"type": None}, 422),
        ({"type": "compress", "when": {"&a": {"$eq": 1}}}, 422),
        ({"older_than": "59m"}, 422),
        ({"older_than": "2h -90m"}, 422),
        ({"older_than": "1.5h"}, 422),
        ({"older_than": ""}, 422),
        ({"older_than": "x"}, 422),
        ({"older_than": 3600}, 422),
        ({"interval": "599s"}, 422),
        ({"interval": "-1h"}, 422),
        ({"interval": "x"}, 422),
        ({"interval": None}, 422),
        ({"interval": 600}, 422),
        ({"processing_interval": "0s"}, 422),
        ({"processing_interval": "-1s"}, 422),
        ({"processing_interval": "x"}, 422),
        ({"processing_interval": 7}, 422),
        ({"entries": None}, 422),
        ({"entries": "a"}, 422),
        ({"entries": [1]}, 422),
        ({"when": []}, 422),
        ({"when": {"$unknown": [1]}}, 422),
        ({"when": {"#unknown": 1}}, 422),
        ({"when": {"#ext": {"a": {}}}}, 422),
        ({"mode": "paused"}, 422),
        ({"mode": None}, 422),
        ({"type": "compress"}, 200),
        ({"older_than": "3600s"}, 200),
        ({"older_than": "h1"}, 200),
        ({"older_than": "99999999d"}, 200),
        ({"interval": "600s"}, 200),
        ({"when": None}, 200),
        ({"when": True}, 200),
        ({"when": {"#ctx_before": 5}}, 200),
        ({"mode": "dry_run"}, 200),
        ({"unknown": 1}, 200),
    ],
)
def test_what_is_refused(
    client: httpx.Client,
    settings: dict[str, Any],
    name: str,
    change: dict[str, Any],
    expected: int,
) -> None:
    path = f"/lifecycles/{name}"
    assert client.post(path, json=settings | change).status_code == expected
    if expected == 200:
        done(client.delete(path))
    # An update is checked alike, and a refused one changes nothing.
    done(client.post(path, json=settings | {"entries": ["kept"]}))
    without = {"entries": []} | change
    assert client.put(path, json=settings | without).status_code == expected
    kept = done(client.get(path)).json()["settings"]["entries"]
    assert kept == ([] if expected == 200 else ["kept"])


@pytest.mark.parametrize("field", ["type", "bucket", "older_than"])
def test_required_fields(
    client: httpx.Client, settings: dict[str, Any], name: str, field: str
) -> None:
    del settings[field]
    status_code, message = refusal(client.post(f"/lifecycles/{name}", json=settings))
    assert status_code == 422
    assert message.startswith(f"Invalid JSON: missing field `{field}`")


def test_messages(client: httpx.Client, settings: dict[str, Any], name: str) -> None:
    path = f"/lifecycles/{name}"
    for change, expected in (
        ({"bucket": "no"}, (404, f"Bucket 'no' for lifecycle '{name}' does not exist")),
        (
            {"older_than": "9m"},
            (422, "Lifecycle older_than '9m' is shorter than minimum allowed value of 1h"),
        ),
        (
            {"interval": "9m"},
            (422, "Lifecycle interval '9m' is shorter than minimum allowed value of 10m"),
        ),
        (
            {"processing_interval": "0s"},
            (422, "Lifecycle processing_interval '0s' must be positive"),
        ),
        (
            {"type": "compress", "when": True},
            (422, "Lifecycle type 'compress' does not support 'when' condition"),
        ),
        (
            {"when": {"#ext": {"a": {}}}},
            (422, "Lifecycle condition cannot use '#ext' directive"),
        ),
    ):
        assert refusal(client.post(path, json=settings | change)) == expected
    done(client.post(path, json=settings))
    exists = (409, f"Lifecycle '{name}' already exists")
    assert refusal(client.post(path, json=settings)) == exists


def test_full_access_is_needed(auth_server: Server) -> None:
    with api(auth_server.url, auth_server.token) as owner:
        bucket = new_bucket(owner)
        reader = owner.post(f"/tokens/{bucket}", json={"permissions": {"read": ["*"]}}).json()
    settings = {"type": "delete", "bucket": bucket, "older_than": "1h"}
    for token, expected in ((None, 401), (reader["value"], 403)):
        with api(auth_server.url, token) as client:
            assert client.get("/lifecycles").status_code == expected
            assert client.get("/lifecycles/x").status_code == expected
            assert client.post("/lifecycles/x", json=settings).status_code == expected
            assert client.put("/lifecycles/x", json=settings).status_code == expected
            changed = client.patch("/lifecycles/x/mode", json={"mode": "disabled"})
            assert changed.status_code == expected
            assert client.delete("/lifecycles/x").status_code == expected
            # Bodies are parsed before tokens are looked at.
            assert client.post("/lifecycles/x", json={}).status_code == 422


def test_policies_survive_a_restart(new_server: NewServer) -> None:
    with new_server() as server, api(server.url) as client:
        settings = {
            "type": "delete",
            "bucket": new_bucket(client),
            "older_than": "2h",
            "when": {"&a": {"$eq": 1}},
        }
        done(client.post("/lifecycles/x%2Fy", json=settings))
        done(client.patch("/lifecycles/x%2Fy/mode", json={"mode": "dry_run"}))
        done(client.post("/lifecycles/other", json=settings))
        done(client.delete("/lifecycles/other"))
        before = done(client.get("/lifecycles/x%2Fy")).json()
        assert before["info"]["name"] == "x/y"
        server.restart()
        assert done(client.get("/lifecycles/x%2Fy")).json() == before
        assert done(client.get("/lifecycles")).json() == {"lifecycles": [before["info"]]}
