"""Writing single records to a server: every kind of payload, labels, times; updating them."""

import array
import asyncio
import ctypes
import io
import mmap
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduct_async import Bucket, ConflictError, NotFoundError
from tests.flavours import Flavour
from tests.recording import Recorder
from tests.servers import Server
from tests.stored import (
    Stored,
    content,
    contents,
    payloads,
    times,
    write_all,
)

LARGE = 3 * 1024 * 1024 + 7
"""Many pieces of a streamed body."""


class PlainReader:
    """A file as some libraries have it: it can be read, and nothing else."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


async def produced(chunks: Iterable[Any]) -> AsyncIterator[Any]:
    """Yield chunks asynchronously."""
    for chunk in chunks:
        yield chunk


async def failing(data: bytes, error: Exception) -> AsyncIterator[bytes]:
    """Yield data, then fail as a source of the user does."""
    yield data
    raise error


async def stored(bucket: Bucket, entry: str = "entry", timestamp: int = 1) -> bytes:
    """Return the payload of one record."""
    async with bucket.read(entry, timestamp) as record:
        return (await content(record)).data


# --- payloads ------------------------------------------------------------------------------

MAPPED = mmap.mmap(-1, 5)
MAPPED[:] = b"mmap!"

IN_MEMORY: dict[str, tuple[Any, bytes]] = {
    "bytes": (b"\x00\xff", b"\x00\xff"),
    "empty": (b"", b""),
    "bytearray": (bytearray(b"abc"), b"abc"),
    "memoryview": (memoryview(b"abcdef")[1:4], b"bcd"),
    "memoryview of items": (
        memoryview(array.array("I", [1, 2, 3])),
        array.array("I", [1, 2, 3]).tobytes(),
    ),
    "memoryview with steps": (memoryview(b"abcdef")[::2], b"ace"),
    "array": (array.array("d", [1.5, 2.5]), array.array("d", [1.5, 2.5]).tobytes()),
    "ctypes": ((ctypes.c_uint16 * 2)(1, 2), bytes((ctypes.c_uint16 * 2)(1, 2))),
    "mmap": (MAPPED, b"mmap!"),
    "str": ("héllo ✓", "héllo ✓".encode()),
    "empty str": ("", b""),
    "numpy": (np.arange(6, dtype="i4"), np.arange(6, dtype="i4").tobytes()),
    "numpy of two dimensions": (np.eye(3, dtype="f8"), np.eye(3, dtype="f8").tobytes()),
    "numpy with steps": (np.arange(9)[::3], np.arange(9)[::3].tobytes()),
    "numpy in Fortran order": (
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(6).reshape(2, 3).tobytes(),
    ),
    "numpy half floats": (np.ones(3, "f2"), np.ones(3, "f2").tobytes()),
    "numpy records": (
        np.array([(1, 2.5)], [("ID", "i4"), ("POS", "f8")]),
        np.array([(1, 2.5)], [("ID", "i4"), ("POS", "f8")]).tobytes(),
    ),
    "numpy scalar": (np.float64(1.5), np.float64(1.5).tobytes()),
}


@pytest.mark.parametrize("kind", IN_MEMORY)
async def test_payloads_in_memory(bucket: Bucket, kind: str) -> None:
    data, expected = IN_MEMORY[kind]
    await bucket.write("entry", data, 1)
    await bucket.write("entry", data, 2, content_length=len(expected))
    assert await payloads(bucket.query("entry")) == {1: expected, 2: expected}


@given(data=st.binary(max_size=300))
@settings(max_examples=25)
async def test_any_bytes(bucket: Bucket, data: bytes) -> None:
    entry = uuid.uuid4().hex
    await bucket.write(entry, data, 1)
    assert await stored(bucket, entry) == data


@given(text=st.text(st.characters(codec="utf-8"), max_size=50))
@settings(max_examples=25)
async def test_any_text(bucket: Bucket, text: str) -> None:
    entry = uuid.uuid4().hex
    await bucket.write(entry, text, 1)
    assert (await stored(bucket, entry)).decode() == text


async def test_large_payloads(bucket: Bucket) -> None:
    data = np.arange(LARGE, dtype="u1").tobytes() * 4
    await bucket.write("entry", data, 1)
    assert await stored(bucket) == data


@pytest.mark.parametrize("size", [0, 1, 65_536, LARGE])
async def test_files(bucket: Bucket, tmp_path: Path, size: int) -> None:
    data = bytes(np.arange(size, dtype="u1"))
    path = tmp_path / "file.bin"
    path.write_bytes(data)
    await bucket.write("entry", path, 1)
    with path.open("rb") as file:
        await bucket.write("entry", file, 2)
        assert not file.closed
    with path.open("rb", buffering=0) as file:
        await bucket.write("entry", file, 3, content_length=size)
    await bucket.write("entry", io.BytesIO(data), 4)
    with tempfile.SpooledTemporaryFile(max_size=10) as spooled:
        spooled.write(data)
        spooled.seek(0)
        await bucket.write("entry", spooled, 5)
    await bucket.write("entry", PlainReader(data), 6, content_length=size)
    found = await payloads(bucket.query("entry"))
    assert sorted(found) == [1, 2, 3, 4, 5, 6]
    assert all(payload == data for payload in found.values())


async def test_a_file_from_its_position_on(bucket: Bucket) -> None:
    file = io.BytesIO(b"headpayload")
    file.seek(4)
    await bucket.write("entry", file, 1)
    assert await stored(bucket) == b"payload"


async def test_a_path_that_does_not_exist(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        await bucket.write("entry", tmp_path / "absent", 1)
    assert await bucket.get_entry_list() == []


async def test_a_file_that_was_not_rewound(bucket: Bucket) -> None:
    file = io.BytesIO()
    file.write(b"data")
    with pytest.raises(ValueError, match="seek"):
        await bucket.write("entry", file, 1)
    with pytest.raises(ValueError, match="seek"):
        await bucket.write("entry", file, 1, content_length=file.tell())
    file.seek(0)
    await bucket.write("entry", file, 1)
    assert await stored(bucket) == b"data"


async def test_files_in_text_mode(bucket: Bucket, tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("text")
    with path.open() as file, pytest.raises(TypeError, match="mode 'rb'"):
        await bucket.write("entry", file, 1)
    with pytest.raises(TypeError, match="mode 'rb'"):
        await bucket.write("entry", io.StringIO("text"), 1)


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [b"abcdef"],
        [b"abc", b"", bytearray(b"de"), memoryview(b"f")],
        [b"x" * 65_536, b"y", b"z" * 65_536],
        [b"%d," % n for n in range(1000)],
        [np.arange(50_000, dtype="u4"), np.arange(3)],
    ],
    ids=["none", "one", "kinds", "large and small", "small", "arrays"],
)
async def test_iterators(bucket: Bucket, chunks: list[Any]) -> None:
    expected = b"".join(bytes(memoryview(chunk).cast("B")) for chunk in chunks)
    size = len(expected)
    await bucket.write("entry", produced(chunks), 1, content_length=size)
    await bucket.write("entry", iter(chunks), 2, content_length=size)
    await bucket.write("entry", (chunk for chunk in chunks), 3, content_length=size)
    await bucket.write("entry", chunks, 4, content_length=size)
    found = await payloads(bucket.query("entry"))
    assert found == dict.fromkeys([1, 2, 3, 4], expected)


@given(sizes=st.lists(st.integers(0, 100) | st.integers(65_500, 65_600), max_size=6))
@settings(max_examples=20)
async def test_chunks_of_any_size(bucket: Bucket, sizes: list[int]) -> None:
    entry = uuid.uuid4().hex
    chunks = [bytes([65 + n]) * size for n, size in enumerate(sizes)]
    await bucket.write(entry, produced(chunks), 1, content_length=sum(map(len, chunks)))
    assert await stored(bucket, entry) == b"".join(chunks)


@pytest.mark.parametrize("size", [100, LARGE, 9_000_000])
async def test_records_may_be_copied_as_they_arrive(bucket: Bucket, size: int) -> None:
    for n in range(3):
        labels = {"n": n, "list": "a, b"}
        await bucket.write("from", bytes([n]) * size, n, labels=labels, content_type="image/x")
    async for record in bucket.query("from"):
        await bucket.write(
            "to",
            record.read(100_000),
            record.timestamp,
            content_length=record.size,
            labels=record.labels,
            content_type=record.content_type,
        )
    copies = await contents(bucket.query("to"))
    assert copies == [
        Stored("to", n, bytes([n]) * size, {"n": str(n), "list": "a, b"}, "image/x")
        for n in range(3)
    ]


@pytest.mark.parametrize(
    ("data", "length", "error", "text"),
    [
        ([b"abc"], None, ValueError, "content_length is required"),
        (PlainReader(b"abc"), None, ValueError, "content_length is required"),
        (b"abc", 2, ValueError, "content_length=2 but the data has 3 bytes"),
        (b"abc", 4, ValueError, "content_length=4 but the data has 3 bytes"),
        ("é", 1, ValueError, "content_length=1 but the data has 2 bytes"),
        (io.BytesIO(b"abc"), 4, ValueError, "content_length=4 but the data has 3 bytes"),
        (b"abc", -1, ValueError, "content_length"),
        ([b"abc"], -1, ValueError, "content_length"),
        ([b"abc"], 3.0, TypeError, "content_length"),
        ([b"abc"], True, TypeError, "content_length"),
        (None, None, TypeError, "NoneType"),
        (5, None, TypeError, "int"),
        (5, 5, TypeError, "int"),
        (np.array([b"a", None], dtype=object), None, TypeError, "Python objects"),
        (["text"], 4, TypeError, "bytes"),
        ([1, 2, 3], 3, TypeError, "bytes"),
    ],
)
async def test_what_is_no_payload(
    bucket: Bucket, data: Any, length: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        await bucket.write("entry", data, 1, length)
    assert await contents(bucket.query("entry")) == []


@pytest.mark.parametrize("size", [6, 200_000])
@pytest.mark.parametrize("off_by", [-1, 1, -3, 100_000])
async def test_a_source_of_another_length(bucket: Bucket, size: int, off_by: int) -> None:
    """Nothing is stored, and the time is free for the right record."""
    data = bytes(size)
    with pytest.raises(ValueError, match=f"content_length={size + off_by} but the data has"):
        await bucket.write("entry", produced([data]), 1, content_length=size + off_by)
    assert await contents(bucket.query("entry")) == []
    await free(bucket, cut_off=size > 65_536 and off_by > 0)
    await bucket.write("entry", produced([data]), 1, content_length=size)
    assert await stored(bucket) == data


@pytest.mark.parametrize("off_by", [-1, 1])
async def test_an_upload_that_is_cut_off(bucket: Bucket, off_by: int) -> None:
    """A part was sent: the server keeps the time, and the error says how to free it."""
    chunks = [bytes(70_000)] * 4
    with pytest.raises(ValueError, match="no record was stored") as caught:
        await bucket.write("entry", produced(chunks), 1, content_length=280_000 + off_by)
    assert "remove_record() frees it" in caught.value.__notes__[0]
    assert await contents(bucket.query("entry")) == []
    await free(bucket, cut_off=True)
    await bucket.write("entry", produced(chunks), 1, content_length=280_000)
    assert await stored(bucket) == bytes(280_000)


async def free(bucket: Bucket, *, cut_off: bool) -> None:
    """Remove what an upload that was cut off left, once the server has noticed."""
    with anyio.fail_after(30):
        while cut_off:
            try:
                await bucket.remove_record("entry", 1)
            except (NotFoundError, ConflictError):
                await anyio.sleep(0.01)
            else:
                return


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("mine"),
        KeyError("mine"),
        ConnectionResetError("mine"),
        TimeoutError("mine"),
        httpx.ReadError("mine"),
        httpx.ConnectError("mine"),
        httpx.ReadTimeout("mine"),
        StopAsyncIteration("mine"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("size", [10, 100_000])
async def test_errors_of_the_source_come_out(bucket: Bucket, error: Exception, size: int) -> None:
    """They are the user's own, also where httpx has the same: the source may be a download."""
    begun = 0

    async def source() -> AsyncIterator[bytes]:
        nonlocal begun
        begun += 1
        yield bytes(size)
        raise error

    kind = RuntimeError if isinstance(error, StopAsyncIteration) else type(error)
    with pytest.raises(kind) as caught:
        await bucket.write("entry", source(), 1, content_length=2 * size)
    assert type(caught.value) is kind
    assert "mine" in f"{caught.value} {caught.value.__cause__}"
    assert begun == 1
    await bucket.write("entry", b"next", 2)
    assert await times(bucket.query("entry")) == [2]


