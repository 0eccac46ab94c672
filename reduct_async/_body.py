"""Bodies of writes: what the user gave, as content with a known length."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from reduct_api.types import Content
from reduct_core import payload
from reduct_core.payload import Meter

from ._flavour import check_iterable, each, open_file, read_file


@asynccontextmanager
async def outgoing(data: Any, content_length: int | None) -> AsyncIterator[tuple[Content, int]]:
    """Yield the content to send and its length in bytes; files opened here are closed."""
    content = payload.in_memory(data)
    if content is not None:
        yield content, payload.check_length(len(content), content_length)
    elif payload.is_path(data):
        file = await open_file(data)
        try:
            yield _from_file(file, content_length)
        finally:
            file.close()
    elif hasattr(data, "read") and not hasattr(data, "__aiter__"):
        yield _from_file(data, content_length)
    else:
        check_iterable(data)
        size = payload.announced(content_length)
        yield _metered(each(data), size), size


def _from_file(file: Any, content_length: int | None) -> tuple[Content, int]:
    span = payload.span(file)
    if span is None:
        size = payload.announced(content_length)
    else:
        size = payload.file_length(*span, content_length)
    return _metered(read_file(file), size), size


async def _metered(chunks: AsyncIterator[Any], size: int) -> AsyncIterator[bytes]:
    meter = Meter(size)
    async for chunk in chunks:
        if piece := meter.feed(chunk):
            yield piece
    if piece := meter.finish():
        yield piece
