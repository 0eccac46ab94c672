"""What the gates are for: the same load with them and without, on a server that may fail.

Each test has a server of its own, whose locks time out after 3 s instead of 60; the clients give
up a little earlier, so that each wedge is an error.
"""

from collections.abc import Iterator

import anyio
import pytest

from reduct_async import Bucket, BucketSettings, Client, ReductError
from reduct_core import gates
from tests.flavours import Flavour
from tests.real_server import RealServer

WRITERS = 4
BATCHES = 20
"""Batches of each writer in a burst."""
RECORDS = 40
BURSTS = 10

TIMEOUT = 2.5

SETTINGS = BucketSettings(max_block_records=2 * RECORDS)
"""The more blocks are begun, the sooner the server fails."""


@pytest.fixture
def fragile_server() -> Iterator[RealServer]:
    with RealServer(env={"RS_RWLOCK_TIMEOUT": "3"}) as server:
        yield server


def payload(timestamp: int) -> bytes:
    return b"%d" % timestamp


async def burst(bucket: Bucket, flavour: Flavour, entry: str) -> list[str]:
    """Write to a new entry by several writers; return what failed, or what got lost silently."""
    failures: list[str] = []

    async def writer(index: int) -> None:
        for number in range(BATCHES):
            first = (index * BATCHES + number) * RECORDS
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
        for index in range(WRITERS):
            group.start_soon(writer, index)
    return failures or await lost(bucket, entry)


async def lost(bucket: Bucket, entry: str) -> list[str]:
    """Read back what a burst wrote; return what is wrong."""
    try:
        found = {r.timestamp: await r.read_all() async for r in bucket.query(entry)}
    except ReductError as error:
        return [str(error)]
    expected = {us: payload(us) for us in range(WRITERS * BATCHES * RECORDS)}
    return [f"record {us}" for us in expected if found.get(us) != expected[us]]


@pytest.mark.anyio
async def test_writers_without_gates_make_the_server_fail(
    fragile_server: RealServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control; one burst is usually enough."""
    monkeypatch.setattr(gates, "_CONFLICTS", frozenset())
    failures: list[str] = []
    async with Client(fragile_server.url, timeout=TIMEOUT) as client:
        bucket = await client.create_bucket("bucket", SETTINGS)
        for number in range(BURSTS):
            failures = await burst(bucket, Flavour("async"), f"entry-{number}")
            if failures:
                break
    assert failures


async def test_writers_with_gates_do_not(flavour: Flavour, fragile_server: RealServer) -> None:
    bucket = await flavour.client(fragile_server.url, timeout=TIMEOUT).create_bucket(
        "bucket", SETTINGS
    )
    for number in range(2):
        assert await burst(bucket, flavour, f"entry-{number}") == []
