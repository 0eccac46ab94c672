"""Reading queries: ends, lifetimes, limits of batches, order, errors of conditions."""

import asyncio
from collections.abc import Iterator

import pytest

from reduct_local.engine import Record
from reduct_local.queries import IoLimits
from tests.local.query_calls import BUCKET, World, closing, new_world, request, status

pytestmark = pytest.mark.anyio


@pytest.fixture
def world() -> Iterator[World]:
    """An empty bucket."""
    with closing(new_world()) as world:
        yield world


async def test_single_reads(world: World) -> None:
    """Record by record, then 204 once, then 400."""
    world.write(1, 2)
    query = world.create()
    assert [(await world.one(query)).timestamp for _ in range(2)] == [1, 2]
    with status(204):
        await world.one(query)
    for _ in range(2):
        with status(400):
            await world.one(query)
    with status(204):
        await world.batch(query)


async def test_batches_of_an_entry(world: World) -> None:
    """The last one says so; further ones are 204 and single reads 400."""
    world.write(*range(3))
    query = world.create()
    batch = await world.batch(query)
    assert [record.timestamp for record in batch.records] == [0, 1, 2]
    assert batch.last
    for _ in range(2):
        with status(204):
            await world.batch(query)
    with status(400):
        await world.one(query)


async def test_batches_of_several_entries(world: World) -> None:
    """Records come by time, then by name of the entry."""
    world.write(1, 3, entry="b")
    world.write(1, 2, 3, entry="a")
    query = world.create(None)
    batch = await world.batch(query, None)
    assert [(record.entry, record.timestamp) for record in batch.records] == [
        ("a", 1),
        ("b", 1),
        ("a", 2),
        ("a", 3),
        ("b", 3),
    ]
    assert batch.last
    with status(204):
        await world.batch(query, None)


async def test_many_records(world: World) -> None:
    """Nothing is lost or doubled where queries read in portions."""
    world.write(*range(0, 1000, 2), entry="even")
    world.write(*range(1, 1000, 2), entry="odd")
    found = await world.all(world.create(None), None)
    assert [timestamp for _, timestamp in found] == list(range(1000))
    assert await world.times(world.create("even", start=900), "even") == list(range(900, 1000, 2))


async def test_unknown_queries(world: World) -> None:
    """An id counts only where it was made."""
    world.write(1)
    world.write(1, entry="b")
    of_entry, of_bucket = world.create(), world.create(None)
    for query, entry in (
        (99, "a"),
        (99, None),
        (of_entry, "b"),
        (of_entry, None),
        (of_bucket, "a"),
    ):
        with status(404):
            await world.batch(query, entry)
    with status(404):
        await world.one(of_bucket)
    with status(404):
        await world.queries.take_one("none", "a", of_entry)
    with status(404):
        await world.batch(of_entry, "none")


async def test_time_to_live(world: World) -> None:
    """It counts from creation and from the start of each read, and is over at once when full."""
    world.write(*range(10))
    query = world.create(ttl=10, when={"#batch_records": 1})
    world.clock.advance(9.9)
    assert await world.times(query) == [0]
    world.clock.advance(9.9)
    assert await world.times(query) == [1]
    world.clock.advance(10)
    with status(404):
        await world.batch(query)
    world.create(ttl=100)
    ended = world.create(ttl=5)
    await world.all(ended)
    world.clock.advance(5)
    with status(404):
        await world.batch(ended)


async def test_expired_queries_are_given_up(world: World) -> None:
    """They do not pile up, while the others of their place live on."""
    world.write(1)
    living = world.create(ttl=1000)
    for _ in range(10):
        first = world.create(ttl=10)
        for _ in range(100):
            world.create(ttl=10)
        world.clock.advance(10)
        with status(404):
            await world.batch(first)
    assert len(world.queries._running[BUCKET, "a"]) < 300
    assert await world.times(living) == [1]


async def test_no_time_to_live(world: World) -> None:
    """The first read is 404; over entries of `/io` already the creation."""
    world.write(1)
    with status(404):
        await world.batch(world.create(ttl=0))
    with status(404):
        world.create(None, ttl=0)
    with status(404):
        await world.batch(world.create(None, ttl=0, entries=["none"]), None)


@pytest.mark.parametrize("entry", ["a", None])
@pytest.mark.parametrize(
    ("directives", "sizes"),
    [
        ({"#batch_records": 3}, [3, 3, 1]),
        ({"#batch_records": 7}, [7]),
        ({"#batch_records": 0}, [1] * 7),
        ({"#batch_size": 25}, [3, 3, 1]),
        ({"#batch_size": 20}, [3, 3, 1]),
        ({"#batch_size": 0}, [1] * 7),
        ({"#batch_metadata_size": 200}, [3, 3, 1]),
        ({"#batch_metadata_size": 199}, [2, 2, 2, 1]),
        ({"#batch_timeout": 0}, None),
    ],
)
async def test_limits(
    world: World, entry: str | None, directives: dict[str, object], sizes: list[int] | None
) -> None:
    """A batch ends with the record that exceeds a limit; a full one does not say `last`."""
    world.write(*range(7), data=b"0123456789")
    query = world.create(entry, when=directives)
    found: list[int] = []
    batches = []
    while sum(found) < 7:
        batch = await world.batch(query, entry)
        found.append(len(batch.records))
        batches.append(batch.last)
    if sizes is not None:
        assert found == sizes
        full = sizes[-1] == (sizes[0] if len(sizes) > 1 else 7)
        assert batches == [False] * (len(sizes) - 1) + [not full]
    with status(204):
        await world.batch(query, entry)


