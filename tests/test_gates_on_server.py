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
RECORDS = 40
"""Records of each batch."""
BURSTS = 10

LOADS = {
    # New blocks all the time: records get lost.
    "small-blocks": (BucketSettings(max_block_records=RECORDS), 5),
    # Many batches to one block: the entry wedges.
    "large-blocks": (BucketSettings(), 40),
}
"""Settings of a bucket, and how many batches each writer writes in a burst."""

TIMEOUT = 2.5


@pytest.fixture
def fragile_server() -> Iterator[RealServer]:
    with RealServer(env={"RS_RWLOCK_TIMEOUT": "3"}) as server:
        yield server


def payload(timestamp: int) -> bytes:
    return b"%d" % timestamp


async def burst(client: Client, flavour: Flavour, load: str) -> list[str]:
    """Write to a new entry by several writers; return what failed, or what got lost silently."""
    settings, batches = LOADS[load]
    bucket = await client.create_bucket(load, settings, exist_ok=True)
    entry = f"entry-{len(await bucket.get_entry_list())}"
    failures: list[str] = []

    async def writer(index: int) -> None:
        for number in range(batches):
            first = (index * batches + number) * RECORDS
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
    return failures or await lost(bucket, entry, WRITERS * batches * RECORDS)


async def lost(bucket: Bucket, entry: str, count: int) -> list[str]:
    """Read back what a burst wrote; return what is wrong."""
    try:
        found = {r.timestamp: await r.read_all() async for r in bucket.query(entry)}
    except ReductError as error:
        return [str(error)]
    return [f"record {us}" for us in range(count) if found.get(us) != payload(us)]


@pytest.mark.anyio
async def test_writers_without_gates_make_the_server_fail(
    fragile_server: RealServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control; one or two bursts are usually enough."""
    monkeypatch.setattr(gates, "_CONFLICTS", frozenset())
    failures: list[str] = []
    async with Client(fragile_server.url, timeout=TIMEOUT) as client:
        for _ in range(BURSTS):
            for load in LOADS:
                failures = failures or await burst(client, Flavour("async"), load)
    assert failures


@pytest.mark.parametrize("load", LOADS)
async def test_writers_with_gates_do_not(
    flavour: Flavour, fragile_server: RealServer, load: str
) -> None:
    client = flavour.client(fragile_server.url, timeout=TIMEOUT)
    for _ in range(2):
        assert await burst(client, flavour, load) == []
