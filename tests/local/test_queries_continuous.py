"""Continuous queries: pauses, restarts of conditions, empty batches, lifetimes."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from reduct_local.queries import IoLimits
from tests.local.query_calls import BUCKET, World, closing, new_world, status

pytestmark = pytest.mark.anyio

PAUSE_S = 0.25
"""A quarter of the shortest time to live there is."""


@pytest.fixture
def world() -> Iterator[World]:
    """An entry with two records."""
    with closing(new_world()) as world:
        world.write(1, 2)
        yield world


async def test_single_reads(world: World) -> None:
    """204 when dry, then a wait for the next look, again and again."""
    query = world.create(continuous=True, ttl=1)
    assert [(await world.one(query)).timestamp for _ in range(2)] == [1, 2]
    with status(204):
        await world.one(query)
    world.write(3)
    started = time.monotonic()
    assert (await world.one(query)).timestamp == 3
    assert time.monotonic() - started > PAUSE_S / 2
    for _ in range(2):
        with status(204):
            await world.one(query)


async def test_batches_of_an_entry(world: World) -> None:
    """`last` means only that there is nothing more yet."""
    query = world.create(continuous=True, ttl=1)
    batch = await world.batch(query)
    assert (len(batch.records), batch.last) == (2, True)
    with status(204):
        await world.batch(query)
    world.write(3)
    assert await world.times(query) == [3]


async def test_the_first_look_is_at_creation(world: World) -> None:
    """What is written after it is found at the next look; the first read says 204."""
    query = world.create(continuous=True, ttl=1, start=100)
    world.write(50, 200)
    with status(204):
        await world.one(query)
    assert (await world.one(query)).timestamp == 200


async def test_no_stop(world: World) -> None:
    """It is ignored, and the start may be anywhere."""
    assert await world.times(world.create(continuous=True, stop=0)) == [1, 2]


async def test_records_older_than_the_last_delivered(world: World) -> None:
    """They are not found any more."""
    world.write(10)
    query = world.create(continuous=True, ttl=1)
    assert await world.times(query) == [1, 2, 10]
    world.write(5, 11)
    assert await world.times(query) == [11]


async def test_conditions_start_anew(world: World) -> None:
    """After each end, behind the last selected record: others are looked at again."""
    world.write(3)
    query = world.create(continuous=True, ttl=1, when={"$each_n": 2})
    assert await world.times(query) == [2]
    world.write(4, 5)
    assert await world.times(query) == [4]
    limited = world.create(continuous=True, ttl=1, when={"$limit": 2, "#batch_timeout": 60})
    assert [await world.times(limited) for _ in range(2)] == [[1, 2], [3, 4]]


async def test_strict_error(world: World) -> None:
    """It ends a continuous query, too."""
    query = world.create(continuous=True, ttl=1, when={"&n": {"$eq": 1}}, strict=True)
    with status(404):
        await world.batch(query)
    for _ in range(2):
        with status(204):
            await world.batch(query)
    with status(400):
        await world.one(query)


async def test_empty_batches_of_several_entries(world: World) -> None:
    """A batch with records ends after a short wait, one without after the batch timeout."""
    query = world.create(None, continuous=True, ttl=60)
    batch = await world.batch(query, None)
    assert (len(batch.records), batch.last) == (2, False)
    started = time.monotonic()
    batch = await world.batch(query, None)
    assert (batch.records, batch.last) == ([], False)
    assert 0.2 < time.monotonic() - started < 10


async def test_new_records_of_several_entries(world: World) -> None:
    """They come after a pause; entries made later are no part of the query."""
    world.write(1, entry="b")
    query = world.create(None, continuous=True, ttl=1, when={"#batch_timeout": 60})
    assert await world.times(query, None) == [1, 1, 2]
    world.write(3, entry="c")
    world.write(4, entry="b")
    found = await world.batch(query, None)
    assert [(record.entry, record.timestamp) for record in found.records] == [("b", 4)]


async def test_timeouts_of_zero(world: World) -> None:
    """They do not keep others from their turn."""
    when = {"#batch_timeout": 0, "#record_timeout": 0}
    query = world.create(None, continuous=True, when=when)
    assert await world.times(query, None) == [1]
    assert await world.times(query, None) == [2]
    assert await world.times(query, None) == []


async def test_life_goes_on_after_an_empty_batch(world: World) -> None:
    """The time to live counts from its end; when it was over in between, the batch is 204."""
    query = world.create(None, continuous=True, ttl=10)
    await world.batch(query, None)
    reading = asyncio.create_task(world.batch(query, None))
    await asyncio.sleep(0.05)
    world.clock.advance(9)
    assert (await reading).records == []
    world.clock.advance(9)
    reading = asyncio.create_task(world.batch(query, None))
    await asyncio.sleep(0.05)
    world.clock.advance(10)
    with status(204):
        await reading
    with status(404):
        await world.batch(query, None)


@pytest.mark.parametrize("entry", ["a", None])
async def test_waiting_readers_end_with_their_place(entry: str | None) -> None:
    """A bucket that is forgotten, or a closed server, is 404 for who waits."""
    patient = IoLimits(batch_timeout_s=600, batch_records_timeout_s=600)
    for forget in ("forget_bucket", "close"):
        with closing(new_world(patient)) as world:
            world.write(1)
            query = world.create(entry, continuous=True, ttl=3600, start=2)
            if entry:
                with status(204):
                    await world.batch(query, entry)
            reading = asyncio.create_task(world.batch(query, entry))
            await asyncio.sleep(0.05)
            assert not reading.done()
            if forget == "close":
                world.queries.close()
            else:
                world.queries.forget_bucket(BUCKET)
            with status(404):
                await asyncio.wait_for(reading, 10)


async def test_cancelled_reads_lose_nothing(world: World) -> None:
    """A client that leaves while it waits takes no record with it."""
    query = world.create(continuous=True, ttl=1, start=3)
    with status(204):
        await world.one(query)
    reading = asyncio.create_task(world.one(query))
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    world.write(3)
    assert (await world.one(query)).timestamp == 3
