"""The record cutter: bytes of an answer in, records out; performs no I/O.

Used as h11 is: give it what arrived by `receive_data`, take events by `next_event` until it
says NEED_DATA. An empty chunk says that the body ended; a body that is shorter or longer than
its heads announce is a ValueError, never a hang.
"""

from collections import deque
from collections.abc import Sequence
from enum import Enum
from itertools import accumulate, islice, pairwise
from operator import attrgetter, le
from typing import Final, TypeAlias

from attrs import frozen

from .headers import RecordHead

IN_MEMORY_BYTES = 8 * 1024 * 1024
"""Payloads up to this many bytes are complete in memory; larger ones are streamed."""


LARGE_BYTES = 64 * 1024
"""Payloads from this size on are received into an object of their own."""


def check_piece(n: object) -> int:
    """Return the size in bytes of the pieces in which a payload is read."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"n={n!r} must be an int of at least 1 byte")
    return n


@frozen
class Run:
    """Records with their complete payloads, in the order of the body."""

    heads: Sequence[RecordHead]
    payloads: Sequence[bytes]


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

Event: TypeAlias = Run | Begin | Data | Mark


by_time = attrgetter("timestamp", "entry")
"""What records of one answer are sorted by before they reach the user."""


def is_in_order(heads: Sequence[RecordHead]) -> bool:
    """Tell whether heads are in the order of time."""
    places = list(map(by_time, heads))
    return all(map(le, places, places[1:]))


def cut(body: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Return the payloads in a whole body; ValueError if it is too short or too long."""
    places = list(accumulate(sizes, initial=0))
    if len(body) < places[-1]:
        raise _too_short(places[-1] - len(body))
    if len(body) > places[-1]:
        raise _too_long(len(body) - places[-1])
    return [body[a:b] for a, b in pairwise(places)]


def _too_short(missing: int) -> ValueError:
    return ValueError(f"the body ended {missing} bytes before the end of a record")


def _too_long(surplus: int) -> ValueError:
    return ValueError(f"the body has {surplus} bytes more than its heads announce")


class Cutter:
    """Cuts the body of one answer into the records that its heads announce, in order.

    Payloads up to `in_memory` bytes come in Runs, larger ones as Begin, Data ...,
    END_OF_RECORD. Where the body is not in the order of time (v2 groups it by entry), only
    its last record can be streamed, and only if it is the newest: all others must be complete
    before the first is handed out.

    """

    def __init__(self, heads: Sequence[RecordHead], in_memory: int = IN_MEMORY_BYTES):
        self._heads = heads
        self._sizes = [head.size for head in heads]
        self._in_memory = in_memory
        self._in_order = is_in_order(heads)
        self._newest = max(map(by_time, heads), default=None)
        self._next = 0
        self._chunks: deque[bytes] = deque()
        self._offset = 0
        self._buffered = 0
        self._missing = 0
        self._streaming = False
        self._ended = False

    @property
    def wanted(self) -> int:
        """How many bytes are best read in one piece now; 0 if that cannot be told.

        They end where a large payload ends, which is then not copied, or before one begins.
        """
        if self._streaming:
            return self._missing
        total = 0
        for index in range(self._next, len(self._sizes)):
            size = self._sizes[index]
            if size >= LARGE_BYTES and (total or self._is_streamed(index)):
                break
            total += size
            if size >= LARGE_BYTES:
                break
        return max(total - self._buffered, 0)

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
        begin = self._next
        if begin == len(self._sizes):
            return self._end()
        end = self._complete()
        if end > begin:
            self._next = end
            return Run(self._heads[begin:end], self._cut(self._sizes[begin:end]))
        if self._is_streamed(begin):
            self._next += 1
            self._streaming, self._missing = True, self._sizes[begin]
            return Begin(self._heads[begin])
        return self._wait(self._sizes[begin] - self._buffered)

    def _is_streamed(self, index: int) -> bool:
        if self._sizes[index] <= self._in_memory:
            return False
        last = index == len(self._sizes) - 1
        return self._in_order or (last and by_time(self._heads[index]) == self._newest)

    def _complete(self) -> int:
        """Return the index behind the records that are complete, up to one that is streamed."""
        room = self._buffered
        index = self._next
        for size in islice(self._sizes, index, None):
            if size > room or self._is_streamed(index):
                break
            room -= size
            index += 1
        return index

    def _cut(self, sizes: Sequence[int]) -> list[bytes]:
        total = sum(sizes)
        if total >= LARGE_BYTES * len(sizes):
            return [self._take(size) for size in sizes]
        return cut(self._take(total), sizes)

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
            raise _too_long(self._buffered)
        return END_OF_BATCH if self._ended else NEED_DATA

    def _wait(self, missing: int) -> Event:
        if self._ended:
            raise _too_short(missing)
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
