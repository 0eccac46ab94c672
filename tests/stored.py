"""Records as plain values, to compare what was written with what comes back."""

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import anyio
from hypothesis import strategies as st

from reduct_async import Bucket, ConflictError, Record

BINARY = "application/octet-stream"

T = TypeVar("T")


class Stored(NamedTuple):
    """One record with everything that a user may have written."""

    entry: str
    timestamp: int
    data: bytes
    labels: Mapping[str, str]
    content_type: str


async def contents(found: AsyncIterable[Record]) -> list[Stored]:
    """Return the records of a query as values, in their order."""
    return [await content(record) async for record in found]


async def content(record: Record) -> Stored:
    """Return one record as a value."""
    data = await record.read_all()
    assert len(data) == record.size
    return Stored(record.entry, record.timestamp, data, record.labels, record.content_type)


async def payloads(found: AsyncIterable[Record]) -> dict[int, bytes]:
    """Return the payloads of a query over one entry by timestamp."""
    return {record.timestamp: await record.read_all() async for record in found}


async def times(found: AsyncIterable[Record]) -> list[int]:
    """Return the timestamps of a query, in their order."""
    return [record.timestamp async for record in found]


async def keys(found: AsyncIterable[Record]) -> list[tuple[str, int]]:
    """Return (entry, timestamp) of a query, in its order."""
    return [(record.entry, record.timestamp) async for record in found]


async def labels_of(bucket: Bucket, entry: str, timestamp: int) -> dict[str, str]:
    """Return the labels of one record, names in the case in which they are stored."""
    (record,) = [r async for r in bucket.query(entry, timestamp, timestamp + 1, head=True)]
    return record.labels


async def write_all(bucket: Bucket, entry: str, *timestamps: int, **arguments: Any) -> None:
    """Write a record at each timestamp; its payload is the timestamp as text."""
    for timestamp in timestamps:
        await bucket.write(entry, b"%d" % timestamp, timestamp, **arguments)


async def settled(ask: Callable[[], Awaitable[T]]) -> T:
    """Return an answer as soon as no removal of the server, which go on unseen, is in its way."""
    with anyio.fail_after(30):
        while True:
            try:
                return await ask()
            except ConflictError:
                await anyio.sleep(0.02)


async def gone(bucket: Bucket, entry: str) -> None:
    """Wait until a removed entry and all below it are no longer listed."""

    async def listed() -> list[str]:
        return [
            e.name for e in await bucket.get_entry_list() if f"{e.name}/".startswith(f"{entry}/")
        ]

    with anyio.fail_after(30):
        while await listed():
            await anyio.sleep(0.02)


# Names that single-record calls do not change, and among which all protocols differ.
label_names = st.text("abcxyz0189_-", min_size=1, max_size=4)

# Text that the server takes for other types, text that batch headers must quote, and the rest.
label_values = st.one_of(
    st.sampled_from(
        ["10", "010", "1e1", "true", "false", "5s", "m1", "&x", "@x", "$eq", "inf", "NaN"]
    ),
    st.sampled_from(["a,b", "a=b,c=d", ",", "=", "a, b", 'say "hi"', '{"a": 1}']),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12).map(str.strip),
)

timestamps = st.one_of(
    st.integers(0, 20), st.integers(0, 4_102_444_800_000_000), st.integers(2**64 - 5, 2**64 - 2)
)
