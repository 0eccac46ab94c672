"""Files that are sent and received piece by piece, whatever their size."""

import os
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, BinaryIO

from reduct_core import transfer
from reduct_core.transfer import PIECE_BYTES, Progress

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
            async with aclosing(record.read(PIECE_BYTES)) as found:
                async for piece in found:
                    await disk(part.write, piece)
                    done(len(piece))
        await disk(part.publish, record.size)
    finally:
        part.discard()


def _create(path: str) -> BinaryIO:
    return open(path, "xb")


class Part:
    """A file that is written under a temporary name beside its own."""

    def __init__(self, path: str | os.PathLike[str]):
        self._path = path
        self._part: str | None = None
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Make the temporary file, with the permissions of any new file."""
        self._part = transfer.part_path(self._path)
        self._file = _create(self._part)

    def write(self, piece: bytes) -> None:
        """Add a piece."""
        assert self._file is not None
        self._file.write(piece)

    def publish(self, size: int) -> None:
        """Give the file its name, if it has `size` bytes; one of that name is replaced."""
        assert self._file is not None
        assert self._part is not None
        self._file.close()
        transfer.check_complete(self._part, size)
        os.replace(self._part, self._path)
        self._part = None

    def discard(self) -> None:
        """Remove the temporary file, unless it has got its name."""
        if self._file is not None:
            self._file.close()
        if self._part is not None:
            os.unlink(self._part)
            self._part = None
