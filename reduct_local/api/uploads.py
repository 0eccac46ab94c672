"""Contents of announced records, written while the request's body comes in.

A small body that is there at once is written in one transaction. Otherwise its records are
begun: until they are complete they count as being written, as on the real server.
"""

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

from starlette.requests import ClientDisconnect, Request

from reduct_local.api.common import BodyTimeout, body_chunks, drain, state
from reduct_local.batch_v1 import RecordHead
from reduct_local.engine import Engine, RecordWriter
from reduct_local.errors import ApiError
from reduct_local.storage.model import PIECE_SIZE

Item: TypeAlias = tuple[str, RecordHead]
"""Entry and announced record."""

SMALL_BODY = 1024 * 1024
"""Bytes of a body that is kept in memory until it is complete."""

GRACE_S = 0.02
"""How long a small body may take before its records are begun."""


class Upload:
    """The records of one request, in the order of their contents in the body.

    Args:
        single: the body is the content of one record, whatever its announced size.
    """

    def __init__(
        self, engine: Engine, bucket: str, items: Sequence[Item], *, single: bool = False
    ) -> None:
        self.errors: dict[int, ApiError] = {}
        """Why records were refused, by their place among the items."""
        self.total = sum(head.size for _, head in items)
        self._engine = engine
        self._bucket = bucket
        self._items = items
        self._single = single
        self._received = 0
        self._held: list[bytes] = []
        self._writers: list[RecordWriter | None] | None = None
        self._current = 0
        self._written = 0

    def needs_more(self) -> bool:
        """Whether more of the body is to be read, as far as it is known before its end."""
        return not self.errors if self._single else self._received < self.total

    def is_short(self) -> bool:
        """Whether the body ended before the announced end, which ends a batch."""
        return not self._single and self._received < self.total

    def may_begin(self) -> bool:
        """Whether the bucket is there."""
        try:
            self._engine.check_bucket(self._bucket)
        except ApiError:
            return False
        return True

    def begin(self) -> None:
        """Admit all records, unless that is done; from now on they are being written."""
        if self._writers is not None:
            return
        self._writers = [self._admit(index) for index in range(len(self._items))]
        held, self._held = self._held, []
        for chunk in held:
            self._feed(chunk)

    def _admit(self, index: int) -> RecordWriter | None:
        entry, head = self._items[index]
        try:
            return self._engine.begin_write(
                self._bucket, entry, head.timestamp, head.size, head.content_type, head.labels
            )
        except ApiError as error:
            self.errors[index] = error
            return None

    def take(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        self._received += len(chunk)
        if self._writers is not None:
            self._feed(chunk)
            return
        self._held.append(chunk)
        if self._received > SMALL_BODY:
            self.begin()

    def _feed(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest and self._current < len(self._items):
            size = self._items[self._current][1].size
            take = len(rest) if self._single else min(len(rest), size - self._written)
            writer = self._writer()
            if writer is not None and take:
                writer.write(rest[:take])
            self._written += take
            rest = rest[take:]
            if not self._single and self._written == size:
                self._finish_current()

    def _writer(self) -> RecordWriter | None:
        assert self._writers is not None
        return self._writers[self._current]

    def _finish_current(self) -> None:
        writer = self._writer()
        if writer is not None:
            writer.finish()
        self._current += 1
        self._written = 0

    def finish(self) -> None:
        """Complete all records: the body came as announced, or it is that of a single one."""
        if self._writers is None and (self._received == self.total or not self._single):
            self._write_all()
            return
        self.begin()
        # What is left has no bytes, or is a single record, whose writer knows what is wrong.
        while self._current < len(self._items):
            self._finish_current()

    def _write_all(self) -> None:
        body = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        if len(self._items) == 1:
            self._write(0, body[: self.total])
            return
        start = 0
        content = memoryview(body)
        with self._engine.transaction():
            for index, (_, head) in enumerate(self._items):
                self._write(index, content[start : start + head.size])
                start += head.size

    def _write(self, index: int, content: bytes | memoryview) -> None:
        entry, head = self._items[index]
        try:
            self._engine.write(
                self._bucket, entry, head.timestamp, content, head.content_type, head.labels
            )
        except ApiError as error:
            self.errors[index] = error

    def refuse(self, error: ApiError) -> None:
        """Refuse all records for one reason."""
        self.errors = dict.fromkeys(range(len(self._items)), error)

    def refusal(self) -> ApiError | None:
        """Return why the single record is refused, which goes before its body."""
        return self.errors.get(0) if self._single else None

    def interrupt(self, *, timed_out: bool) -> None:
        """Leave what is incomplete as the real server does when a body ends too early.

        Small records stay "being written" (425) until they are removed; large ones, and a single
        one whose connection broke, are broken (500).
        """
        self.begin()
        assert self._writers is not None
        for index in range(self._current, len(self._items)):
            writer = self._writers[index]
            if writer is None:
                continue
            large = self._items[index][1].size >= PIECE_SIZE
            if large or (self._single and not timed_out):
                writer.abort()
            else:
                writer.abandon()
        self._current = len(self._items)


async def receive(request: Request, upload: Upload) -> None:
    """Read the body into the upload and complete it, as soon as a writer slot is free.

    Raises ApiError 400 for a body that is too short or paused too long, ClientDisconnect.
    """
    slots = state(request).writers
    # What has another error does not wait for a slot.
    if slots is None or not upload.may_begin():
        await _receive(request, upload)
        return
    try:
        async with asyncio.timeout(state(request).config.operation_timeout):
            await slots.acquire()
    except TimeoutError:
        upload.refuse(ApiError(429, "Too many writers in flight"))
        await drain(request)
        return
    try:
        await _receive(request, upload)
    finally:
        slots.release()


async def _receive(request: Request, upload: Upload) -> None:
    timer = None
    if upload.total > SMALL_BODY or "expect" in request.headers:
        upload.begin()
    else:
        timer = asyncio.get_running_loop().call_later(GRACE_S, upload.begin)
    try:
        if upload.needs_more():
            async for chunk in body_chunks(request):
                upload.take(chunk)
                if not (upload.needs_more() or request.scope["reduct.body_ended"]):
                    break
    except (ApiError, ClientDisconnect) as error:
        upload.interrupt(timed_out=isinstance(error, BodyTimeout))
        refused = upload.refusal()
        if refused is not None:
            raise refused from None
        raise
    finally:
        if timer is not None:
            timer.cancel()
    if upload.is_short():
        upload.interrupt(timed_out=False)
        raise ApiError(400, "Content is shorter than expected: no more data to read")
    upload.finish()
