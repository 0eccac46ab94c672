"""Endpoints of tokens, on every server."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.local.wire_calls import Reply, call
from tests.servers import NewServer, Server

TOKENS = "/api/v1/tokens"


def name() -> str:
    return f"t-{uuid.uuid4().hex}"


def as_admin(server: Server, method: str, path: str, body: str | None = None) -> Reply:
    return call(server.port, method, path, body, token=server.token)


def create(server: Server, token: str, body: str) -> Reply:
    return as_admin(server, "POST", f"{TOKENS}/{token}", body)


def test_value_shows_at_creation_only(auth_server: Server) -> None:
    token = name()
    made = create(auth_server, token, '{"permissions": {"read": ["a"], "write": ["b*"]}}')
    assert made.status == 200
    assert set(made.json) == {"value", "created_at"}
    assert made.json["value"].startswith(token + "-")
    assert len(made.json["value"]) == len(token) + 33
    shown = as_admin(auth_server, "GET", f"{TOKENS}/{token}").json
    assert shown == {
        "name": token,
        "value": "",
        "created_at": made.json["created_at"],
        "permissions": {"full_access": False, "read": ["a"], "write": ["b*"]},
        "is_provisioned": False,
        "expires_at": None,
        "ttl": None,
        "last_access": None,
        "ip_allowlist": [],
        "is_expired": False,
    }
    assert shown in as_admin(auth_server, "GET", TOKENS).json["tokens"]


def test_list_is_sorted_and_holds_the_provisioned_token(auth_server: Server) -> None:
    create(auth_server, name(), "{}")
    tokens = as_admin(auth_server, "GET", TOKENS).json["tokens"]
    names = [token["name"] for token in tokens]
    assert names == sorted(names)
    provisioned = [token for token in tokens if token["is_provisioned"]]
    assert [token["name"] for token in provisioned] == ["init-token"]
    assert all(token["value"] == "" for token in tokens)


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"permissions": {}}',
        '{"permissions": {"unknown": 1}}',
        '{"permissions": {}, "ttl": null, "expires_at": null}',
        '{"permissions": {"read": ["$x/y", "*", "a-_*"]}}',
        '{"permissions": {}, "ip_allowlist": ["not an address", "10.0.0.0/8"]}',
        '{"permissions": {}, "ttl": 1, "expires_at": "2090-01-01T00:00:00.5+02:00"}',
        '{"read": ["a"], "ip_allowlist": ["1.2.3.4"]}',
        '{"full_access": true}',
    ],
)
def test_accepted_bodies(auth_server: Server, body: str) -> None:
    token = name()
    assert create(auth_server, token, body).status == 200
    assert as_admin(auth_server, "DELETE", f"{TOKENS}/{token}").status == 200


@pytest.mark.parametrize(
    "body",
    [
        "",
        "x",
        "[]",
        "null",
        '{"x": 1}',
        '{"permissions": null}',
        '{"permissions": {}, "x": 1}',
        '{"permissions": {"read": null}}',
        '{"permissions": {"read": [1]}}',
        '{"permissions": {"full_access": 1}}',
        '{"permissions": {"read": ["a/b"]}}',
        '{"permissions": {"read": [""]}}',
        '{"permissions": {}, "ttl": 0}',
        '{"permissions": {}, "ttl": -1}',
        '{"permissions": {}, "ttl": 1.5}',
        '{"permissions": {}, "ttl": true}',
        '{"permissions": {}, "ttl": 18446744073709551616}',
        '{"permissions": {}, "expires_at": "2020-01-01T00:00:00Z"}',
        '{"permissions": {}, "expires_at": "soon"}',
        '{"permissions": {}, "expires_at": "2090-01-01"}',
        '{"permissions": {}, "expires_at": 5}',
        '{"permissions": {}, "ip_allowlist": null}',
        '{"full_access": true, "x": 1}',
        '{"full_access": true, "permissions": {}}',
        '{"read": ["a"], "ttl": 5}',
    ],
)
def test_refused_bodies(auth_server: Server, body: str) -> None:
    token = name()
    reply = create(auth_server, token, body)
    assert reply.status == 422
    assert reply.error
    assert as_admin(auth_server, "GET", f"{TOKENS}/{token}").status == 404


def test_refused_bodies_come_before_the_token(auth_server: Server) -> None:
    path = f"{TOKENS}/{name()}"
    assert call(auth_server.port, "POST", path, "{").status == 422
    assert call(auth_server.port, "POST", path, "{}").status == 401


def test_too_large_body_is_refused(auth_server: Server) -> None:
    assert create(auth_server, name(), " " * 2_097_151 + "{}").status == 422


def test_names_may_be_any_path_segment(auth_server: Server) -> None:
    for path, shown in [("a%20b%22c", 'a b"c'), ("%D0%B0%2Fx", "а/x")]:
        assert create(auth_server, path, "{}").json["value"].startswith(shown + "-")
        assert as_admin(auth_server, "GET", f"{TOKENS}/{path}").json["name"] == shown
        assert as_admin(auth_server, "DELETE", f"{TOKENS}/{path}").status == 200


def test_name_exists(auth_server: Server) -> None:
    assert create(auth_server, "init-token", "{}").error == "Token 'init-token' already exists"
    assert create(auth_server, "init-token", "{}").status == 409


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/rotate")])
def test_missing_token(auth_server: Server, method: str, path: str) -> None:
    reply = as_admin(auth_server, method, f"{TOKENS}/missing{path}")
    assert reply.status == 404
    assert reply.error == "Token 'missing' doesn't exist"


@pytest.mark.parametrize(("method", "path"), [("DELETE", ""), ("POST", "/rotate")])
def test_provisioned_token_cannot_change(auth_server: Server, method: str, path: str) -> None:
    assert as_admin(auth_server, method, f"{TOKENS}/init-token{path}").status == 409


def test_rotation_replaces_the_value(auth_server: Server) -> None:
    token = name()
    old = create(auth_server, token, "{}").json["value"]
    assert call(auth_server.port, "GET", "/api/v1/me", token=old).status == 200
    new = as_admin(auth_server, "POST", f"{TOKENS}/{token}/rotate").json["value"]
    assert new != old
    assert call(auth_server.port, "GET", "/api/v1/me", token=old).status == 401
    assert call(auth_server.port, "GET", "/api/v1/me", token=new).json["name"] == token


def test_removed_token_is_dead(auth_server: Server) -> None:
    token = name()
    value = create(auth_server, token, "{}").json["value"]
    assert call(auth_server.port, "GET", "/api/v1/me", token=value).status == 200
    assert as_admin(auth_server, "DELETE", f"{TOKENS}/{token}").status == 200
    assert call(auth_server.port, "GET", "/api/v1/me", token=value).status == 401


def test_expiry_is_kept(auth_server: Server) -> None:
    token = name()
    create(
        auth_server,
        token,
        '{"permissions": {}, "ttl": 100, "expires_at": "2090-01-01T00:00:00.250+02:00"}',
    )
    shown = as_admin(auth_server, "GET", f"{TOKENS}/{token}").json
    assert shown["expires_at"] == "2089-12-31T22:00:00.250Z"
    assert shown["ttl"] == 100
    assert shown["is_expired"] is False


def test_only_full_access_manages_tokens(auth_server: Server) -> None:
    token = name()
    value = create(auth_server, token, '{"permissions": {"read": ["*"]}}').json["value"]
    for method, path in [("GET", ""), ("GET", "/x"), ("DELETE", "/x"), ("POST", "/x/rotate")]:
        reply = call(auth_server.port, method, TOKENS + path, token=value)
        assert reply.status == 403
        assert reply.error == f"Token '{token}' doesn't have full access"
    assert call(auth_server.port, "POST", f"{TOKENS}/x", "{}", token=value).status == 403


def permissions(server: Server, token: str) -> Any:
    return as_admin(server, "GET", f"{TOKENS}/{token}").json["permissions"]


def test_permissions_follow_buckets(auth_server: Server) -> None:
    token, old, new = name(), name(), name()
    for bucket in (old, new):
        assert as_admin(auth_server, "POST", f"/api/v1/b/{bucket}").status == 200
    create(
        auth_server, token, f'{{"permissions": {{"read": ["{old}", "t*"], "write": ["{new}"]}}}}'
    )
    renamed = name()
    reply = call(
        auth_server.port,
        "PUT",
        f"/api/v1/b/{old}/rename",
        f'{{"new_name": "{renamed}"}}',
        {"content-type": "application/json"},
        auth_server.token,
    )
    assert reply.status == 200
    assert permissions(auth_server, token)["read"] == [renamed, "t*"]
    assert as_admin(auth_server, "DELETE", f"/api/v1/b/{new}").status == 200
    assert permissions(auth_server, token)["write"] == []


def test_without_authentication_there_are_no_tokens(server: Server) -> None:
    assert call(server.port, "GET", TOKENS).json == {"tokens": []}
    assert call(server.port, "DELETE", f"{TOKENS}/x").status == 200
    for method, path, body in [
        ("GET", "/x", None),
        ("POST", "/x", "{}"),
        ("POST", "/x/rotate", None),
    ]:
        reply = call(server.port, method, TOKENS + path, body)
        assert reply.status == 400
        assert reply.error == "Authentication is disabled"
    assert call(server.port, "POST", f"{TOKENS}/x", "{").status == 422


def test_me_without_authentication(server: Server) -> None:
    me = call(server.port, "GET", "/api/v1/me", token="ignored").json
    assert me["name"] == "AUTHENTICATION-DISABLED"
    assert me["permissions"] == {"full_access": True, "read": [], "write": []}
    age = datetime.now(UTC) - datetime.fromisoformat(me["created_at"][:19] + "+00:00")
    assert age < timedelta(minutes=1)


def test_last_full_access_token_stays(new_server: NewServer) -> None:
    with new_server(env={"RS_DISABLE_AUTH": "false", "RS_INIT_API_TOKEN": "first"}) as server:

        def remove(token: str) -> int:
            return call(server.port, "DELETE", f"{TOKENS}/{token}", token="first").status

        made = call(server.port, "POST", f"{TOKENS}/x", '{"full_access": true}', token="first")
        assert made.status == 200
        assert remove("x") == 200
        assert remove("init-token") == 409
