"""The API of replications, on the embedded and on the real server."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.local.replicating import (
    api,
    done,
    new_bucket,
    refusal,
)
from tests.servers import Server

DEFAULTS: dict[str, Any] = {
    "dst_token": None,
    "entries": [],
    "dst_prefix": "",
    "when": None,
    "mode": "enabled",
    "compression": "none",
}


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """Requests to the shared server."""
    with api(server.url) as client:
        yield client


@pytest.fixture
def settings(client: httpx.Client) -> dict[str, Any]:
    """Settings of a replication from a fresh bucket to nowhere."""
    return {
        "src_bucket": new_bucket(client),
        "dst_bucket": "copy",
        "dst_host": "http://127.0.0.1:1",
    }


@pytest.fixture
def name(client: httpx.Client) -> Iterator[str]:
    """A name for a replication, which is removed afterwards."""
    name = f"replication-{uuid.uuid4().hex}"
    yield name
    client.delete(f"/replications/{name}")


# --- the API -------------------------------------------------------------------------------


def test_create_read_update_delete(
    client: httpx.Client, settings: dict[str, Any], name: str
) -> None:
    path = f"/replications/{name}"
    created = done(client.post(path, json=settings))
    assert created.content == b""

    info = {
        "name": name,
        "mode": "enabled",
        "is_active": True,
        "is_provisioned": False,
        "pending_records": 0,
    }
    nothing = {"hourly": {"ok": 0, "errored": 0, "errors": {}}}
    expected = {"info": info, "settings": settings | DEFAULTS, "diagnostics": nothing}
    assert done(client.get(path)).json() == expected
    assert info in done(client.get("/replications")).json()["replications"]

    changed = settings | {
        "dst_token": "secret",
        "entries": ["a/**", "!b"],
        "dst_prefix": "robot",
        "when": {"&score": {"$gt": 10}, "#batch_records": 5},
        "mode": "disabled",
        "compression": "zstd",
    }
    done(client.put(path, json=changed))
    answered = done(client.get(path)).json()
    assert answered["settings"] == changed | {"dst_token": None}
    assert (answered["info"]["mode"], answered["info"]["is_active"]) == ("disabled", False)

    done(client.put(path, json=settings))
    assert done(client.get(path)).json() == expected

    assert done(client.delete(path)).content == b""
    gone = (404, f"Replication '{name}' does not exist")
    assert refusal(client.get(path)) == gone
    assert refusal(client.delete(path)) == gone
    assert refusal(client.put(path, json=settings)) == gone
    assert refusal(client.patch(f"{path}/mode", json={"mode": "paused"})) == gone


def test_mode_alone(client: httpx.Client, settings: dict[str, Any], name: str) -> None:
    path = f"/replications/{name}"
    done(client.post(path, json=settings | {"dst_prefix": "kept"}))
    for mode in ("paused", "disabled", "enabled"):
        done(client.patch(f"{path}/mode", json={"mode": mode, "unknown": 1}))
        answered = done(client.get(path)).json()
        assert answered["info"]["mode"] == answered["settings"]["mode"] == mode
        assert answered["settings"]["dst_prefix"] == "kept"
    for wrong in ({}, {"mode": None}, {"mode": "Paused"}, {"mode": 1}):
        assert client.patch(f"{path}/mode", json=wrong).status_code == 422
    assert client.patch(f"{path}/mode").status_code == 422
    # The body is looked at first.
    assert client.patch("/replications/missing/mode", json={}).status_code == 422


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"src_bucket": "missing"}, 404),
        ({"dst_host": "example"}, 422),
        ({"dst_host": "example.com/x"}, 422),
        ({"dst_host": "http://"}, 422),
        ({"dst_host": ""}, 422),
        ({"dst_host": None}, 422),
        ({"src_bucket": 1}, 422),
        ({"dst_bucket": None}, 422),
        ({"entries": "a"}, 422),
        ({"entries": None}, 422),
        ({"entries": [1]}, 422),
        ({"dst_prefix": None}, 422),
        ({"when": []}, 422),
        ({"when": {"$unknown": [1]}}, 422),
        ({"when": {"#unknown": 1}}, 422),
        ({"when": {"#batch_records": "x"}}, 422),
        ({"mode": "PAUSED"}, 422),
        ({"mode": None}, 422),
        ({"compression": "lz4"}, 422),
        ({"compression": None}, 422),
        ({"dst_token": 5}, 422),
        ({"dst_host": "localhost:80"}, 200),
        ({"dst_host": "ftp://example"}, 200),
        ({"dst_bucket": "odd name"}, 200),
        ({"dst_token": None}, 200),
        ({"dst_token": ""}, 200),
        ({"when": None}, 200),
        ({"when": True}, 200),
        ({"when": 5}, 200),
        ({"when": "x"}, 200),
        ({"when": {"#ctx_before": 1}}, 200),
        ({"unknown": 1, "each_n": 2, "include": 5}, 200),
    ],
)
def test_what_is_refused(
    client: httpx.Client,
    settings: dict[str, Any],
    name: str,
    change: dict[str, Any],
    expected: int,
) -> None:
    path = f"/replications/{name}"
    assert client.post(path, json=settings | change).status_code == expected
    if expected == 200:
        done(client.delete(path))
    # An update is checked alike, and a refused one changes nothing.
    done(client.post(path, json=settings | {"dst_prefix": "kept"}))
    assert client.put(path, json=settings | change).status_code == expected
    prefix = done(client.get(path)).json()["settings"]["dst_prefix"]
    assert prefix == ("" if expected == 200 else "kept")


@pytest.mark.parametrize("field", ["src_bucket", "dst_bucket", "dst_host"])
def test_required_fields(
    client: httpx.Client, settings: dict[str, Any], name: str, field: str
) -> None:
    del settings[field]
    status_code, message = refusal(client.post(f"/replications/{name}", json=settings))
    assert status_code == 422
    assert message.startswith(f"Invalid JSON: missing field `{field}`")


def test_bodies_that_are_no_settings(client: httpx.Client, name: str) -> None:
    for body in (b"", b"{", b"[]", b"null", b'"x"'):
        assert client.post(f"/replications/{name}", content=body).status_code == 422


def test_messages(client: httpx.Client, settings: dict[str, Any], name: str) -> None:
    path = f"/replications/{name}"
    assert refusal(client.post(path, json=settings | {"src_bucket": "missing"})) == (
        404,
        f"Source bucket 'missing' for replication '{name}' does not exist",
    )
    assert refusal(client.post(path, json=settings | {"dst_host": "x"})) == (
        422,
        "Invalid destination host 'x'",
    )
    status_code, message = refusal(client.post(path, json=settings | {"when": {"$no": [1]}}))
    assert (status_code, message.split(":")[0]) == (422, "Invalid replication condition")
    done(client.post(path, json=settings))
    exists = (409, f"Replication '{name}' already exists")
    assert refusal(client.post(path, json=settings)) == exists


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "0.0.0.0"])
def test_a_bucket_is_not_its_own_destination(
    client: httpx.Client, settings: dict[str, Any], name: str, host: str
) -> None:
    own = {"dst_host": f"http://{host}:{client.base_url.port}/x"}
    same = settings | own | {"dst_bucket": settings["src_bucket"]}
    assert refusal(client.post(f"/replications/{name}", json=same)) == (
        422,
        "Source and destination buckets must be different",
    )
    done(client.post(f"/replications/{name}", json=settings | own))


def test_any_name(client: httpx.Client, settings: dict[str, Any]) -> None:
    for path, name in (("a%20b", "a b"), ("x%2Fy", "x/y"), ("$x", "$x"), ("%C3%BC", "ü")):
        done(client.post(f"/replications/{path}", json=settings))
        assert done(client.get(f"/replications/{path}")).json()["info"]["name"] == name
        done(client.delete(f"/replications/{path}"))
    assert client.post("/replications/%FF", json=settings).status_code == 400
    for method, path in (
        ("POST", "/replications"),
        ("PATCH", "/replications/x"),
        ("GET", "/replications/x/mode"),
        ("POST", "/replications/x/y"),
    ):
        assert client.request(method, path, json=settings).status_code == 405


def test_full_access_is_needed(auth_server: Server) -> None:
    with api(auth_server.url, auth_server.token) as owner:
        bucket = new_bucket(owner)
        reader = owner.post(f"/tokens/{bucket}", json={"permissions": {"read": ["*"]}}).json()
    settings = {"src_bucket": bucket, "dst_bucket": "x", "dst_host": "http://localhost"}
    for token, expected in ((None, 401), (reader["value"], 403)):
        with api(auth_server.url, token) as client:
            assert client.get("/replications").status_code == expected
            assert client.get("/replications/x").status_code == expected
            assert client.post("/replications/x", json=settings).status_code == expected
            assert client.put("/replications/x", json=settings).status_code == expected
            assert client.patch("/replications/x/mode", json={"mode": "paused"}).status_code == (
                expected
            )
            assert client.delete("/replications/x").status_code == expected
            # Bodies are parsed before tokens are looked at.
            assert client.post("/replications/x", json={}).status_code == 422
