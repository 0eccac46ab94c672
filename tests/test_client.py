"""Clients against a server: its state, its buckets, tokens, replications, lifecycles."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import anyio
import pytest

from reduct_async import (
    ApiError,
    AuthenticationError,
    BucketSettings,
    Client,
    ConflictError,
    LifecycleMode,
    LifecycleSettings,
    LifecycleType,
    NotFoundError,
    PermissionDeniedError,
    Permissions,
    QuotaType,
    ReductError,
    ReplicationMode,
    ReplicationSettings,
    TransportError,
)
from tests.flavours import Flavour
from tests.recording import Recorder
from tests.servers import NewServer, Server
from tests.stored import contents

T = TypeVar("T")


def unique(prefix: str) -> str:
    """Return a name that no other test uses: tests share their servers."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


async def eventually(ask: Callable[[], Awaitable[T]]) -> T:
    """Return the first answer that is not empty."""
    with anyio.fail_after(30):
        while not (answer := await ask()):
            await anyio.sleep(0.05)
    return answer


@pytest.fixture
def admin(flavour: Flavour, auth_server: Server) -> Client:
    """A client that may do everything on the server with authentication."""
    return flavour.client(auth_server.url, auth_server.token)


# --- the server ----------------------------------------------------------------------------


async def test_info(client: Client) -> None:
    await client.create_bucket(unique("info"))
    info = await client.info()
    assert info.version.startswith("1.")
    assert info.bucket_count >= 1
    assert info.usage >= 0
    assert info.uptime >= 0
    assert isinstance(info.oldest_record, int)
    assert isinstance(info.latest_record, int)
    assert info.license is None
    assert info.defaults.bucket.quota_type is QuotaType.NONE
    assert info.defaults.bucket.max_block_records == 1024


async def test_api_version_comes_with_the_first_answer(client: Client) -> None:
    assert client.api_version is None
    info = await client.info()
    major, minor, *_ = info.version.split(".")
    assert client.api_version == (int(major), int(minor))


async def test_alive_and_ready_need_no_token(flavour: Flavour, auth_server: Server) -> None:
    stranger = flavour.client(auth_server.url)
    assert await stranger.is_alive() is True
    assert await stranger.is_ready() is True
    await stranger.wait_ready(0)


async def test_a_server_that_stops_and_comes_back(flavour: Flavour, new_server: NewServer) -> None:
    with new_server() as server:
        client = flavour.client(server.url)
        assert await client.is_ready()
        server.stop()
        assert await client.is_alive() is False
        assert await client.is_ready() is False
        with pytest.raises(TimeoutError, match=r"was not ready within 0\.1 s"):
            await client.wait_ready(0.1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.wait_ready)
            await anyio.to_thread.run_sync(server.start)
        assert await client.is_ready()


@pytest.mark.parametrize(
    ("timeout", "error"), [(-1, ValueError), (float("nan"), ValueError), ("1", TypeError)]
)
async def test_wait_ready_checks_its_timeout(
    client: Client, timeout: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="timeout"):
        await client.wait_ready(timeout)


async def test_base_path_and_trailing_slash(flavour: Flavour, new_server: NewServer) -> None:
    with new_server(env={"RS_API_BASE_PATH": "/store/"}) as server:
        assert server.url.endswith("/store")
        for url in (server.url, f"{server.url}/"):
            client = flavour.client(url)
            bucket = await client.create_bucket("bucket", exist_ok=True)
            await bucket.write("entry", b"data")
            assert [await r.read_all() async for r in bucket.query("entry", limit=1)] == [b"data"]
        with pytest.raises(NotFoundError):
            await flavour.client(server.url.removesuffix("/store")).info()


async def test_close_ends_a_client(flavour: Flavour, server: Server) -> None:
    async with flavour.client(server.url) as client:
        bucket = await client.create_bucket(unique("closed"))
    await client.close()
    with pytest.raises(TransportError, match="the client is closed"):
        await client.info()
    with pytest.raises(TransportError, match="the client is closed"):
        await bucket.write("entry", b"")
    with pytest.raises(TransportError, match="the client is closed"):
        await contents(bucket.query("entry"))


async def test_a_client_works_without_a_context_manager(client: Client) -> None:
    names = [unique("plain") for _ in range(3)]
    for name in names:
        await client.create_bucket(name)
    assert set(names) <= {bucket.name for bucket in await client.list()}


