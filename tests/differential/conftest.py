"""Two servers side by side, for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.differential.pair import Pair
from tests.differential.wire import Connection
from tests.servers import FULL_ACCESS, EmbeddedServer
from tools.real_server import RealServer


@pytest.fixture(scope="session")
def pair() -> Iterator[Pair]:
    """The real server, whose answers are expected, and the embedded one."""
    with RealServer() as real, EmbeddedServer() as embedded:
        yield from paired(Pair(Connection(real.url), Connection(embedded.url)))


@pytest.fixture(scope="session")
def auth_pair() -> Iterator[Pair]:
    """The same with a token, which calls without one carry."""
    with RealServer(FULL_ACCESS) as real, EmbeddedServer(FULL_ACCESS) as embedded:
        connections = Connection(real.url), Connection(embedded.url)
        yield from paired(Pair(*connections, token=FULL_ACCESS))


def paired(pair: Pair) -> Iterator[Pair]:
    """Yield a pair and close it afterwards."""
    yield pair
    pair.close()
