"""Endpoints of buckets and of the server itself, on every server."""

import json
import time
import uuid

import pytest

from tests.local.wire_calls import TIMEOUT, Reply, call
from tests.servers import NewServer, Server

DEFAULTS = {
    "quota_type": "NONE",
    "quota_size": 0,
    "max_block_size": 64_000_000,
    "max_block_records": 1024,
}
JSON = {"content-type": "application/json"}


@pytest.fixture
def bucket(server: Server) -> str:
    name = f"b-{uuid.uuid4().hex}"
    assert call(server.port, "POST", f"/api/v1/b/{name}").status == 200
    return name


def path(name: str) -> str:
    return f"/api/v1/b/{name}"


def settings(server: Server, name: str) -> object:
    return call(server.port, "GET", path(name)).json["settings"]


def rename(server: Server, name: str, body: str, headers: dict[str, str] = JSON) -> Reply:
    return call(server.port, "PUT", path(name) + "/rename", body, headers)


def test_fresh_bucket(server: Server, bucket: str) -> None:
    info = {
        "name": bucket,
        "entry_count": 0,
        "size": 0,
        "oldest_record": 0,
        "latest_record": 0,
        "is_provisioned": False,
        "status": "READY",
    }
    reply = call(server.port, "GET", path(bucket))
    assert reply.json == {"info": info, "settings": DEFAULTS, "entries": []}
    assert reply.headers["content-type"] == "application/json"
    assert info in call(server.port, "GET", "/api/v1/list").json["buckets"]


def test_list_is_sorted(server: Server, bucket: str) -> None:
    names = [found["name"] for found in call(server.port, "GET", "/api/v1/list").json["buckets"]]
    assert bucket in names
    assert names == sorted(names)


@pytest.mark.parametrize("body", ["", "{}", '{"unknown": 1}', '{"quota_type": null}'])
def test_bodies_that_change_nothing(server: Server, bucket: str, body: str) -> None:
    assert call(server.port, "PUT", path(bucket), body).status == 200
    assert settings(server, bucket) == DEFAULTS


def test_settings_change_field_by_field(server: Server, bucket: str) -> None:
    for field, value in [
        ("quota_type", "FIFO"),
        ("quota_size", 10),
        ("max_block_records", 2**64 - 1),
    ]:
        assert call(server.port, "PUT", path(bucket), json.dumps({field: value})).status == 200
    assert settings(server, bucket) == DEFAULTS | {
        "quota_type": "FIFO",
        "quota_size": 10,
        "max_block_records": 2**64 - 1,
    }


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "x",
        "null",
        "[]",
        '{"quota_size": -1}',
        '{"quota_size": 1.0}',
        '{"quota_size": "1"}',
        '{"quota_size": true}',
        '{"quota_size": 18446744073709551616}',
        '{"quota_size": 1e400}',
        '{"quota_size": NaN}',
        '{"quota_type": 1}',
        '{"quota_type": "fifo"}',
    ],
)
def test_refused_settings(server: Server, bucket: str, body: str) -> None:
    assert call(server.port, "PUT", path(bucket), body).status == 422
    fresh = f"b-{uuid.uuid4().hex}"
    reply = call(server.port, "POST", path(fresh), body)
    assert reply.status == 422
    assert reply.headers["x-reduct-error"]
    assert call(server.port, "HEAD", path(fresh)).status == 404
    assert settings(server, bucket) == DEFAULTS


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_too_large_settings(server: Server, bucket: str, method: str) -> None:
    reply = call(server.port, method, path(bucket), "{}" + " " * 2_097_151)
    assert reply.status == 413
    assert "x-reduct-error" not in reply.headers
    assert reply.body == b"Failed to buffer the request body: length limit exceeded"


def test_existing_bucket_cannot_be_created(server: Server, bucket: str) -> None:
    reply = call(server.port, "POST", path(bucket))
    assert (reply.status, reply.error) == (409, f"Bucket '{bucket}' already exists")


@pytest.mark.parametrize("name", ["bad%20name", "bad.name", "%D0%B0", "a%2Fb", "$x"])
def test_bad_names(server: Server, name: str) -> None:
    assert call(server.port, "POST", path(name)).status == 422


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_missing_bucket(server: Server, method: str) -> None:
    reply = call(server.port, method, path("missing"))
    assert reply.status == 404
    assert reply.headers["x-reduct-error"] == "Bucket 'missing' is not found"


def test_removed_bucket_goes_away(server: Server, bucket: str) -> None:
    assert call(server.port, "POST", path(bucket) + "/e?ts=1", b"data").status == 200
    assert call(server.port, "DELETE", path(bucket)).status == 200
    deadline = time.monotonic() + TIMEOUT
    while (status := call(server.port, "GET", path(bucket)).status) != 404:
        assert status == 409
        assert time.monotonic() < deadline
    assert call(server.port, "POST", path(bucket)).status == 200
    assert call(server.port, "GET", path(bucket)).json["entries"] == []


