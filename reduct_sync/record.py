"""Records as the user gets them, and the payloads that are read as they arrive."""

from contextlib import closing

import httpx

from reduct_core import errors
from reduct_core.errors import NO_ANSWER, ReductError
from reduct_core.headers import Answer, RecordHead
from reduct_core.record_info import RecordInfo
from reduct_core.records import (
    END_OF_BATCH,
    END_OF_RECORD,
    IN_MEMORY_BYTES,
    NEED_DATA,
    Begin,
    Cutter,
    Data,
    Event,
    Whole,
    by_time,
    check_piece,
)

from ._flavour import Stream


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
        with closing(self._streamed().chunks()) as chunks:
            return b"".join([chunk for chunk in chunks])

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

    def _streamed(self) -> "Streamed":
        if self._payload is None or isinstance(self._payload, bytes):
            raise ReductError(
                NO_ANSWER, f"{self!r} has only metadata, because it was asked for with head=True"
            )
        return self._payload


class AnswerReader:
    """Reads one answer with records, no further than its user needs."""

    def __init__(self, response: httpx.Response, answer: Answer):
        self._response = response
        self._answer = answer
        self._newest = max(answer.heads, key=by_time, default=None)
        self._cutter = Cutter(answer.heads)
        self._chunks = response.iter_bytes()

    def heads(self) -> Stream[Record]:
        """Yield records without payloads, in the order of time."""
        # The body is empty; read to its end, the connection can be used again.
        with errors.mapped(self._response.request):
            for _ in self._chunks:
                pass
        self.close()
        for head in sorted(self._answer.heads, key=by_time):
            yield self._record(head, None)

    def records(self) -> Stream[Record]:
        """Yield records with their payloads, in the order of time.

        The answer is read up to its end, or to a payload that is streamed, before the first
        record is handed out: a slow loop holds no connection.
        """
        while True:
            whole, event = self._gather()
            for found in sorted(whole, key=lambda found: by_time(found.head)):
                yield self._record(found.head, found.payload)
            if not isinstance(event, Begin):
                return
            stream = Streamed(self, event.head)
            try:
                yield self._record(event.head, stream)
                stream.skip()
            finally:
                stream.leave()

    def _record(self, head: RecordHead, payload: "bytes | Streamed | None") -> Record:
        return Record(head, payload, last=self._answer.last and head is self._newest)

    def _gather(self) -> tuple[list[Whole], Event]:
        """Return the next complete records, and the event that follows them."""
        whole: list[Whole] = []
        event = self.next_event()
        while isinstance(event, Whole):
            whole.append(event)
            event = self.next_event()
        if event is END_OF_BATCH:
            self.close()
        return whole, event

    def next_event(self) -> Event:
        """Return the next event of the cutter, reading as much as it needs."""
        while True:
            with errors.parsing(self._response):
                event = self._cutter.next_event()
            if event is not NEED_DATA:
                return event
            with errors.mapped(self._response.request):
                chunk = next(self._chunks, b"")
            self._cutter.receive_data(chunk)

    def close(self) -> None:
        """Give the connection back; what is unread is lost."""
        self._response.close()


class Streamed:
    """The payload of a record that is too large to be kept; it can be read once."""

    def __init__(self, reader: AnswerReader, head: RecordHead):
        self._reader = reader
        self._head = head
        self._started = False
        self._ended = False
        self._left = False

    def chunks(self) -> Stream[bytes]:
        """Yield the payload as it arrives; ReductError if that is no longer possible."""
        if self._started:
            raise self._refusal("it was read before, at least in part")
        self._started = True
        while self._left or not self._ended:
            if self._left:
                raise self._refusal("its loop or with block has moved on")
            event = self._reader.next_event()
            if isinstance(event, Data):
                yield event.payload
            self._ended = event is END_OF_RECORD

    def skip(self) -> None:
        """Read on to the end of the payload."""
        while not self._ended:
            self._ended = self._reader.next_event() is END_OF_RECORD

    def leave(self) -> None:
        """Note that the payload can no longer be read."""
        self._left = True

    def _refusal(self, reason: str) -> ReductError:
        return ReductError(
            NO_ANSWER,
            f"the payload of record {self._head.timestamp} of entry {self._head.entry!r} cannot"
            f" be read: {reason}; payloads above {IN_MEMORY_BYTES} bytes are streamed, once",
        )
