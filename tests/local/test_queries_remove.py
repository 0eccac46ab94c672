"""Removal by query."""

from collections.abc import Iterator

import pytest

from reduct_local.errors import ApiError
from reduct_local.query_request import QueryRequest
from tests.local.query_calls import BUCKET, World, closing, new_world, status


@pytest.fixture
def world() -> Iterator[World]:
    """Eight records in `a`, with a label that counts to 2."""
    with closing(new_world(max_block_records=2)) as world:
        for timestamp in range(1, 9):
            world.write(timestamp, n=timestamp % 3)
        yield world


def test_filters(world: World) -> None:
    """The same as for reading; the number of removed records is told."""
    assert world.remove(when={"&n": {"$eq": 1}}) == 3
    assert world.left() == [2, 3, 5, 6, 8]
    assert world.remove(start=5, stop=8) == 2
    assert world.left() == [2, 3, 8]
    assert world.remove(when={"$limit": 1}) == 1
    assert world.remove(start=0) == 2
    assert world.left() == []


def test_ignored_members(world: World) -> None:
    """A query that removes ends, and knows no extensions and no entries of `/io`."""
    assert world.remove(continuous=True, ext={"name": {}}, entries=["b"], start=7) == 2
    assert world.remove(when={"#ext": {"name": {}}, "&n": {"$eq": 0}}) == 2


def test_refused(world: World) -> None:
    """Ranges, conditions and a time to live of 0, in this order."""
    with status(422):
        world.remove(start=9, stop=3, ttl=0)
    with status(422):
        world.remove(when=[], ttl=0)
    with status(404):
        world.remove(ttl=0)
    with status(404):
        world.queries.remove("none", "a", _remove_all())
    with status(404):
        world.queries.remove("none", None, _remove_all())
    assert world.left() == [*range(1, 9)]


def test_the_entry_is_created(world: World) -> None:
    """Also when the query is refused then; its name is checked."""
    with status(422):
        world.remove("new", when=[])
    assert "new" in world.engine.entry_names(BUCKET)
    assert world.remove("x/y") == 0
    with status(422):
        world.remove("b@d")
    assert world.engine.entry_names(BUCKET) == ["a", "new", "x", "x/y"]


def test_strict_errors(world: World) -> None:
    """What was removed before the block with the error stays removed."""
    world.write(9)
    with status(404):
        world.remove(when={"&n": {"$gte": 0}}, strict=True)
    assert world.left() == [9]


def test_several_entries(world: World) -> None:
    """All that the patterns select, by name, but no attachments."""
    world.write(1, 2, entry="b")
    world.write(1, entry="c/d")
    world.write(1, entry="b/$meta", key="k")
    assert world.remove(None, entries=["b", "c/**", "b/$meta"], start=0, stop=10) == 3
    assert world.left("a") == [*range(1, 9)]
    assert world.left("b/$meta") == [1]
    assert world.remove(None) == 8


def test_an_error_in_one_of_several_entries(world: World) -> None:
    """Entries before it stay without their records."""
    world.write(1, entry="b")
    with status(422):
        world.remove(None, start=3)
    assert world.left("a") == [1, 2]
    world.engine.remove_entry(BUCKET, "b")
    with status(409):
        world.remove(None, start=0, stop=100)
    assert world.left("a") == []


def test_attachments(world: World) -> None:
    """By their own path they are removed, but no tombstones."""
    world.write(1, entry="a/$meta", key="k1")
    world.write(2, entry="a/$meta", key="k2")
    world.engine.update_labels(BUCKET, "a/$meta", 2, {"remove": "true"})
    assert world.remove("a/$meta", start=0, stop=100) == 1
    assert [r.timestamp for r in world.engine.scan(BUCKET, "a/$meta", tombstones=True)] == [2]


def test_records_that_cannot_be_removed(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They are told in the log and do not count."""
    monkeypatch.setattr(
        world.engine,
        "remove_records",
        lambda bucket, entry, timestamps: {8: ApiError(404, "is gone")} if 8 in timestamps else {},
    )
    assert world.remove() == 7
    assert "is gone" in caplog.text


def test_ids_are_used_up(world: World) -> None:
    """One for every entry that is removed from."""
    assert world.create() == 1
    world.remove(when={"&n": {"$eq": 1}})
    world.write(1, entry="b")
    world.remove(None, start=0, stop=1)
    assert world.create() == 5


def _remove_all() -> QueryRequest:
    return QueryRequest(remove=True)