async def test_a_source_that_fails_at_once_leaves_nothing(bucket: Bucket) -> None:
    with pytest.raises(ZeroDivisionError):
        await bucket.write("entry", failing(b"abc", ZeroDivisionError()), 1, content_length=6)
    await bucket.write("entry", b"again!", 1)
    assert await stored(bucket) == b"again!"


# --- names and times -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("", "/", "a/", "/a", "a//b", ".", "a/..", "a b", "a.b", "ä", "a?b", "$x", "a*", "!a"),
        *("a\n", "x" * 256, "a/" + "x" * 256),
    ],
)
async def test_entries_that_cannot_be_created(flavour: Flavour, server: Server, name: str) -> None:
    recorder = Recorder(flavour)
    bucket = flavour.client(server.url, transport=recorder.transport).bucket("bucket")
    with pytest.raises(ValueError, match="entry name"):
        await bucket.write(name, b"data", 1)
    assert recorder.requests == []


async def test_the_longest_entry_name(bucket: Bucket) -> None:
    name = "/".join(["x" * 255, "y" * 255])
    await bucket.write(name, b"data", 1)
    assert await stored(bucket, name) == b"data"


@pytest.mark.parametrize(
    ("timestamp", "error"),
    [(True, TypeError), (b"1", TypeError), (-1, ValueError), (2**64 - 1, ValueError)],
)
async def test_times_that_cannot_be_stored(
    bucket: Bucket, timestamp: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="timestamp"):
        await bucket.write("entry", b"data", timestamp)
    assert await bucket.get_entry_list() == []