async def test_secrets_stay_out_of_reprs(flavour: Flavour, auth_server: Server) -> None:
    client = flavour.client(auth_server.url, auth_server.token)
    settings = ReplicationSettings(
        src_bucket="a", dst_bucket="b", dst_host="http://host", dst_token="full-access-token"
    )
    error = ReductError(401, "no")
    for text in (repr(client), repr(client.bucket("b")), repr(settings), repr(error)):
        assert "full-access-token" not in text
    assert auth_server.url in repr(client)


# --- buckets -------------------------------------------------------------------------------


async def test_create_bucket_with_settings(client: Client) -> None:
    settings = BucketSettings(
        quota_type=QuotaType.FIFO, quota_size=10**9, max_block_size=10**6, max_block_records=100
    )
    bucket = await client.create_bucket(unique("settings"), settings)
    assert await bucket.get_settings() == settings


async def test_create_bucket_takes_the_servers_defaults(client: Client) -> None:
    bucket = await client.create_bucket(unique("partly"), BucketSettings(max_block_records=5))
    assert await bucket.get_settings() == BucketSettings(
        quota_type=QuotaType.NONE, quota_size=0, max_block_size=64_000_000, max_block_records=5
    )


async def test_an_existing_bucket(client: Client) -> None:
    name = unique("twice")
    await client.create_bucket(name, BucketSettings(quota_size=1))
    with pytest.raises(ConflictError, match=name) as caught:
        await client.create_bucket(name)
    assert caught.value.status_code == 409
    again = await client.create_bucket(name, BucketSettings(quota_size=2), exist_ok=True)
    assert again.name == name
    assert (await again.get_settings()).quota_size == 1


async def test_many_create_the_same_bucket(client: Client) -> None:
    name = unique("race")
    buckets = await asyncio.gather(*(client.create_bucket(name, exist_ok=True) for _ in range(16)))
    assert {bucket.name for bucket in buckets} == {name}


async def test_a_missing_bucket(client: Client) -> None:
    with pytest.raises(NotFoundError, match="'no-such'") as caught:
        await client.get_bucket("no-such")
    assert (caught.value.status_code, caught.value.method) == (404, "HEAD")


async def test_bucket_is_a_handle_without_a_request(flavour: Flavour, server: Server) -> None:
    recorder = Recorder(flavour)
    client = flavour.client(server.url, transport=recorder.transport)
    bucket = client.bucket("anything")
    assert bucket.name == "anything"
    assert recorder.requests == []
    with pytest.raises(NotFoundError):
        await bucket.info()


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a b", "a.b", "ä", "a?b", "a#b", "a%b", "$a", "x" * 256, "a\n"]
)
async def test_bad_bucket_names_are_not_sent(flavour: Flavour, server: Server, name: str) -> None:
    recorder = Recorder(flavour)
    client = flavour.client(server.url, transport=recorder.transport)
    with pytest.raises(ValueError, match="bucket name"):
        await client.create_bucket(name)
    assert recorder.requests == []


@pytest.mark.parametrize("name", [None, 5, b"bucket"])
async def test_bucket_names_are_text(client: Client, name: Any) -> None:
    for call in (client.create_bucket, client.get_bucket):
        with pytest.raises(TypeError, match="bucket name must be a str"):
            await call(name)
    with pytest.raises(TypeError, match="bucket name must be a str"):
        client.bucket(name)


async def test_the_longest_bucket_name(client: Client) -> None:
    bucket = await client.create_bucket("x" * 200 + uuid.uuid4().hex)
    await bucket.write("entry", b"data")
    await bucket.remove()


async def test_settings_must_be_settings(client: Client) -> None:
    settings: Any = {"quota_size": 1}
    with pytest.raises(TypeError, match="settings"):
        await client.create_bucket(unique("dict"), settings)


async def test_list_is_sorted(client: Client) -> None:
    names = [unique(letter) for letter in "cab"]
    for name in names:
        await client.create_bucket(name)
    listed = [bucket.name for bucket in await client.list()]
    assert listed == sorted(listed)
    assert set(names) <= set(listed)


# --- tokens --------------------------------------------------------------------------------


