"""The plugin that pytest loads by itself: fixtures for tests of code that uses ReductStore.

    def test_archive(reduct_bucket):
        archive(reduct_bucket, frames)
        assert len(list(reduct_bucket.query("camera"))) == 3

| fixture | scope | what it gives |
| --- | --- | --- |
| `reduct_server` | session | a running `reduct_local.Server`, in memory, without a token |
| `reduct_url` | session | its address |
| `reduct_bucket` | test | a fresh bucket of it, a `reduct_sync.Bucket` |
| `reduct_async_bucket` | test | the same bucket as a `reduct_async.Bucket` |

All tests of a session share the server, with pytest-xdist those of a worker process. Faults that
a test sets (`reduct_server.faults`) end with it, before its fixtures are torn down; a test's bucket
is removed after it. A project that needs another server overrides `reduct_server` in its
`conftest.py`, and the other fixtures follow:

    @pytest.fixture(scope="session")
    def reduct_server():
        with reduct_local.Server(token="secret", env={"RS_IO_BATCH_MAX_RECORDS": "10"}) as server:
            yield server

Loading the plugin imports nothing of this distribution or of its dependencies; that happens when
a fixture is first used.
"""

import re
import uuid
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import reduct_async
    import reduct_local
    import reduct_sync


@pytest.fixture(scope="session")
def reduct_server() -> "Iterator[reduct_local.Server]":
    """A running embedded server, in memory and without a token, shared by the session."""
    try:
        import reduct_local
    except ModuleNotFoundError as error:
        # Its text says what to install.
        pytest.fail(str(error), pytrace=False)
    with reduct_local.Server() as server:
        yield server


@pytest.fixture(scope="session")
def reduct_url(reduct_server: "reduct_local.Server") -> str:
    """The address of `reduct_server`, for clients."""
    return reduct_server.url


@pytest.fixture
def reduct_bucket(
    request: pytest.FixtureRequest, reduct_server: "reduct_local.Server"
) -> "Iterator[reduct_sync.Bucket]":
    """A fresh bucket of `reduct_server` for blocking code, removed after the test."""
    import reduct_sync

    name = re.sub(r"[^A-Za-z0-9_-]+", "-", request.node.name)[:60]
    with reduct_sync.Client(reduct_server.url, reduct_server.token) as client:
        bucket = client.create_bucket(f"{name}-{uuid.uuid4().hex[:8]}")
        yield bucket
        try:
            client.bucket(bucket.name).remove()
        except (reduct_sync.NotFoundError, reduct_sync.ConflictError):
            # The test removed it, perhaps a moment ago, or renamed it.
            pass


@pytest.fixture
def reduct_async_bucket(
    reduct_server: "reduct_local.Server", reduct_bucket: "reduct_sync.Bucket"
) -> "reduct_async.Bucket":
    """The bucket of `reduct_bucket` for async code, under any pytest plugin for async tests.

    It connects when it is used, in the event loop of the test. Its client keeps no connection
    from one call to the next, so nothing is left to close when that loop has ended.
    """
    import httpx

    import reduct_async

    client = reduct_async.Client(
        reduct_server.url,
        reduct_server.token,
        limits=httpx.Limits(max_keepalive_connections=0),
    )
    return client.bucket(reduct_bucket.name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """End the faults that a test has set, before fixtures that need the server are torn down."""
    server = (getattr(item, "funcargs", None) or {}).get("reduct_server")
    if server is not None:
        server.faults.clear()
    return (yield)
