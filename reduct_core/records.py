"""The record cutter: bytes of an answer in, records out; performs no I/O.

Used as h11 is: give it what arrived by `receive_data`, take events by `next_event` until it
says NEED_DATA. An empty chunk says that the body ended; a body that is shorter or longer than
its heads announce is a ValueError, never a hang.
"""

from collections import deque
from collections.abc import Sequence
from enum import Enum
from itertools import pairwise
from typing import Final, TypeAlias

from attrs import frozen

from .headers import RecordHead

IN_MEMORY_BYTES = 8 * 1024 * 1024
"""Payloads up to this many bytes are complete in memory; larger ones are streamed."""


def check_piece(n: object) -> int:
    """Return the size in bytes of the pieces in which a payload is read."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"n={n!r} must be an int of at least 1 byte")
    return n


@frozen
class Whole:
    """A record with its complete payload."""

    head: RecordHead
    payload: bytes


@frozen
class Begin:
    """A record whose payload follows as Data and ends with END_OF_RECORD."""

    head: RecordHead


@frozen
class Data:
    """A piece of the payload of the record begun before."""

    payload: bytes


class Mark(Enum):
    """Events without content."""

    NEED_DATA = "need data"
    END_OF_RECORD = "end of record"
    END_OF_BATCH = "end of batch"


NEED_DATA: Final = Mark.NEED_DATA
END_OF_RECORD: Final = Mark.END_OF_RECORD
END_OF_BATCH: Final = Mark.END_OF_BATCH

Event: TypeAlias = Whole | Begin | Data | Mark


def by_time(head: RecordHead) -> tuple[int, str]:
    """Return what records of one answer are sorted by before they reach the user."""
    return head.timestamp, head.entry


class Cutter:
    """Cuts the body of one answer into the records that its heads announce, in order.

    Payloads up to `in_memory` bytes come as Whole, larger ones as Begin, Data ...,
    END_OF_RECORD. Where the body is not in the order of time (v2 groups it by entry), only
    its last record can be streamed, and only if it is the newest: all others must be complete
    before the first is handed out.
    """

    def __init__(self, heads: Sequence[RecordHead], in_memory: int = IN_MEMORY_BYTES):
        self._heads = deque(heads)
        self._in_memory = in_memory
        self._in_order = all(by_time(a) <= by_time(b) for a, b in pairwise(heads))
        self._newest = max(map(by_time, heads), default=None)
        self._chunks: deque[bytes] = deque()
        self._offset = 0
        self._buffered = 0
        self._missing = 0
        self._streaming = False
        self._ended = False

    def receive_data(self, chunk: bytes) -> None:
        """Take a piece of the body; an empty one says that the body ended."""
        if chunk:
            self._chunks.append(chunk)
            self._buffered += len(chunk)
        else:
            self._ended = True

    def next_event(self) -> Event:
        """Return the next event; ValueError if the body is too short or too long."""
        if self._streaming:
            return self._stream()
        if not self._heads:
            return self._end()
        head = self._heads[0]
        if self._is_streamed(head):
            self._heads.popleft()
            self._streaming, self._missing = True, head.size
            return Begin(head)
        if self._buffered < head.size:
            return self._wait(head.size - self._buffered)
        self._heads.popleft()
        return Whole(head, self._take(head.size))

    def _is_streamed(self, head: RecordHead) -> bool:
        if head.size <= self._in_memory:
            return False
        return self._in_order or (len(self._heads) == 1 and by_time(head) == self._newest)

    def _stream(self) -> Event:
        if self._missing == 0:
            self._streaming = False
            return END_OF_RECORD
        if not self._buffered:
            return self._wait(self._missing)
        size = min(len(self._chunks[0]) - self._offset, self._missing)
        self._missing -= size
        return Data(self._take(size))

    def _end(self) -> Event:
        if self._buffered:
            raise ValueError(f"the body has {self._buffered} bytes more than its heads announce")
        return END_OF_BATCH if self._ended else NEED_DATA

    def _wait(self, missing: int) -> Event:
        if self._ended:
            raise ValueError(f"the body ended {missing} bytes before the end of a record")
        return NEED_DATA

    def _take(self, size: int) -> bytes:
        """Return the next `size` buffered bytes."""
        self._buffered -= size
        pieces: list[bytes] = []
        while size:
            chunk, begin = self._chunks[0], self._offset
            piece = chunk[begin : begin + size]
            pieces.append(piece)
            size -= len(piece)
            self._offset += len(piece)
            if self._offset == len(chunk):
                self._chunks.popleft()
                self._offset = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
