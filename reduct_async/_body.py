"""Bodies of writes: what the user gave, as content with a known length."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from reduct_api.types import Content
from reduct_core import payload
from reduct_core.payload import SEND_BYTES, Meter, SourceError

from ._flavour import check_iterable, each, is_file, open_file, read_file


@asynccontextmanager
async def outgoing(data: Any, content_length: int | None) -> AsyncIterator[tuple[Content, int]]:
    """Yield the content to send and its length in bytes; files opened here are closed.

    What goes wrong in a source of the user comes out as it is.
    """
    try:
        if payload.is_path(data):
            file = await open_file(data)
            try:
                yield await _from_file(file, content_length)
            finally:
                file.close()
        else:
            yield await _content(data, content_length)
        return
    except SourceError as failed:
        error = failed.error
    raise error


async def _content(data: Any, content_length: int | None) -> tuple[Content, int]:
    content = payload.in_memory(data)
    if content is not None:
        return content, payload.check_length(len(content), content_length)
    if is_file(data):
        return await _from_file(data, content_length)
    check_iterable(data)
    return await _from_source(each(data), payload.announced(content_length))


async def _from_file(file: Any, content_length: int | None) -> tuple[Content, int]:
    size = payload.file_length(file, content_length)
    return await _from_source(read_file(file), size)


async def _from_source(chunks: AsyncIterator[Any], size: int) -> tuple[Content, int]:
    """Return what a source gives: read at once if it is small, so that nothing is sent if it
    fails.
    """
    pieces = _metered(chunks, size)
    if size > SEND_BYTES:
        return pieces, size
    return b"".join([piece async for piece in pieces]), size


async def _metered(chunks: AsyncIterator[Any], size: int) -> AsyncIterator[bytes]:
    meter = Meter(size)
    try:
        async for chunk in chunks:
            if piece := meter.feed(chunk):
                yield piece
        if piece := meter.finish():
            yield piece
    except Exception as error:
        raise SourceError(meter.explained(error)) from error
