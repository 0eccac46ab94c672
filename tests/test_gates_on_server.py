"""What the gates are for: the same load with them and without, on a server that may fail.

Each test has a server of its own, whose locks time out after 3 s instead of 60.
"""

import time
from collections.abc import Iterator

import anyio
import pytest

from reduct_async import Bucket, ReductError
from reduct_core import gates
from tests.flavours import Flavour
from tests.real_server import RealServer
from tests.recording import HANG_SECONDS

WRITERS = 4
BATCHES = 15
"""Batches of each writer in a burst."""
RECORDS = 40
BURSTS = 10


@pytest.fixture
def fragile_server() -> Iterator[RealServer]:
    with RealServer(env={"RS_RWLOCK_TIMEOUT": "3"}) as server:
        yield server


async def burst(bucket: Bucket, flavour: Flavour, number: int) -> list[str]:
    """Write batches to one entry by several writers; return what failed or got lost."""
    failures: list[str] = []
    entry = f"entry-{number}"
    await bucket.write(entry, b"first", timestamp=0)

    async def writer(begin: int) -> None:
        for first in range(begin, begin + BATCHES * RECORDS, RECORDS):
            if failures:
                return
            batch = flavour.package.Batch()
            for timestamp in range(first, first + RECORDS):
                batch.add(timestamp, b"%d" % timestamp)
            try:
                errors = await bucket.write_batch(entry, batch)
            except ReductError as error:
                failures.append(str(error))
            else:
                failures.extend(str(error) for error in errors.values())

    async with anyio.create_task_group() as group:
        for index in range(WRITERS):
            group.start_soon(writer, 1 + index * BATCHES * RECORDS)
    if failures:
        return failures
    found = {r.timestamp: await r.read_all() async for r in bucket.query(entry, start=1)}
    expected = {us: b"%d" % us for us in range(1, 1 + WRITERS * BATCHES * RECORDS)}
    return [] if found == expected else [f"{len(expected) - len(found)} records got lost"]


async def test_writers_without_gates_make_the_server_fail(
    flavour: Flavour, fragile_server: RealServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "_CONFLICTS", frozenset())
    bucket = await flavour.client(fragile_server.url, timeout=10).create_bucket("bucket")
    failures: list[str] = []
    deadline = time.monotonic() + 3 * HANG_SECONDS
    for number in range(BURSTS):
        failures = await burst(bucket, flavour, number)
        if failures or time.monotonic() > deadline:
            break
    assert failures


async def test_writers_with_gates_do_not(flavour: Flavour, fragile_server: RealServer) -> None:
    bucket = await flavour.client(fragile_server.url, timeout=10).create_bucket("bucket")
    for number in range(3):
        assert await burst(bucket, flavour, number) == []
