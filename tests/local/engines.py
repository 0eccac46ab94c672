"""Small helpers around the storage engine."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from reduct_local.engine import Engine, Record
from reduct_local.errors import ApiError

BUCKET = "bucket"


@contextmanager
def refused(status: int, *parts: str) -> Iterator[None]:
    """Expect an ApiError of a status, with these texts in its message."""
    with pytest.raises(ApiError) as caught:
        yield
    assert caught.value.status == status, caught.value
    for part in parts:
        assert part in caught.value.message


def write(
    engine: Engine,
    entry: str,
    timestamp: int,
    data: bytes = b"data",
    labels: Mapping[str, str] = {},
    *,
    bucket: str = BUCKET,
) -> None:
    """Write a record of type text/plain."""
    engine.write(bucket, entry, timestamp, data, "text/plain", labels)


def content(engine: Engine, record: Record) -> bytes:
    """Return the whole content of a record."""
    return b"".join(engine.content(record))


def times(engine: Engine, entry: str, start: int = 0, stop: int | None = None) -> list[int]:
    """Return the times of the records that a scan finds."""
    return [record.timestamp for record in engine.scan(BUCKET, entry, start, stop)]


def statuses(engine: Engine) -> dict[str, str]:
    """Return the status of the entries in the listing."""
    return {info.name: info.status for info in engine.entry_infos(BUCKET)}


def settle(engine: Engine) -> None:
    """Finish all removals."""
    while engine.finish_removals():
        pass


def rows(engine: Engine, table: str) -> int:
    """Return how many rows a table of the database has."""
    return int(engine._store.database.value(f"SELECT count(*) FROM {table}"))


Action = Callable[[Engine], object]
