"""Records as the user gets them, and the payloads that are read as they arrive."""

from collections.abc import Callable
from contextlib import closing
from typing import Self

import httpx

from reduct_core import errors
from reduct_core.errors import NO_ANSWER, ReductError
from reduct_core.headers import Answer, RecordHead
from reduct_core.messages import Response
from reduct_core.record_info import RecordInfo
from reduct_core.records import (
    END_OF_RECORD,
    IN_MEMORY_BYTES,
    NEED_DATA,
    Begin,
    Cutter,
    Data,
    Event,
    Run,
    by_time,
    check_piece,
    cut,
    is_in_order,
)

from ._flavour import Stream
from ._transport import Exchange


class Record(RecordInfo):
    """A record: its metadata, and its payload.

    Payloads up to 8 MiB are complete in memory: they can be read at any time, as often as
    wanted. Larger ones are streamed: once, while the record is the current one of its loop or
    inside its ``with`` block; reading them later raises ReductError. So does reading the
    payload of a record that was asked for with ``head=True``.
    """

    __slots__ = ("_payload",)

    def __init__(self, head: RecordHead, payload: "bytes | Streamed | None", *, last: bool = False):
        super().__init__(head, last)
        self._payload = payload

    def read_all(self) -> bytes:
        """Return the whole payload."""
        if isinstance(self._payload, bytes):
            return self._payload
        return self._streamed().whole()

    def read(self, n: int = 1024 * 1024) -> Stream[bytes]:
        """Yield the payload in pieces of `n` bytes, the last one shorter."""
        n = check_piece(n)
        if isinstance(self._payload, bytes):
            for begin in range(0, len(self._payload), n):
                yield self._payload[begin : begin + n]
            return
        rest = b""
        with closing(self._streamed().chunks()) as chunks:
            for chunk in chunks:
                rest = rest + chunk if rest else chunk
                whole = len(rest) - len(rest) % n
                for begin in range(0, whole, n):
                    yield rest[begin : begin + n]
                rest = rest[whole:]
        if rest:
            yield rest

    def _arriving(self) -> Stream[bytes]:
        """Yield the payload in pieces as they arrive."""
        if isinstance(self._payload, bytes):
            if self._payload:
                yield self._payload
            return
        with closing(self._streamed().chunks()) as chunks:
            for chunk in chunks:
                yield chunk

    def _streamed(self) -> "Streamed":
        if self._payload is None or isinstance(self._payload, bytes):
            raise ReductError(
                NO_ANSWER, f"{self!r} has only metadata, because it was asked for with head=True"
            )
        return self._payload


class _Chunks:
    """The body of a response of any transport."""

    def __init__(self, response: httpx.Response):
        self._chunks = response.iter_bytes()

    def read(self, size: int) -> bytes:
        """Return what comes next, whatever its size."""
        return self.receive()

    def receive(self) -> bytes:
        """Return what comes next, b"" at the end."""
        return next(self._chunks, b"")


def _body(response: httpx.Response) -> "_Chunks | Exchange":
    stream = response.stream
    if isinstance(stream, Exchange) and isinstance(response, Response) and response.is_plain:
        return stream
    return _Chunks(response)