async def test_a_time_that_is_taken(bucket: Bucket) -> None:
    await bucket.write("entry", b"first", 1)
    with pytest.raises(ConflictError) as caught:
        await bucket.write("entry", b"second", 1)
    assert (caught.value.status_code, caught.value.method) == (409, "POST")
    assert await stored(bucket) == b"first"


async def test_times_of_one_client_differ(bucket: Bucket) -> None:
    await asyncio.gather(*(bucket.write("entry", b"%d" % n) for n in range(60)))
    found = await payloads(bucket.query("entry"))
    assert sorted(found.values()) == sorted(b"%d" % n for n in range(60))


async def test_a_missing_bucket(flavour: Flavour, server: Server) -> None:
    bucket = flavour.client(server.url).bucket("no-such")
    with pytest.raises(NotFoundError, match="no-such"):
        await bucket.write("entry", b"data", 1)
    with pytest.raises(NotFoundError, match="no-such"):
        await bucket.write("entry", produced([b"data"]), 1, content_length=4)


# --- removing ----------------------------------------------------------------------------


async def test_remove_record(bucket: Bucket) -> None:
    await write_all(bucket, "entry", 0, 1, 2)
    await write_all(bucket, "entry/below", 1)
    await bucket.remove_record("entry", 0)
    assert await times(bucket.query("entry")) == [1, 2]
    assert await times(bucket.query("entry/below")) == [1]
    with pytest.raises(NotFoundError):
        await bucket.remove_record("entry", 0)


