"""Files that are sent and received piece by piece, whatever their size."""

import os
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from reduct_core import transfer
from reduct_core.transfer import PIECE_BYTES, Part, Progress

from ._flavour import Stream, disk
from .record import Record


async def pieces(file: Any, done: Callable[[int], object]) -> Stream[bytes]:
    """Yield what a file holds, and tell `done` how much was asked for again."""
    while piece := await disk(file.read, PIECE_BYTES):
        yield piece
        done(len(piece))


async def store(record: Record, path: str | os.PathLike[str], progress: Progress) -> None:
    """Write the payload of a record to a file, which appears only when it is complete."""
    part = Part(path)
    try:
        await disk(part.open)
        with transfer.shown(progress, record.entry, record.size) as done:
            async with aclosing(record._arriving()) as found:
                async for piece in found:
                    if part.add(piece):
                        await disk(part.flush)
                    done(len(piece))
        await disk(part.publish, record.size)
    finally:
        part.discard()
