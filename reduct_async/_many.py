"""Many single records: read side by side, handed out in order."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeAlias

from reduct_core import many
from reduct_core.headers import RecordHead
from reduct_core.many import NewRecord, Place, Round
from reduct_core.missing import Missing

from ._flavour import Source, Stream, each, side_by_side
from .record import Record
from .writer import Writer

Read: TypeAlias = Callable[[str, int | None], AbstractAsyncContextManager[Record]]
"""Opens one record."""


async def write_all(writer: Writer, records: Source[NewRecord]) -> None:
    """Give all records of an iterable to a writer."""
    async for record in each(records):
        given = many.given(record)
        data = await record.read_all() if isinstance(record, Record) else given.data
        await writer.write(
            given.entry,
            data,
            given.timestamp,
            labels=given.labels,
            content_type=given.content_type,
        )


async def read_all(
    read: Read, wanted: Sequence[Place], concurrency: int, missing: Missing
) -> Stream[Record]:
    """Yield the wanted records in order, up to so many read at once.

    Rounds, because nothing may go on in the background while the user has the turn. They grow,
    so that the first record comes soon.
    """
    begin, size = 0, concurrency
    while begin < len(wanted):
        found: Round[Record] = Round(wanted[begin : begin + size], missing)
        await side_by_side(partial(_fill, found, read), min(concurrency, size))
        for record in found.records():
            yield record
        begin += found.taken
        size = min(size * 2, concurrency * many.READS_EACH)


async def _fill(found: Round[Record], read: Read) -> None:
    while (place := found.next()) is not None:
        number, (entry, timestamp) = place
        try:
            async with read(entry, timestamp) as record:
                found.put(number, await _kept(record))
        except Exception as error:
            found.put(number, error)


async def _kept(record: Record) -> Record:
    """Return a record that can be read at any time, whatever its size."""
    head = RecordHead(
        record.timestamp,
        record.entry,
        record.size,
        record.content_type,
        record.labels,
        record.computed,
    )
    return Record(head, await record.read_all(), last=record.last)