@pytest.mark.parametrize("timestamp", [None, True, "later", -1])
async def test_remove_record_never_removes_the_entry(bucket: Bucket, timestamp: Any) -> None:
    await write_all(bucket, "entry", 1, 2)
    with pytest.raises((TypeError, ValueError), match="time"):
        await bucket.remove_record("entry", timestamp)
    assert await times(bucket.query("entry")) == [1, 2]


@pytest.mark.parametrize(
    "call",
    [
        lambda bucket, name: bucket.update(name, 1, {"a": 1}),
        lambda bucket, name: bucket.remove_record(name, 1),
        lambda bucket, name: bucket.remove_entry(name),
    ],
    ids=["update", "remove_record", "remove_entry"],
)
@pytest.mark.parametrize("name", ["", "..", "../other", "a//b", "a/", "a\x7f"])
async def test_names_stay_in_their_place(
    flavour: Flavour, server: Server, call: Callable[[Bucket, str], Any], name: str
) -> None:
    recorder = Recorder(flavour)
    bucket = flavour.client(server.url, transport=recorder.transport).bucket("bucket")
    with pytest.raises(ValueError, match="entry name"):
        await call(bucket, name)
    assert recorder.requests == []


async def test_a_refused_large_body_tells_why(bucket: Bucket) -> None:
    await bucket.write("entry", b"first", 1)
    with pytest.raises(ConflictError):
        await bucket.write("entry", bytes(10_000_000), 1)
    with pytest.raises(ConflictError):
        await bucket.write("entry", produced([bytes(100_000)] * 50), 1, content_length=5_000_000)
