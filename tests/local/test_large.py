"""A record of 2 GB passes, in and out, and the server's memory does not grow with it."""

import hashlib
import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.local.process import ServerProcess, serving

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]

SIZE = 2 * 1000**3
GROWTH = 64 * 1024**2

PIECE = bytes(range(256)) * 4096
"""1 MiB; each piece of the record begins with its number."""

WARM_UP = 5_000_000
"""Bytes of a record that is written and read before memory is measured."""


def pieces(size: int) -> Iterator[bytes]:
    """Yield the content of a record, no two pieces of which are the same."""
    for start in range(0, size, len(PIECE)):
        piece = start.to_bytes(8) + PIECE[8:]
        yield piece[: size - start]


def send(url: str, timestamp: int, size: int) -> None:
    """Write a record of that size."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=300)
    path = f"/api/v1/b/bucket/entry?ts={timestamp}"
    connection.request("POST", path, pieces(size), {"Content-Length": str(size)})
    assert connection.getresponse().status == 200
    connection.close()


def received(url: str, timestamp: int) -> tuple[int, str]:
    """Read a record and return the size and the digest of what came."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=300)
    connection.request("GET", f"/api/v1/b/bucket/entry?ts={timestamp}")
    response = connection.getresponse()
    assert response.status == 200
    size, digest = 0, hashlib.blake2b()
    while piece := response.read(len(PIECE)):
        size += len(piece)
        digest.update(piece)
    connection.close()
    return size, digest.hexdigest()


def expected(size: int) -> tuple[int, str]:
    """Return what `received` returns for a record of that size."""
    digest = hashlib.blake2b()
    for piece in pieces(size):
        digest.update(piece)
    return size, digest.hexdigest()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that has done a bit of everything already."""
    with serving(tmp_path / "data.sqlite") as running:
        connection = http.client.HTTPConnection(urlsplit(running.url).netloc)
        connection.request("POST", "/api/v1/b/bucket")
        assert connection.getresponse().status == 200
        connection.close()
        send(running.url, 1, WARM_UP)
        assert received(running.url, 1) == expected(WARM_UP)
        yield running


def test_memory_does_not_grow_with_the_record(running: ServerProcess) -> None:
    before = running.resident_bytes()
    send(running.url, 2, SIZE)
    assert received(running.url, 2) == expected(SIZE)
    assert running.peak_bytes() - before < GROWTH


def test_growth_is_seen(running: ServerProcess) -> None:
    """The control: a body that must be in memory as a whole shows in the figure."""
    before = running.resident_bytes()
    connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=300)
    connection.request("POST", "/api/v1/b/bucket/entry/q", b" " * (GROWTH - 1000) + b"{}")
    assert connection.getresponse().status == 422
    connection.close()
    assert running.peak_bytes() - before > GROWTH