async def test_life_of_a_token(admin: Client, flavour: Flavour, auth_server: Server) -> None:
    name = unique("token")
    before = datetime.now(UTC) - timedelta(seconds=1)
    value = await admin.create_token(name, Permissions(read=["a*"], write=["b"]))
    token = await admin.get_token(name)
    assert token.name == name
    assert token.permissions == Permissions(full_access=False, read=["a*"], write=["b"])
    assert before < token.created_at < datetime.now(UTC) + timedelta(seconds=1)
    assert (token.is_provisioned, token.is_expired) == (False, False)
    assert (token.expires_at, token.ttl, token.ip_allowlist) == (None, None, [])
    assert name in [token.name for token in await admin.get_token_list()]

    assert await flavour.client(auth_server.url, value).me() == token
    await admin.remove_token(name)
    with pytest.raises(NotFoundError):
        await admin.get_token(name)
    with pytest.raises(AuthenticationError):
        await flavour.client(auth_server.url, value).me()


async def test_rotation(admin: Client, flavour: Flavour, auth_server: Server) -> None:
    name = unique("rotated")
    value = await admin.create_token(name, Permissions(read=["a"]))
    rotated = await admin.rotate_token(name)
    assert rotated != value
    token = await flavour.client(auth_server.url, rotated).me()
    assert (token.name, token.permissions) == (name, Permissions(read=["a"]))
    with pytest.raises(AuthenticationError):
        await flavour.client(auth_server.url, value).me()
    with pytest.raises(NotFoundError):
        await admin.rotate_token(unique("no-such"))


async def test_token_limits(admin: Client) -> None:
    end = datetime(2042, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
    name = unique("limits")
    await admin.create_token(
        name, Permissions(), expires_at=end, ttl=3600, ip_allowlist=["127.0.0.1", "10.0.0.0/8"]
    )
    token = await admin.get_token(name)
    assert (token.expires_at, token.ttl) == (end, 3600)
    assert token.ip_allowlist == ["127.0.0.1", "10.0.0.0/8"]


async def test_a_token_for_other_addresses(
    admin: Client, flavour: Flavour, auth_server: Server
) -> None:
    value = await admin.create_token(
        unique("elsewhere"), Permissions(full_access=True), ip_allowlist=["192.0.2.1"]
    )
    with pytest.raises(AuthenticationError):
        await flavour.client(auth_server.url, value).list()


async def test_token_names_are_free_text(admin: Client) -> None:
    name = unique("a b?#%ü&=+")
    await admin.create_token(name, Permissions())
    assert (await admin.get_token(name)).name == name
    await admin.remove_token(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../b/bucket", "a\nb"])
async def test_token_names_stay_in_their_place(admin: Client, name: str) -> None:
    for call in (admin.get_token, admin.rotate_token, admin.remove_token):
        with pytest.raises(ValueError, match="token name"):
            await call(name)
    with pytest.raises(ValueError, match="token name"):
        await admin.create_token(name, Permissions())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"permissions": {"full_access": True}}, TypeError),
        ({"permissions": None}, TypeError),
        ({"expires_at": 1.5}, TypeError),
        ({"expires_at": "2040-01-01"}, TypeError),
        ({"ttl": 1.5}, TypeError),
        ({"ttl": True}, TypeError),
        ({"ttl": 0}, ValueError),
        ({"ttl": -1}, ValueError),
        ({"ip_allowlist": "127.0.0.1"}, TypeError),
    ],
)
async def test_token_arguments_are_checked(
    admin: Client, arguments: dict[str, Any], error: type[Exception]
) -> None:
    name = unique("bad")
    with pytest.raises(error, match=next(iter(arguments))):
        await admin.create_token(name, **{"permissions": Permissions()} | arguments)
    assert name not in [token.name for token in await admin.get_token_list()]


async def test_tokens_that_the_server_refuses(admin: Client, auth_server: Server) -> None:
    name = unique("again")
    await admin.create_token(name, Permissions())
    with pytest.raises(ConflictError, match=name):
        await admin.create_token(name, Permissions())
    with pytest.raises(ApiError, match="past"):
        await admin.create_token(unique("past"), Permissions(), expires_at=datetime(2020, 1, 1))
    own = (await admin.me()).name
    with pytest.raises(ConflictError, match="provisioned"):
        await admin.remove_token(own)
    with pytest.raises(ConflictError, match="Can't rotate"):
        await admin.rotate_token(own)
    assert (await admin.me()).permissions == Permissions(full_access=True)


