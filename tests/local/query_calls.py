"""What the tests of queries share: an engine in memory, queries over it, short calls."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reduct_local.clock import ManualClock
from reduct_local.engine import Engine, Record
from reduct_local.errors import ApiError
from reduct_local.queries import Batch, IoLimits, Queries
from reduct_local.query_request import QueryRequest, parse_query

BUCKET = "bucket"


class World:
    """A bucket in memory and queries over it.

    Attributes:
        clock: the time that counts for times to live.
    """

    def __init__(self, limits: IoLimits, settings: dict[str, object]) -> None:
        self.clock = ManualClock()
        self.engine = Engine(clock=self.clock)
        self.engine.create_bucket(BUCKET, settings)
        self.queries = Queries(self.engine, self.clock, limits)

    def write(
        self, *timestamps: int, entry: str = "a", data: bytes = b"x", **labels: object
    ) -> None:
        """Write records with the same labels."""
        texts = {name: str(value) for name, value in labels.items()}
        for timestamp in timestamps:
            self.engine.write(BUCKET, entry, timestamp, data, "text/plain", texts)

    def create(self, entry: str | None = "a", **members: object) -> int:
        """Create a query of one entry, of `/io` for None, and return its id."""
        return self.queries.create(BUCKET, entry, request(**members))

    def remove(self, entry: str | None = "a", **members: object) -> int:
        """Remove by query and return how many records that were."""
        return self.queries.remove(BUCKET, entry, request(query_type="REMOVE", **members))

    async def batch(self, query: int, entry: str | None = "a", *, head: bool = False) -> Batch:
        """Return the next batch, with 100 bytes for each header."""
        return await self.queries.take_batch(
            BUCKET, entry, query, head=head, header_size=lambda _record: 100
        )

    async def times(self, query: int, entry: str | None = "a") -> list[int]:
        """Return the timestamps of the next batch."""
        return [record.timestamp for record in (await self.batch(query, entry)).records]

    async def all(self, query: int, entry: str | None = "a") -> list[tuple[str, int]]:
        """Return entry and timestamp of all records of a query, to its end."""
        found: list[tuple[str, int]] = []
        while True:
            try:
                batch = await self.batch(query, entry)
            except ApiError as error:
                if error.status == 204:
                    return found
                raise
            found += [(record.entry, record.timestamp) for record in batch.records]

    async def one(self, query: int, entry: str = "a") -> Record:
        """Return the next record by a single read."""
        return await self.queries.take_one(BUCKET, entry, query)

    def left(self, entry: str = "a") -> list[int]:
        """Return the timestamps that an entry has."""
        return [record.timestamp for record in self.engine.scan(BUCKET, entry)]


def request(**members: object) -> QueryRequest:
    """Return the request of a query document."""
    return parse_query({"query_type": "QUERY", **members})


@contextmanager
def status(expected: int) -> Iterator[None]:
    """Expect an ApiError with that status."""
    with pytest.raises(ApiError) as caught:
        yield
    assert caught.value.status == expected, caught.value.message


QUICK = IoLimits(batch_timeout_s=0.2, batch_records_timeout_s=0.05)
"""Limits with short waits."""


def new_world(limits: IoLimits = QUICK, **settings: object) -> World:
    """Return a world with its own limits of batches and settings of the bucket."""
    return World(limits, settings)


@contextmanager
def closing(world: World) -> Iterator[World]:
    """Yield a world and close it."""
    try:
        yield world
    finally:
        world.queries.close()
        world.engine.close()
