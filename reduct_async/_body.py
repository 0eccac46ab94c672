"""Bodies of writes: what the user gave, as content with a known length."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, TypeAlias

from reduct_api.types import Content
from reduct_core import payload
from reduct_core.payload import Meter, SourceError

from ._flavour import Stream, check_iterable, each, is_file, open_file, read_file

Body: TypeAlias = tuple[Content, int]
"""Content and its length in bytes."""


@asynccontextmanager
async def outgoing(data: Any, content_length: int | None) -> AsyncIterator[Body]:
    """Yield the content to send and its length in bytes; files opened here are closed.

    What goes wrong in a source of the user comes out as it is.
    """
    content = payload.in_memory(data)
    if content is not None:
        yield content, payload.check_length(len(content), content_length)
        return
    try:
        async with _content(data, content_length) as body:
            yield body
        return
    except SourceError as failed:
        error = failed.error
    raise error


@asynccontextmanager
async def _content(data: Any, content_length: int | None) -> AsyncIterator[Body]:
    if payload.is_path(data):
        file = await open_file(data)
        try:
            async with _from_file(file, content_length) as body:
                yield body
        finally:
            file.close()
    elif is_file(data):
        async with _from_file(data, content_length) as body:
            yield body
    else:
        check_iterable(data)
        async with _pieces(each(data), payload.announced(content_length)) as body:
            yield body


def _from_file(file: Any, content_length: int | None) -> AbstractAsyncContextManager[Body]:
    return _pieces(read_file(file), payload.file_length(file, content_length))


@asynccontextmanager
async def _pieces(chunks: AsyncIterator[Any], size: int) -> AsyncIterator[Body]:
    """Yield what a source gives; its beginning is read first, so that nothing is sent if that
    fails.
    """
    async with aclosing(_metered(chunks, size)) as pieces:
        first = await anext(pieces, b"")
        yield first if len(first) == size else _chained(first, pieces), size


async def _chained(first: bytes, pieces: Stream[bytes]) -> Stream[bytes]:
    yield first
    async for piece in pieces:
        yield piece


async def _metered(chunks: AsyncIterator[Any], size: int) -> Stream[bytes]:
    meter = Meter(size)
    try:
        async for chunk in chunks:
            if piece := meter.feed(chunk):
                yield piece
        if piece := meter.finish():
            yield piece
    except Exception as error:
        raise SourceError(meter.explained(error)) from error
