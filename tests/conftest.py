"""Fixtures of all tests. Collecting them needs neither network nor server.

Behaviour is written once and runs in both flavours:

    async def test_write_and_read(bucket: Bucket) -> None:
        await bucket.write("entry", b"data", timestamp=1)
        async with bucket.read("entry") as record:
            assert await record.read_all() == b"data"

`client`, `bucket` and `flavour` give such a test, with the types of `reduct_async`; a blocking
client is shown through the async interface (`tests/flavours.py`). An async test without these
fixtures is marked `pytest.mark.anyio`.

Properties work the same way: `@given` on an async test runs all its examples in one event loop,
with one client and one bucket, so examples take an entry of their own where they would meet:

    @given(data=st.binary())
    async def test_round_trip(bucket: Bucket, data: bytes) -> None:
        entry = uuid.uuid4().hex

A test of `server`, `auth_server` or `new_server`, or of what is built on them, runs on each server
that the option `--server` names (`tests/servers.py`).
"""

import gc
import os
import uuid
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import hypothesis
import pytest

from reduct_async import Bucket, Client
from tests.flavours import Flavour
from tests.recording import Recorder
from tests.servers import (
    CHOICES,
    FULL_ACCESS,
    KINDS,
    EmbeddedServer,
    NewServer,
    Server,
    SharedServers,
)
from tools.real_server import RealServer

hypothesis.settings.register_profile(
    "project",
    # A round trip to a server varies too much for a deadline per example.
    deadline=None,
    suppress_health_check=[
        # Wanted: see the docstring above.
        hypothesis.HealthCheck.function_scoped_fixture,
        # A busy machine is no defect of a test.
        hypothesis.HealthCheck.too_slow,
    ],
)
hypothesis.settings.register_profile(
    "quick",  # make test
    hypothesis.settings.get_profile("project"),
    max_examples=40,
)
hypothesis.settings.register_profile(
    "long",  # make differential
    hypothesis.settings.get_profile("project"),
    max_examples=1000,
)
hypothesis.settings.load_profile("project")

# A developer's proxy has no part in requests to this machine.
for _name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
    os.environ.pop(_name, None)
    os.environ.pop(_name.upper(), None)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of async tests; a test for trio parametrizes this name."""
    return "asyncio"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores for `-n auto`: a good part of their time tests only wait."""
    return (os.cpu_count() or 1) + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says where the behaviour is tested."""
    parser.addoption("--server", choices=CHOICES, default="local", help="servers of the tests")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses a server on each one asked for; tests of the real server on that alone."""
    if "server_kind" in metafunc.fixturenames:
        real = metafunc.definition.get_closest_marker("real") is not None
        kinds = ["real"] if real else CHOICES[metafunc.config.getoption("server")]
        metafunc.parametrize("server_kind", kinds, scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests out of the garbage collector's sight.

    They live to the end, a million objects: each full collection would take 0.4 s to look at them.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        forget_the_living()


@pytest.fixture(scope="module", autouse=True)
def garbage() -> Iterator[None]:
    """Collect the garbage of a module with the module, so that what it left open shows there."""
    yield
    forget_the_living()


def forget_the_living() -> None:
    """Collect all garbage, and let later collections look at what is made from now on alone.

    Plugins keep reports and timers of every test.
    """
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of the real server unless it is asked for."""
    if "real" in CHOICES[config.getoption("server")]:
        return
    left_out = [item for item in items if item.get_closest_marker("real") is not None]
    items[:] = [item for item in items if item not in set(left_out)]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def shared_servers() -> Iterator[SharedServers]:
    """The servers that tests share."""
    servers = SharedServers()
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def server(shared_servers: SharedServers, server_kind: str) -> Server:
    """A server without authentication, shared by all tests."""
    return shared_servers.get(server_kind)


@pytest.fixture(scope="session")
def auth_server(shared_servers: SharedServers, server_kind: str) -> Server:
    """A server that asks for a token, `auth_server.token`; shared by all tests."""
    return shared_servers.get(server_kind, FULL_ACCESS)


@pytest.fixture(scope="session")
def new_server(server_kind: str) -> NewServer:
    """Makes servers that a test has for itself."""
    return KINDS[server_kind]


@pytest.fixture(params=["sync", "async"])
async def flavour(request: pytest.FixtureRequest, anyio_backend: Any) -> AsyncIterator[Flavour]:
    """Each flavour in turn."""
    flavour = Flavour(request.param)
    yield flavour
    await flavour.close()


@pytest.fixture
def client(flavour: Flavour, server: Server) -> Client:
    """A client of the server without authentication."""
    return flavour.client(server.url)


@pytest.fixture
async def bucket(client: Client, server: Server, anyio_backend: Any) -> AsyncIterator[Bucket]:
    """A fresh bucket."""
    bucket = await client.create_bucket(f"test-{uuid.uuid4().hex}")
    yield bucket
    # Past the client, which the test may have closed; 404 where the test removed the bucket.
    assert server.request("DELETE", f"/b/{bucket.name}") in {200, 404}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the log of the servers that a failed test used."""
    report = yield
    if report.failed:
        for server in getattr(item, "funcargs", {}).values():
            if isinstance(server, EmbeddedServer | RealServer):
                report.sections.append((f"log of the server at {server.url}", server.log_tail()))
    return report


@pytest.fixture
def recorder(flavour: Flavour) -> Recorder:
    """A transport that notes what `recorded` sends."""
    return Recorder(flavour)


@pytest.fixture
async def recorded(flavour: Flavour, server: Server, recorder: Recorder, bucket: Bucket) -> Bucket:
    """The bucket of the test, by a client whose requests are noted."""
    return flavour.client(server.url, transport=recorder.transport).bucket(bucket.name)
