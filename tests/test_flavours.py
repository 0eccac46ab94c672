"""What `tests/flavours.py` promises: both flavours look alike to a test, and calls overlap."""

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest

from reduct_async import Bucket, Client
from tests.flavours import Flavour
from tests.servers import Server


async def test_plain_methods_stay_plain(client: Client, flavour: Flavour) -> None:
    bucket = client.bucket("name")
    assert bucket.name == "name"
    assert isinstance(bucket, flavour.package.Bucket)
    assert isinstance(client, flavour.package.Client)


async def test_read_shows_a_record(bucket: Bucket, flavour: Flavour) -> None:
    await bucket.write("entry", b"abcd", timestamp=1)
    async with bucket.read("entry") as record:
        assert isinstance(record, flavour.package.Record)
        assert (record.timestamp, record.size) == (1, 4)
        assert [chunk async for chunk in record.read(3)] == [b"abc", b"d"]


async def test_query_shows_records(bucket: Bucket) -> None:
    for timestamp in range(3):
        await bucket.write("entry", b"%d" % timestamp, timestamp=timestamp)
    found = [await record.read_all() async for record in bucket.query("entry")]
    assert found == [b"0", b"1", b"2"]


async def test_errors_leave_a_context_manager(bucket: Bucket) -> None:
    await bucket.write("entry", b"data")
    with pytest.raises(ZeroDivisionError):
        async with bucket.read("entry"):
            raise ZeroDivisionError


async def test_calls_overlap(bucket: Bucket) -> None:
    """Each body waits for all of them, so calls one after another would wait for ever."""
    bodies = 4
    arrived = 0
    complete = anyio.Event()

    async def body() -> AsyncIterator[bytes]:
        nonlocal arrived
        arrived += 1
        if arrived == bodies:
            complete.set()
        await complete.wait()
        yield b"data"

    with anyio.fail_after(60):
        await asyncio.gather(
            *(bucket.write(f"entry-{n}", body(), content_length=4) for n in range(bodies))
        )


async def test_clients_are_closed_after_the_test(flavour: Flavour, server: Server) -> None:
    client = flavour.client(server.url)
    await client.info()
    await flavour.close()
    with pytest.raises(flavour.package.ReductError, match="closed"):
        await client.info()
