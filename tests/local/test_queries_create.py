"""Creation of queries: ids, ranges, conditions, extensions, what is refused first."""

import logging
from collections.abc import Iterator

import pytest

from reduct_local.conditions import EndsRealServerError
from reduct_local.errors import ApiError
from tests.local.query_calls import BUCKET, World, closing, new_world, request, status

pytestmark = pytest.mark.anyio

MAX = 2**64 - 1


@pytest.fixture
def world() -> Iterator[World]:
    """A bucket with three records in `a`, others below it and in `c`."""
    with closing(new_world()) as world:
        world.write(2, 4, 6)
        world.write(3, entry="a/b")
        world.write(4, entry="c")
        yield world


def test_ids(world: World) -> None:
    """They count from 1; a query of `/io` takes one more for every entry."""
    assert [world.create(), world.create()] == [1, 2]
    assert world.create(None) == 3
    assert world.create() == 7
    assert world.create(None, entries=["none"]) == 8
    assert world.create() == 9


def test_bucket_and_entry_come_first(world: World) -> None:
    """A missing bucket or entry is 404 whatever else is wrong with the query."""
    wrong = request(when=[], ext={})
    with status(404):
        world.queries.create("none", "a", wrong)
    with status(404):
        world.queries.create("none", None, wrong)
    with status(404):
        world.queries.create(BUCKET, "none", wrong)


def test_deleted_places(world: World) -> None:
    """An entry or bucket that is being removed is 409."""
    world.engine.remove_entry(BUCKET, "c")
    with status(409):
        world.create("c")
    with status(409):
        world.create(None)
    while world.engine.finish_removals():
        pass
    world.engine.remove_bucket(BUCKET)
    for entry in ("a", None):
        with status(409):
            world.create(entry)


async def test_ranges(world: World) -> None:
    """From `start` to before `stop`; by default from the oldest to the latest record."""
    assert await world.times(world.create()) == [2, 4, 6]
    assert await world.times(world.create(start=4)) == [4, 6]
    assert await world.times(world.create(stop=6)) == [2, 4]
    assert await world.times(world.create(start=3, stop=5)) == [4]
    assert await world.all(world.create(start=7)) == []
    assert await world.all(world.create(start=2, stop=2)) == []
    assert await world.times(world.create(start=0, stop=MAX)) == [2, 4, 6]


def test_start_behind_stop(world: World) -> None:
    """It is 422, with the defaults put in, and for any entry of `/io`; not for continuous ones."""
    for members in ({"start": 8}, {"stop": 1}, {"start": 5, "stop": 4}):
        with status(422):
            world.create("a", **members)
    with status(422):
        world.create(None, start=6)
    world.create("a", start=100, continuous=True)


async def test_ranges_of_an_empty_entry(world: World) -> None:
    """Its default is the time 0 alone."""
    world.engine.remove_records(BUCKET, "c", [4])
    assert await world.all(world.create("c"), "c") == []
    assert await world.all(world.create("c", start=1), "c") == []
    with status(422):
        world.create("c", start=2)


async def test_the_last_time(world: World) -> None:
    """No query finds a record at 2^64-1, and the default stop behind it wraps around to 0."""
    world.write(MAX, entry="z")
    with status(422):
        world.create("z")
    assert await world.all(world.create("z", start=0), "z") == []
    assert await world.all(world.create("z", start=0, stop=MAX), "z") == []


@pytest.mark.parametrize("entry", ["a", None])
def test_wrong_conditions_and_extensions(world: World, entry: str | None) -> None:
    """They are 422; a null extension is none."""
    conditions: list[object] = [[], {"$x": 1}, {"#ctx_before": -1}, {"#ext": {"x": 1}}]
    for when in [*conditions, {"#ext": []}]:
        with status(422):
            world.create(entry, when=when)
    extensions: list[object] = [{}, {"name": {}}, [], 0, False]
    for ext in extensions:
        with status(422):
            world.create(entry, ext=ext)
    world.create(entry, ext=None)


