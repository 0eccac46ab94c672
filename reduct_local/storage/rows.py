"""Rows of records and the sums of their blocks; all functions run inside a transaction."""

from ..errors import ApiError
from .state import Block, Entry
from .store import ZERO, Store

_COUNT = """
INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (entry, first) DO UPDATE SET
latest = max(latest, excluded.latest), size = size + excluded.size,
metadata = metadata + excluded.metadata, records = records + excluded.records
"""


def store_counts(
    store: Store, entry: Entry, block: Block, time: int, *, size: int, metadata: int, records: int
) -> None:
    """Add a record at `time` to the stored sums of its block."""
    store.database.execute(
        _COUNT, (entry.id, block.first - ZERO, time - ZERO, size, metadata, records)
    )


def remove_row(store: Store, entry: Entry, time: int) -> bool:
    """Remove a finished or broken record; tell whether there is one."""
    key = (entry.id, time - ZERO)
    row = store.database.execute(
        "SELECT block, id, size, metadata, broken FROM records WHERE entry = ? AND time = ?", key
    ).fetchone()
    if row is None:
        return False
    first, record, size, metadata, broken = row
    store.database.execute("DELETE FROM records WHERE entry = ? AND time = ?", key)
    if not broken:
        store.discard(record, size)
    block = entry.blocks[first + ZERO]
    store.database.execute(
        "UPDATE blocks SET size = size - ?, metadata = metadata - ?, records = records - 1"
        " WHERE entry = ? AND first = ?",
        (size, metadata, entry.id, first),
    )
    _leave(store, entry, block, time, size, metadata)
    return True


def remove_started(store: Store, entry: Entry, time: int) -> None:
    """Remove a record that is still being written; its writer stores nothing any more."""
    started = entry.started.pop(time)
    block = entry.blocks[started.block]
    _leave(store, entry, block, time, started.size, started.metadata)


def _leave(store: Store, entry: Entry, block: Block, time: int, size: int, metadata: int) -> None:
    entry.version += 1
    key = (entry.id, block.first - ZERO)
    if block.records == 1:
        store.database.execute("DELETE FROM blocks WHERE entry = ? AND first = ?", key)
        entry.forget_block(block)
        return
    entry.count(block, size=-size, metadata=-metadata, records=-1)
    if block.latest == time:
        # Only records of this block count: blocks may overlap.
        stored = store.database.value(
            "SELECT time FROM records WHERE entry = ? AND block = ? AND time BETWEEN ? AND ?"
            " ORDER BY time DESC LIMIT 1",
            (*key, key[1], time - ZERO),
        )
        started = [at for at, one in entry.started.items() if one.block == block.first]
        block.latest = max([*started, -1 if stored is None else stored + ZERO])
        if stored is not None:
            store.database.execute(
                "UPDATE blocks SET latest = ? WHERE entry = ? AND first = ?", (stored, *key)
            )


def missing(entry: Entry, time: int) -> ApiError:
    """Return the error for a record that is not there."""
    return ApiError(404, f"Record {time} not found in entry {entry.bucket.name}/{entry.name}")