async def test_what_a_token_may_do(admin: Client, flavour: Flavour, auth_server: Server) -> None:
    mine, other = unique("mine"), unique("other")
    for name in (mine, other):
        await (await admin.create_bucket(name)).write("entry", b"data", 1)
    value = await admin.create_token(unique("reader"), Permissions(read=[mine[:8] + "*"]))
    reader = flavour.client(auth_server.url, value)
    assert [bucket.name for bucket in await reader.list()] == [mine]
    assert len(await contents(reader.bucket(mine).query("entry"))) == 1
    with pytest.raises(PermissionDeniedError, match=other):
        await contents(reader.bucket(other).query("entry"))
    with pytest.raises(PermissionDeniedError, match="write access"):
        await reader.bucket(mine).write("entry", b"", 2)
    with pytest.raises(PermissionDeniedError, match="write access"):
        await reader.bucket(mine).remove_record("entry", 1)
    for call in (reader.get_token_list, reader.get_replications, reader.get_lifecycles):
        with pytest.raises(PermissionDeniedError, match="full access"):
            await call()


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_without_a_valid_token(
    flavour: Flavour, auth_server: Server, token: str | None
) -> None:
    client = flavour.client(auth_server.url, token)
    bucket = client.bucket("bucket")
    calls = [client.info, client.list, client.me, bucket.info, bucket.remove]
    for call in calls:
        with pytest.raises(AuthenticationError) as caught:
            await call()
        assert caught.value.status_code == 401
    with pytest.raises(AuthenticationError):
        await bucket.write("entry", b"data")
    with pytest.raises(AuthenticationError):
        await contents(bucket.query("entry"))


async def test_a_refused_large_write_tells_why(flavour: Flavour, auth_server: Server) -> None:
    """The server answers before it has read the body, and closes."""
    client = flavour.client(auth_server.url, "wrong")
    with pytest.raises(AuthenticationError, match="Invalid token"):
        await client.bucket("bucket").write("entry", bytes(20_000_000))


async def test_a_server_without_authentication(client: Client) -> None:
    assert (await client.me()).name == "AUTHENTICATION-DISABLED"
    assert await client.get_token_list() == []
    with pytest.raises(ApiError) as caught:
        await client.create_token("token", Permissions())
    assert caught.value.status_code == 400


# --- replications --------------------------------------------------------------------------


async def replicated(client: Client, server: Server, **settings: Any) -> ReplicationSettings:
    """Return settings that copy one new bucket to another one of the same server."""
    source, target = unique("source"), unique("target")
    for name in (source, target):
        await client.create_bucket(name)
    return ReplicationSettings(
        src_bucket=source, dst_bucket=target, dst_host=server.url, **settings
    )


async def test_life_of_a_replication(client: Client, server: Server) -> None:
    name = unique("replication")
    settings = await replicated(client, server, entries=["a"], when={"&copy": {"$eq": True}})
    await client.create_replication(name, settings)
    try:
        source = client.bucket(settings.src_bucket)
        await source.write("a", b"yes", 1, labels={"copy": True})
        await source.write("a", b"no", 2, labels={"copy": False})
        await source.write("b", b"no", 3, labels={"copy": True})
        await source.write("a", b"end", 4, labels={"copy": True})

        async def copies() -> list[bytes]:
            found = await contents(client.bucket(settings.dst_bucket).query("*"))
            return [record.data for record in found] if len(found) == 2 else []

        assert await eventually(copies) == [b"yes", b"end"]
        assert name in [info.name for info in await client.get_replications()]
        detail = await client.get_replication_detail(name)
        assert detail.info.mode is ReplicationMode.ENABLED
        assert (detail.info.is_active, detail.info.is_provisioned) == (True, False)
        assert detail.settings.entries == ["a"]
        assert detail.settings.when == {"&copy": {"$eq": True}}
        assert detail.settings.dst_token is None
        assert all(isinstance(code, int) for code in detail.diagnostics.hourly.errors)
    finally:
        await client.delete_replication(name)
    with pytest.raises(NotFoundError, match=name):
        await client.get_replication_detail(name)