def test_words_about_extensions(world: World) -> None:
    """The message names the extension, as clients show it."""
    extensions: list[object] = [{"select": {}}, [{"when": True, "select": {}}, {"other": {}}]]
    for ext in extensions:
        with pytest.raises(ApiError, match="Unknown extension 'select' in query id="):
            world.create(ext=ext)
    with pytest.raises(ApiError, match="Extension name is not found"):
        world.create(when={"#ext": {"when": True}})
    with pytest.raises(EndsRealServerError):
        world.create(ext={"select": {}, "when": {"&a": {"$eq": 2**63}}})


async def test_no_entry_selected(world: World) -> None:
    """The query is made, ends at once, and the values of its directives are not checked."""
    query = world.create(None, entries=["none"], when={"#ctx_before": -1})
    with status(204):
        await world.batch(query, None)
    wrong: list[object] = [[], {"$x": 1}, {"#unknown": 1}]
    for when in wrong:
        with status(422):
            world.create(None, entries=["none"], when=when)


async def test_selection_of_entries(world: World) -> None:
    """Patterns select; without them all entries but attachments are read."""
    world.write(5, entry="c/$meta", key="k")
    everything = [("a", 2), ("a/b", 3), ("a", 4), ("c", 4), ("a", 6)]
    for entries in (None, [], ["*"], ["!none"]):
        assert await world.all(world.create(None, entries=entries), None) == everything
    assert await world.all(world.create(None, entries=["a/**", "!a"]), None) == [("a/b", 3)]
    assert await world.all(world.create(None, entries=["c/$meta"]), None) == [("c/$meta", 5)]


async def test_entries_of_a_query_of_one_entry(world: World) -> None:
    """They are ignored."""
    assert await world.times(world.create("a", entries=["c"])) == [2, 4, 6]


async def test_tombstones_of_attachments(world: World) -> None:
    """They are no part of queries, but conditions count them, as on the real server."""
    for timestamp, key in ((1, "k1"), (2, "k2"), (3, "k3")):
        world.write(timestamp, entry="a/$meta", key=key)
    world.engine.update_labels(BUCKET, "a/$meta", 2, {"remove": "true"})
    meta = "a/$meta"
    assert await world.times(world.create(meta), meta) == [1, 3]
    assert await world.all(world.create(meta, when={"$each_n": 2}), meta) == []
    not_k1 = {"$not": [{"&key": {"$eq": "k1"}}]}
    assert await world.times(world.create(meta, when=not_k1), meta) == [3]
    context = {"#ctx_before": 1, "&key": {"$eq": "k3"}}
    assert await world.times(world.create(meta, when=context), meta) == [2, 3]


@pytest.mark.parametrize("when", [True, "&key", 1, {"$not": "&key"}, {"$not": {"$eq": 1}}])
def test_conditions_of_attachments_that_end_the_real_server(
    world: World, when: object, caplog: pytest.LogCaptureFixture
) -> None:
    """They are 422 here, with a warning in the log."""
    world.write(1, entry="a/$meta", key="k")
    with caplog.at_level(logging.WARNING, "reduct_local"), status(422):
        world.create("a/$meta", when=when)
    assert "would not survive" in caplog.text
    world.create("a", when={"$not": {"$eq": True}})


async def test_records_written_after_creation(world: World) -> None:
    """A query has begun to read when it is created: what is written later is not found."""
    query = world.create(stop=MAX)
    world.write(8)
    assert await world.all(query) == [("a", 2), ("a", 4), ("a", 6)]


async def test_labels_changed_after_creation(world: World) -> None:
    """The condition saw the labels at creation, and these are delivered."""
    world.write(8, x=1)
    query = world.create(when={"&x": {"$eq": 1}})
    world.engine.update_labels(BUCKET, "a", 8, {"x": "2"})
    assert (await world.one(query)).labels == {"x": "1"}
