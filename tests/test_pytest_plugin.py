"""The pytest plugin, in sessions of pytest of their own, where each warning is an error."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]

PREAMBLE = """
import asyncio
import gc

import pytest

async def use(bucket):
    await bucket.write("entry", b"data", 1)
    assert [await record.read_all() async for record in bucket.query("entry")] == [b"data"]
    async with bucket.read("entry") as record:
        assert record.labels == {}
"""

UNCLOSED = """
import pytest
import reduct_async

@pytest.fixture
def reduct_async_bucket(reduct_server, reduct_bucket):
    return reduct_async.Client(reduct_server.url).bucket(reduct_bucket.name)
"""


OTHERS = ("schemathesis", "respx", "hypothesispytest", "randomly", "asyncio", "trio")
"""Plugins that take long to import, import httpx, or change the order of tests."""

ASYNC_PLUGINS = {
    "asyncio": ["-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function"],
    "anyio": [],
    "trio": ["-p", "pytest_trio.plugin"],
}
"""What loads the plugin of each marker for async tests; that of anyio is always there."""


def run(pytester: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    """Return how a session with one module of tests went."""
    pytester.makepyfile(PREAMBLE + source)
    without = [option for name in OTHERS for option in ("-p", f"no:{name}")]
    return pytester.runpytest_subprocess("-W", "error", *without, *options, timeout=120)


def test_it_is_registered() -> None:
    (plugin,) = entry_points(group="pytest11", name="reduct")
    assert plugin.value == "reduct_pytest.plugin"


def test_loading_it_imports_nothing() -> None:
    code = "import sys, pytest; old = set(sys.modules); import reduct_pytest.plugin; " + (
        "print(*sorted(name for name in set(sys.modules) - old if '.' not in name))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    modules = set(found.stdout.split())
    assert "reduct_pytest" in modules
    assert modules - sys.stdlib_module_names == {"reduct_pytest"}


def test_a_session_without_the_fixtures_imports_nothing(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_modules():
    import sys
    heavy = {"reduct_local", "reduct_sync", "reduct_async", "reduct_core", "httpx", "starlette"}
    assert not heavy & set(sys.modules)
""",
    )
    result.assert_outcomes(passed=1)


def test_blocking_code(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.parametrize("run", [1, 2])
def test_fresh(reduct_bucket, run):
    assert reduct_bucket.get_entry_list() == []
    reduct_bucket.write("entry", b"data", 1)
    (record,) = reduct_bucket.query("entry")
    assert record.read_all() == b"data"

def test_removed(reduct_url):
    import reduct_sync
    with reduct_sync.Client(reduct_url) as client:
        assert [bucket.status for bucket in client.list()] in ([], ["DELETING"])

def test_gone_already(reduct_bucket):
    reduct_bucket.remove()

def test_renamed(reduct_bucket):
    reduct_bucket.rename("other-name")

@pytest.mark.parametrize("odd", ["a/ü b", "x" * 300])
def test_names(reduct_bucket, odd):
    reduct_bucket.write("entry", b"data", 1)

def test_the_server_is_shared(reduct_server, reduct_url):
    assert reduct_url == reduct_server.url
    assert reduct_server.token is None
""",
    )
    result.assert_outcomes(passed=8)


@pytest.mark.parametrize(("marker", "count"), [("asyncio", 2), ("anyio", 4), ("trio", 2)])
def test_async_code(pytester: pytest.Pytester, marker: str, count: int) -> None:
    result = run(
        pytester,
        f"""
@pytest.mark.{marker}
async def test_one(reduct_async_bucket):
    await use(reduct_async_bucket)

@pytest.mark.{marker}
async def test_two(reduct_async_bucket):
    await use(reduct_async_bucket)

def test_nothing_is_left():
    gc.collect()
""",
        *ASYNC_PLUGINS[marker],
    )
    result.assert_outcomes(passed=count + 1)


def test_async_code_without_a_plugin(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_run(reduct_async_bucket, reduct_bucket):
    asyncio.run(use(reduct_async_bucket))
    # Both stand for the same bucket.
    assert [record.read_all() for record in reduct_bucket.query("entry")] == [b"data"]
    gc.collect()

def test_unused(reduct_async_bucket):
    gc.collect()
""",
    )
    result.assert_outcomes(passed=2)


def test_connections_left_open_are_seen(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(UNCLOSED)
    result = run(
        pytester,
        """
def test_run(reduct_async_bucket):
    asyncio.run(use(reduct_async_bucket))
    del reduct_async_bucket

def test_nothing_is_left():
    gc.collect()
""",
    )
    assert "ResourceWarning: unclosed" in result.stdout.str() + result.stderr.str()
    assert result.ret != 0


def test_faults_end_with_their_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.fixture
def archive(reduct_bucket):
    yield reduct_bucket
    reduct_bucket.write("teardown", b"data", 1)

def test_fault(archive, reduct_server):
    import reduct_sync
    reduct_server.faults.status(503)
    with pytest.raises(reduct_sync.ReductError, match="503"):
        archive.write("entry", b"data", 1)

def test_afterwards(archive):
    archive.write("entry", b"data", 1)
""",
    )
    result.assert_outcomes(passed=2)


def test_another_server(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
import pytest

@pytest.fixture(scope="session")
def reduct_server():
    import reduct_local
    with reduct_local.Server(token="secret") as server:
        yield server
"""
    )
    result = run(
        pytester,
        """
def test_token(reduct_bucket, reduct_async_bucket, reduct_server, reduct_url):
    assert (reduct_server.token, reduct_url) == ("secret", reduct_server.url)
    reduct_bucket.write("first", b"data", 1)
    asyncio.run(use(reduct_async_bucket))
    reduct_server.faults.status(503)

def test_cleared(reduct_bucket):
    reduct_bucket.write("entry", b"data", 1)
""",
    )
    result.assert_outcomes(passed=2)


def test_workers_have_their_own_servers(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
import time

@pytest.mark.parametrize("run", range(6))
def test_one(reduct_bucket, reduct_url, worker_id, tmp_path_factory, run):
    reduct_bucket.write("entry", b"data", 1)
    assert reduct_bucket.get_entry_list()[0].record_count == 1
    time.sleep(0.2)
    print(f"url of {worker_id}: {reduct_url}")
""",
        "-n",
        "2",
        "-rP",
    )
    result.assert_outcomes(passed=6)
    lines = {line for line in result.outlines if line.startswith("url of ")}
    assert len(lines) == 2
    assert len({line.rpartition(" ")[2] for line in lines}) == 2


def test_without_the_extra(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
import sys

sys.modules["uvicorn"] = None
"""
    )
    result = run(
        pytester,
        """
def test_bucket(reduct_bucket):
    pass

def test_other():
    pass
""",
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*pip install 'reduct-httpx[[]local[]]'*"])
    # The user is told what to do, not where it failed.
    result.stdout.no_fnmatch_line("*Traceback*")
