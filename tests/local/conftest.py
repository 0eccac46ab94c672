"""Fixtures of the tests of the embedded server: raw calls, storage engines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reduct_local.engine import Engine
from tests.local.raw_calls import Raw
from tests.servers import Server


@pytest.fixture
def raw(server: Server) -> Iterator[Raw]:
    """A connection to the server without authentication."""
    raw = Raw(server.url)
    yield raw
    raw.close()


@pytest.fixture
def store(raw: Raw) -> Iterator[str]:
    """The name of a fresh bucket of the server behind `raw`."""
    name = raw.new_bucket()
    yield name
    raw("DELETE", f"/b/{name}")


@pytest.fixture(params=["memory", "file"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty storage engine, in memory and in a file."""
    engine = Engine(None if request.param == "memory" else tmp_path / "data.sqlite")
    yield engine
    engine.close()