async def test_no_limit_of_content_for_heads(world: World) -> None:
    """Only the headers count."""
    world.write(*range(7), data=b"0123456789")
    query = world.create(when={"#batch_size": 1})
    assert len((await world.batch(query, head=True)).records) == 7


async def test_limits_of_the_server(world: World) -> None:
    """They hold where a query has no directive."""
    with closing(new_world(IoLimits(batch_max_records=2))) as small:
        small.write(*range(5))
        assert len((await small.batch(small.create())).records) == 2
        assert len((await small.batch(small.create(when={"#batch_records": 4}))).records) == 4


async def test_sizes_of_headers_are_asked_once(world: World) -> None:
    """For each record of the batch, in order, and for no other."""
    world.write(*range(6))
    query = world.create(when={"#batch_records": 4})
    asked: list[int] = []

    def header_size(record: Record) -> int:
        asked.append(record.timestamp)
        return 1

    batch = await world.queries.take_batch(BUCKET, "a", query, head=False, header_size=header_size)
    assert asked == [record.timestamp for record in batch.records] == [0, 1, 2, 3]


async def test_slow_condition(world: World) -> None:
    """Others are served while a query looks at many records without a match."""
    world.write(*range(20_000))
    query = world.create(when={"&missing": {"$eq": 1}})
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    with status(204):
        await world.batch(query)
    task.cancel()
    assert turns > 20


async def test_concurrent_reads(world: World) -> None:
    """Every record goes to one of the readers."""
    world.write(*range(1000))
    query = world.create(when={"#batch_records": 10})
    batches = await asyncio.gather(*(world.times(query) for _ in range(100)))
    assert sorted(timestamp for batch in batches for timestamp in batch) == list(range(1000))


async def test_strict_errors(world: World) -> None:
    """The error of a record costs what was selected before it; then the query is at its end."""
    world.write(1, 2, n=1)
    world.write(3)
    condition = {"&n": {"$eq": 1}}
    query = world.create(when=condition, strict=True)
    with status(404):
        await world.one(query)
    with status(400):
        await world.one(query)
    with status(204):
        await world.batch(query)
    assert await world.times(world.create(when=condition)) == [1, 2]
    texts = world.create(when={"$gt": [{"$add": ["x", 1]}, 1]}, strict=True)
    with status(422):
        await world.batch(texts)


async def test_strict_errors_and_blocks() -> None:
    """What was selected in earlier blocks is delivered, unless it is in the same batch."""
    with closing(new_world(max_block_records=2)) as world:
        world.write(1, 2, 3, n=1)
        world.write(4)
        condition = {"&n": {"$eq": 1}}
        query = world.create(when=condition, strict=True)
        assert [(await world.one(query)).timestamp for _ in range(2)] == [1, 2]
        with status(404):
            await world.one(query)
        with status(404):
            await world.batch(world.create(when=condition, strict=True))


async def test_strict_error_of_one_of_several_entries(world: World) -> None:
    """It ends the whole query before its first record."""
    world.write(1, entry="a", n=1)
    world.write(5, entry="b")
    query = world.create(None, when={"&n": {"$eq": 1}}, strict=True)
    with status(404):
        await world.batch(query, None)
    with status(204):
        await world.batch(query, None)


async def test_state_of_conditions_is_per_entry(world: World) -> None:
    """Each entry has its own `$limit`."""
    world.write(1, 2, 3, entry="a")
    world.write(1, 2, 3, entry="b")
    found = await world.all(world.create(None, when={"$limit": 2}), None)
    assert found == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]


async def test_only_metadata(world: World) -> None:
    """Whether a query delivers content is known; sizes stay."""
    world.write(1, data=b"12345")
    query = world.create(only_metadata=True)
    assert world.queries.is_only_metadata(BUCKET, "a", query)
    assert not world.queries.is_only_metadata(BUCKET, "a", world.create())
    assert not world.queries.is_only_metadata(BUCKET, "a", 99)
    assert (await world.one(query)).size == 5


async def test_removed_entries(world: World) -> None:
    """Queries of an entry and of those below are unknown then; those of `/io` go on."""
    for entry in ("a", "a/b", "ab"):
        world.write(*range(3), entry=entry)
    queries = {entry: world.create(entry) for entry in ("a", "a/b", "ab")}
    of_bucket = world.create(None)
    begun = world.create(None, when={"#batch_records": 1})
    assert await world.times(begun, None) == [0]
    world.queries.forget_entries(BUCKET, "a")
    for entry in ("a", "a/b"):
        with status(404):
            await world.batch(queries[entry], entry)
    assert len(await world.times(queries["ab"], "ab")) == 3
    rest = [("ab", 0), ("ab", 1), ("ab", 2)]
    assert await world.all(of_bucket, None) == rest
    assert await world.all(begun, None) == rest


async def test_renamed_entries(world: World) -> None:
    """All queries of single entries of the bucket are unknown then."""
    world.write(1)
    world.write(1, entry="b")
    queries = {entry: world.create(entry) for entry in ("a", "b")}
    of_bucket = world.create(None)
    world.queries.forget_renamed(BUCKET, "b")
    for entry, query in queries.items():
        with status(404):
            await world.batch(query, entry)
    assert await world.all(of_bucket, None) == [("a", 1)]


async def test_removed_bucket(world: World) -> None:
    """All its queries are unknown then, those of other buckets stay."""
    world.write(1)
    world.engine.create_bucket("other")
    world.engine.write("other", "a", 1, b"", "", {})
    elsewhere = world.queries.create("other", "a", request())
    of_entry, of_bucket = world.create(), world.create(None)
    world.queries.forget_bucket(BUCKET)
    with status(404):
        await world.batch(of_entry)
    with status(404):
        await world.batch(of_bucket, None)
    assert (await world.queries.take_one("other", "a", elsewhere)).timestamp == 1