class AnswerReader:
    """Reads one answer with records, no further than its user needs.

    Attributes:
        answer: its heads.
        done: whether the answer was read to its end.
    """

    def __init__(self, response: httpx.Response, answer: Answer, *, head: bool):
        """`head` tells that the answer has no payloads."""
        self.answer = answer
        self.done = False
        self._response = response
        self._head = head
        self._whole = response.body if isinstance(response, Response) else None
        if self._whole is None:
            self._cutter = Cutter(answer.heads)
            self._body = _body(response)
        self._heads: list[RecordHead] = []
        self._payloads: list[bytes | Streamed | None] = []
        self._begun: Begin | None = None
        self._streamed: Streamed | None = None

    @classmethod
    def of(
        cls, response: httpx.Response, parse: Callable[[httpx.Response], Answer], *, head: bool
    ) -> Self:
        """Return a reader of a response, which it closes, also if `parse` raises an error."""
        try:
            return cls(response, parse(response), head=head)
        except BaseException:
            response.close()
            raise

    def next_records(self) -> list[Record]:
        """Return the next records, in the order of time; an empty list at the end."""
        self.receive()
        return self.take()

    def receive(self) -> None:
        """Read the answer up to its end, or to a payload that is streamed.

        Nothing is handed out before: a slow loop holds no connection.
        """
        self._pass_by()
        if self.done:
            return
        if self._head or self._whole is not None:
            self._receive_at_once()
            return
        event: Event = self._begun or self.next_event()
        while isinstance(event, Run):
            self._heads += event.heads
            self._payloads += event.payloads
            event = self.next_event()
        self._begun = event if isinstance(event, Begin) else None
        if self._begun is None:
            self.close()
            self.done = True

    def _receive_at_once(self) -> None:
        """Take an answer without payloads, or one that is in memory already."""
        self.done = True
        self._heads += self.answer.heads
        if self._whole is not None and not self._head:
            with errors.parsing(self._response):
                self._payloads += cut(self._whole, [head.size for head in self._heads])
            return
        # The body is empty; read to its end, the connection can be used again.
        with errors.mapped(self._response.request):
            self._response.read()
        self.close()
        self._payloads += [None] * len(self._heads)

    def take(self) -> list[Record]:
        """Return what was received, in the order of time; a streamed record comes alone."""
        if not self._heads and self._begun is not None:
            self._streamed = Streamed(self, self._begun.head)
            self._heads, self._payloads = [self._begun.head], [self._streamed]
            self._begun = None
        heads, self._heads = self._heads, []
        payloads, self._payloads = self._payloads, []
        return self._marked([Record(*pair) for pair in zip(heads, payloads, strict=True)])

    def _pass_by(self) -> None:
        """Read on to the end of a streamed payload; who has its record can read it no more."""
        if self._streamed is not None:
            try:
                self._streamed.skip()
            finally:
                self._streamed.leave()
            self._streamed = None

    def _marked(self, found: list[Record]) -> list[Record]:
        """Sort records by time, and mark the last one of a query."""
        heads = self.answer.heads
        if not is_in_order(heads):
            found.sort(key=by_time)
        if found and self.answer.last:
            found[-1].last = by_time(found[-1]) == max(map(by_time, heads))
        return found

    def next_event(self, *, pieces: bool = False) -> Event:
        """Return the next event of the cutter, reading as much as it needs.

        `pieces` asks for a payload in pieces as they arrive, not in one.
        """
        while True:
            with errors.parsing(self._response):
                event = self._cutter.next_event()
            if event is not NEED_DATA:
                return event
            with errors.mapped(self._response.request):
                wanted = 0 if pieces else self._cutter.wanted
                body = self._body
                chunk = body.read(wanted) if wanted else body.receive()
            self._cutter.receive_data(chunk)

    def close(self) -> None:
        """Give the connection back; what is unread is lost."""
        if self._streamed is not None:
            self._streamed.leave()
        self._response.close()


class Streamed:
    """The payload of a record that is too large to be kept; it can be read once."""

    def __init__(self, reader: AnswerReader, head: RecordHead):
        self._reader = reader
        self._head = head
        self._started = False
        self._ended = False
        self._left = False

    def whole(self) -> bytes:
        """Return the payload; ReductError if that is no longer possible."""
        with closing(self.chunks(pieces=False)) as chunks:
            found = [chunk for chunk in chunks]
        return found[0] if len(found) == 1 else b"".join(found)

    def chunks(self, *, pieces: bool = True) -> Stream[bytes]:
        """Yield the payload, in pieces as they arrive; ReductError if that is not possible."""
        if self._started:
            raise self._refusal("it was read before, at least in part")
        self._started = True
        while self._left or not self._ended:
            if self._left:
                raise self._refusal("its loop or with block has moved on")
            event = self._reader.next_event(pieces=pieces)
            if isinstance(event, Data):
                yield event.payload
            self._ended = event is END_OF_RECORD

    def skip(self) -> None:
        """Read on to the end of the payload."""
        while not self._ended:
            self._ended = self._reader.next_event(pieces=True) is END_OF_RECORD

    def leave(self) -> None:
        """Note that the payload can no longer be read."""
        self._left = True

    def _refusal(self, reason: str) -> ReductError:
        return ReductError(
            NO_ANSWER,
            f"the payload of record {self._head.timestamp} of entry {self._head.entry!r} cannot"
            f" be read: {reason}; payloads above {IN_MEMORY_BYTES} bytes are streamed, once",
        )
