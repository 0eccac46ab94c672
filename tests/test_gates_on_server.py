"""What the gates are for: the same load with them and without, on a server that may fail.

Each test has a server of its own, whose locks time out after 3 s instead of 60; the clients give
up a little earlier, so that each wedge is an error.
"""

from collections.abc import Iterator

import anyio
import pytest

from reduct_async import Bucket, Client, ReductError
from reduct_core import gates
from tests.flavours import Flavour
from tests.servers import NewServer, Server

WRITERS = 4
BATCHES = 60
"""Batches of each writer in a burst; without gates the server fails after some 200 in all."""
RECORDS = 40
BURSTS = 10

TIMEOUT = 2.5


@pytest.fixture
def fragile_server(new_server: NewServer) -> Iterator[Server]:
    with new_server(env={"RS_RWLOCK_TIMEOUT": "3"}) as server:
        yield server


def payload(timestamp: int) -> bytes:
    return b"%d" % timestamp


async def burst(bucket: Bucket, flavour: Flavour, entry: str) -> list[str]:
    """Write to one entry by several writers, up to the first failure; return the failures."""
    failures: list[str] = []
    # One count for all: writers with far apart times meet less often.
    begins = iter(range(0, WRITERS * BATCHES * RECORDS, RECORDS))

    async def writer() -> None:
        for first in begins:
            batch = flavour.package.Batch()
            for timestamp in range(first, first + RECORDS):
                batch.add(timestamp, payload(timestamp))
            try:
                errors = await bucket.write_batch(entry, batch)
            except ReductError as error:
                failures.append(str(error))
            else:
                failures.extend(map(str, errors.values()))
            if failures:
                return

    async with anyio.create_task_group() as group:
        for _ in range(WRITERS):
            group.start_soon(writer)
    return failures


@pytest.mark.real
@pytest.mark.anyio
async def test_writers_without_gates_make_the_server_fail(
    fragile_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control; one or two bursts are usually enough."""
    monkeypatch.setattr(gates, "_CONFLICTS", frozenset())
    failures: list[str] = []
    async with Client(fragile_server.url, timeout=TIMEOUT) as client:
        bucket = await client.create_bucket("bucket")
        for number in range(BURSTS):
            failures = failures or await burst(bucket, Flavour("async"), f"entry-{number}")
    assert failures


async def test_writers_with_gates_do_not(flavour: Flavour, fragile_server: Server) -> None:
    client = flavour.client(fragile_server.url, timeout=TIMEOUT)
    bucket = await client.create_bucket("bucket")
    assert await burst(bucket, flavour, "entry") == []
    found = {r.timestamp: await r.read_all() async for r in bucket.query("entry")}
    assert found == {us: payload(us) for us in range(WRITERS * BATCHES * RECORDS)}