async def test_replication_modes(client: Client, server: Server) -> None:
    name = unique("modes")
    settings = await replicated(client, server)
    await client.create_replication(name, settings)
    try:
        for mode in (ReplicationMode.PAUSED, "disabled", ReplicationMode.ENABLED, "paused"):
            await client.set_replication_mode(name, mode)
            assert (await client.get_replication_detail(name)).info.mode == mode
        # The server would enable the task; here it keeps its mode unless a mode is given.
        await client.update_replication(name, settings)
        assert (await client.get_replication_detail(name)).info.mode is ReplicationMode.PAUSED
        settings.mode = ReplicationMode.ENABLED
        await client.update_replication(name, settings)
        detail = await client.get_replication_detail(name)
        assert detail.info.mode is ReplicationMode.ENABLED
        await client.update_replication(name, detail.settings)
        assert (await client.get_replication_detail(name)).settings == detail.settings
        with pytest.raises(ValueError, match="mode='resting' must be one of"):
            await client.set_replication_mode(name, "resting")
    finally:
        await client.delete_replication(name)


async def test_replications_that_are_refused(client: Client, server: Server) -> None:
    name = unique("refused")
    settings = await replicated(client, server)
    await client.create_replication(name, settings)
    try:
        with pytest.raises(ConflictError, match=name):
            await client.create_replication(name, settings)
    finally:
        await client.delete_replication(name)
    settings.src_bucket = "no-such"
    with pytest.raises(NotFoundError, match="no-such"):
        await client.create_replication(name, settings)
    wrong: Any = {"src_bucket": "a", "dst_bucket": "b", "dst_host": server.url}
    with pytest.raises(TypeError, match="settings"):
        await client.create_replication(name, wrong)
    for condition in ({"$rem": ["&a", 0]}, {"$eq": [2**63, "&a"]}):
        settings.when = condition
        with pytest.raises(ValueError, match="when"):
            await client.create_replication(name, settings)
    assert server.alive()


# --- lifecycles ----------------------------------------------------------------------------


async def test_life_of_a_lifecycle(client: Client) -> None:
    name, bucket = unique("lifecycle"), unique("bucket")
    await client.create_bucket(bucket)
    settings = LifecycleSettings(
        type=LifecycleType.DELETE, bucket=bucket, entries=["a"], older_than="2h", interval="30m"
    )
    await client.create_lifecycle(name, settings)
    try:
        assert name in [info.name for info in await client.get_lifecycles()]
        detail = await client.get_lifecycle_detail(name)
        assert (detail.info.name, detail.info.type) == (name, LifecycleType.DELETE)
        assert (detail.info.mode, detail.info.last_run) == (LifecycleMode.ENABLED, None)
        assert (detail.settings.bucket, detail.settings.entries) == (bucket, ["a"])
        assert (detail.settings.older_than, detail.settings.interval) == ("2h", "30m")

        for mode in (LifecycleMode.DRY_RUN, "disabled"):
            await client.set_lifecycle_mode(name, mode)
            assert (await client.get_lifecycle_detail(name)).info.mode == mode
        settings.older_than = "3h"
        await client.update_lifecycle(name, settings)
        detail = await client.get_lifecycle_detail(name)
        assert (detail.info.mode, detail.settings.older_than) == (LifecycleMode.DISABLED, "3h")
        with pytest.raises(ValueError, match="mode='off' must be one of"):
            await client.set_lifecycle_mode(name, "off")
    finally:
        await client.delete_lifecycle(name)
    with pytest.raises(NotFoundError, match=name):
        await client.get_lifecycle_detail(name)


async def test_lifecycles_that_are_refused(client: Client) -> None:
    name, bucket = unique("refused"), unique("bucket")
    await client.create_bucket(bucket)
    settings = LifecycleSettings(type=LifecycleType.DELETE, bucket=bucket, older_than="1m")
    with pytest.raises(ApiError, match="shorter"):
        await client.create_lifecycle(name, settings)
    settings = LifecycleSettings(type=LifecycleType.DELETE, bucket="no-such", older_than="1h")
    with pytest.raises(NotFoundError, match="no-such"):
        await client.create_lifecycle(name, settings)
    assert name not in [info.name for info in await client.get_lifecycles()]


@pytest.mark.parametrize("name", ["", "..", "a/b"])
async def test_task_names_stay_in_their_place(client: Client, name: str) -> None:
    for of_replication in (client.get_replication_detail, client.delete_replication):
        with pytest.raises(ValueError, match="replication name"):
            await of_replication(name)
    for of_lifecycle in (client.get_lifecycle_detail, client.delete_lifecycle):
        with pytest.raises(ValueError, match="lifecycle name"):
            await of_lifecycle(name)