def test_rename(server: Server, bucket: str) -> None:
    new = f"b-{uuid.uuid4().hex}"
    call(server.port, "POST", path(bucket) + "/e?ts=1", b"data")
    assert rename(server, bucket, json.dumps({"new_name": new})).status == 200
    assert call(server.port, "GET", path(new) + "/e?ts=1").body == b"data"
    assert call(server.port, "HEAD", path(bucket)).status == 404


def test_rename_to_an_existing_name(server: Server, bucket: str) -> None:
    assert rename(server, bucket, json.dumps({"new_name": bucket})).status == 409
    assert rename(server, "missing", '{"new_name": "x"}').status == 404
    assert rename(server, bucket, '{"new_name": "a b"}').status == 422


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/x+json", 200),
        ("text/json", 415),
        ("application/jsonx", 415),
    ],
)
def test_rename_needs_a_json_content_type(
    server: Server, bucket: str, content_type: str, expected: int
) -> None:
    body = json.dumps({"new_name": f"b-{uuid.uuid4().hex}"})
    reply = rename(server, bucket, body, {"content-type": content_type})
    assert reply.status == expected
    assert rename(server, bucket, body, {}).status == 415


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", 400),
        ("{", 400),
        ("{}", 422),
        ('{"new_name": 1}', 422),
        ("[]", 422),
        ("null", 422),
        ("{}{}", 422),
        ('{"new_name": "x"}{}', 400),
    ],
)
def test_rename_refuses_bodies_as_text(
    server: Server, bucket: str, body: str, expected: int
) -> None:
    reply = rename(server, bucket, body)
    assert reply.status == expected
    assert reply.headers["content-type"].startswith("text/plain")
    assert "x-reduct-error" not in reply.headers


def test_permissions(auth_server: Server) -> None:
    def admin(method: str, path: str, body: str | None = None) -> Reply:
        return call(auth_server.port, method, path, body, token=auth_server.token)

    read, write, other = (f"b-{uuid.uuid4().hex}" for _ in range(3))
    for name in (read, write, other):
        assert admin("POST", path(name)).status == 200
    body = json.dumps({"permissions": {"read": [read], "write": [write + "*"]}})
    token = admin("POST", f"/api/v1/tokens/{read}", body).json["value"]

    def status(method: str, path: str) -> int:
        return call(auth_server.port, method, path, token=token).status

    listed = call(auth_server.port, "GET", "/api/v1/list", token=token).json["buckets"]
    assert [found["name"] for found in listed] == [read]
    assert [status("GET", path(name)) for name in (read, write, other)] == [200, 403, 403]
    assert [status("HEAD", path(name)) for name in (read, write, other)] == [200, 200, 200]
    assert status("GET", path("missing")) == 403
    assert status("HEAD", path("missing")) == 404
    for method in ("POST", "PUT", "DELETE"):
        assert status(method, path(write)) == 403
    assert status("GET", "/api/v1/info") == 200
    assert call(auth_server.port, "GET", path(read)).status == 401


def test_info_and_defaults(new_server: NewServer) -> None:
    env = {
        "RS_DEFAULTS_BUCKET_QUOTA_TYPE": "FIFO",
        "RS_DEFAULTS_BUCKET_QUOTA_SIZE": "1KB",
        "RS_DEFAULTS_BUCKET_MAX_BLOCK_RECORDS": "7",
        "RS_INSTANCE_NAME": "cellar",
    }
    with new_server(env=env) as server:
        info = call(server.port, "GET", "/api/v1/info").json
        expected = DEFAULTS | {"quota_type": "FIFO", "quota_size": 1000, "max_block_records": 7}
        assert info["defaults"] == {"bucket": expected}
        assert info["instance_name"] == "cellar"
        assert info["instance_role"] == "STANDALONE"
        assert info["license"] is None
        assert (info["bucket_count"], info["usage"]) == (0, 0)
        assert (info["oldest_record"], info["latest_record"]) == (2**64 - 1, 0)
        call(server.port, "POST", path("x"), '{"quota_size": 5}')
        assert settings(server, "x") == expected | {"quota_size": 5}
        call(server.port, "POST", path("x") + "/e?ts=17", b"d")
        info = call(server.port, "GET", "/api/v1/info").json
        assert (info["oldest_record"], info["latest_record"]) == (17, 17)
        assert info["uptime"] < 60


def test_provisioned_bucket(new_server: NewServer) -> None:
    env = {
        "RS_BUCKET_A_NAME": "kept",
        "RS_BUCKET_A_QUOTA_TYPE": "HARD",
        "RS_BUCKET_A_QUOTA_SIZE": "1MiB",
    }
    with new_server(env=env) as server:
        shown = call(server.port, "GET", path("kept")).json
        assert shown["info"]["is_provisioned"] is True
        assert shown["settings"] == DEFAULTS | {"quota_type": "HARD", "quota_size": 2**20}
        assert call(server.port, "PUT", path("kept"), '{"quota_size": 1}').status == 409
        assert call(server.port, "DELETE", path("kept")).status == 409
        assert rename(server, "kept", '{"new_name": "x"}').status == 409
        assert call(server.port, "POST", path("kept") + "/e?ts=1", b"d").status == 200
