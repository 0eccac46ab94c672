"""Files as records: uploads and downloads of any size, whole or not at all."""

import asyncio
import builtins
import contextlib
import hashlib
import io
import os
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from reduct_async import Bucket, ConflictError, NotFoundError, TransportError
from reduct_core import transfer
from tests.flavours import Flavour
from tests.recording import HANG_SECONDS
from tests.scripted_server import (
    HOLD,
    REQUEST,
    ScriptedServer,
    Step,
    answer,
)
from tests.stored import BINARY, Stored, contents, payloads, write_all

MIB = 1024 * 1024

SIZES = [0, 1, MIB - 1, MIB, 8 * MIB, 8 * MIB + 1, 20 * MIB + 7]


def pattern(size: int) -> bytes:
    """Return bytes that differ from one MiB to the next."""
    return b"".join(n.to_bytes(8, "big") for n in range(size // 8 + 1))[:size]


@pytest.fixture(scope="module")
def long_pattern() -> bytes:
    return pattern(max(SIZES))


@pytest.mark.parametrize("size", SIZES)
async def test_round_trip(bucket: Bucket, tmp_path: Path, long_pattern: bytes, size: int) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(long_pattern[:size])
    us = await bucket.upload(
        "a/b", source, timestamp=5.0, labels={"n": 1}, content_type="video/mp4"
    )
    assert us == 5_000_000
    record = await bucket.download("a/b", 5.0, copy)
    assert (record.entry, record.timestamp, record.size) == ("a/b", us, size)
    assert (record.labels, record.content_type) == ({"n": "1"}, "video/mp4")
    assert copy.read_bytes() == long_pattern[:size]
    assert sorted(os.listdir(tmp_path)) == ["copy", "source"]


async def test_paths_as_text_and_default_times(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"1")
    first = await bucket.upload("a", str(tmp_path / "source"))
    (tmp_path / "source").write_bytes(b"22")
    second = await bucket.upload("a", str(tmp_path / "source"))
    assert first < second
    record = await bucket.download("a", None, str(tmp_path / "latest"))
    assert (record.timestamp, (tmp_path / "latest").read_bytes()) == (second, b"22")
    await bucket.download("a", first, str(tmp_path / "latest"))
    assert (tmp_path / "latest").read_bytes() == b"1"


async def test_the_file_has_usual_permissions(bucket: Bucket, tmp_path: Path) -> None:
    await write_all(bucket, "a", 1)
    await bucket.download("a", 1, tmp_path / "copy")
    (tmp_path / "usual").write_bytes(b"")
    modes = [(tmp_path / name).stat().st_mode for name in ("copy", "usual")]
    assert modes[0] == modes[1]


async def test_names_that_the_routes_claim(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"data")
    await bucket.upload("a/q", tmp_path / "source", 1)
    await bucket.download("a/q", 1, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"data"


async def test_small_records_can_be_read_afterwards(bucket: Bucket, tmp_path: Path) -> None:
    await write_all(bucket, "a", 7)
    assert await (await bucket.download("a", 7, tmp_path / "copy")).read_all() == b"7"


# --- nothing is left behind ----------------------------------------------------------------


async def test_a_missing_record_leaves_no_file(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "copy").write_bytes(b"old")
    with pytest.raises(NotFoundError):
        await bucket.download("a", 1, tmp_path / "copy")
    assert os.listdir(tmp_path) == ["copy"]
    assert (tmp_path / "copy").read_bytes() == b"old"


@contextlib.contextmanager
def answering(*steps: Step, size: int) -> Iterator[str]:
    """Give the URL of a server whose answer to a download are `steps`."""
    head = answer(b"", headers={"x-reduct-time": "1"}, length=size)
    with ScriptedServer([REQUEST, head, *steps]) as server:
        yield server.url


@pytest.mark.parametrize("size", [5 * MIB, 50 * MIB])
async def test_a_cut_off_download_leaves_nothing(
    flavour: Flavour, tmp_path: Path, size: int
) -> None:
    (tmp_path / "copy").write_bytes(b"old")
    with answering(bytes(4 * MIB), size=size) as url:
        with pytest.raises(TransportError):
            await flavour.client(url).bucket("b").download("a", 1, tmp_path / "copy")
    assert os.listdir(tmp_path) == ["copy"]
    assert (tmp_path / "copy").read_bytes() == b"old"


class Stop(BaseException):
    """Raised from outside, as Ctrl-C is."""


@pytest.mark.parametrize("stop", [KeyError, Stop])
async def test_an_interrupted_download_leaves_nothing(
    bucket: Bucket, tmp_path: Path, stop: type[BaseException]
) -> None:
    await bucket.write("a", bytes(12 * MIB), 1)
    seen: list[list[str]] = []

    def interrupt(done: int, total: int) -> None:
        if done > total / 2:
            seen.append(os.listdir(tmp_path))
            raise stop("enough")

    with pytest.raises(stop, match="enough"):
        await bucket.download("a", 1, tmp_path / "copy", progress=interrupt)
    ((name,),) = seen
    assert name.startswith(".copy.")
    assert name.endswith(".part")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("flavour", ["async"], indirect=True)
async def test_a_cancelled_download_leaves_nothing(flavour: Flavour, tmp_path: Path) -> None:
    with answering(bytes(20 * MIB), HOLD, size=50 * MIB) as url:
        bucket = flavour.client(url).bucket("b")
        with anyio.move_on_after(0.5) as scope:
            await bucket.download("a", 1, tmp_path / "copy")
        assert scope.cancelled_caught
        assert os.listdir(tmp_path) == []
        await bucket._io.close()


@pytest.mark.parametrize("flavour", ["async"], indirect=True)
@pytest.mark.parametrize("delay", [0.0, 0.001, 0.003, 0.01, 0.03])
async def test_a_task_that_is_cancelled_anywhere(
    flavour: Flavour, bucket: Bucket, tmp_path: Path, delay: float
) -> None:
    """By asyncio itself, which knows no shield: the disk may be in the midst of something."""
    await bucket.write("a", bytes(12 * MIB), 1)
    for repetition in range(5):
        task = asyncio.create_task(bucket.download("a", 1, tmp_path / "copy"))
        await asyncio.sleep(delay * (1 + repetition / 5))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert set(os.listdir(tmp_path)) <= {"copy"}


async def test_a_folder_is_no_place_for_a_download(bucket: Bucket, tmp_path: Path) -> None:
    await write_all(bucket, "a", 1)
    with pytest.raises(IsADirectoryError, match="name a file in it"):
        await bucket.download("a", 1, tmp_path)
    with pytest.raises(FileNotFoundError):
        await bucket.download("a", 1, tmp_path / "no" / "copy")
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_not_complete_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12")
    transfer.check_complete(str(tmp_path / "file"), 2)
    with pytest.raises(OSError, match="has 2 bytes instead of the 3"):
        transfer.check_complete(str(tmp_path / "file"), 3)


# --- uploads -------------------------------------------------------------------------------


async def test_what_cannot_be_uploaded(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new")
    await write_all(bucket, "a", 1)
    with pytest.raises(ConflictError):
        await bucket.upload("a", tmp_path / "source", 1)
    with pytest.raises(FileNotFoundError):
        await bucket.upload("a", tmp_path / "other", 2)
    with pytest.raises(IsADirectoryError):
        await bucket.upload("a", tmp_path, 3)
    with pytest.raises(ValueError, match="is not a regular file"):
        await bucket.upload("a", "/dev/null", 4)
    with pytest.raises(ValueError, match="entry name"):
        await bucket.upload("a b", tmp_path / "source", 5)
    with pytest.raises(ValueError, match="timestamp"):
        await bucket.upload("a", tmp_path / "source", -1)
    assert await payloads(bucket.query("a")) == {1: b"1"}


async def test_a_file_that_grows_is_not_stored(bucket: Bucket, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(3 * MIB))

    def grow(done: int, _total: int) -> None:
        if done == MIB:
            with open(source, "ab") as file:
                file.write(b"more")

    with pytest.raises(ValueError, match="more bytes"):
        await bucket.upload("a", source, 1, progress=grow)
    assert await contents(bucket.query("a")) == []


async def test_an_interrupted_upload_stores_nothing(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(12 * MIB))

    def interrupt(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        await bucket.upload("a", tmp_path / "source", 1, progress=interrupt)
    assert await contents(bucket.query("a")) == []
    await bucket.write("a", b"next", 2)
    assert await contents(bucket.query("a")) == [Stored("a", 2, b"next", {}, BINARY)]


# --- progress ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 10, 3 * MIB + 5, 10 * MIB])
async def test_progress(bucket: Bucket, tmp_path: Path, long_pattern: bytes, size: int) -> None:
    (tmp_path / "source").write_bytes(long_pattern[:size])
    up: list[tuple[int, int]] = []
    down: list[tuple[int, int]] = []
    await bucket.upload(
        "a", tmp_path / "source", 1, progress=lambda done, total: up.append((done, total))
    )
    await bucket.download(
        "a", 1, tmp_path / "copy", progress=lambda done, total: down.append((done, total))
    )
    whole = [*range(0, size, MIB), size] if size else [0]
    assert up == [(done, size) for done in whole]
    # A download tells of each piece as it arrives.
    assert down[0] == (0, size)
    assert down[-1] == (size, size)
    assert down == sorted(set(down))


async def test_a_bar(bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "source").write_bytes(bytes(2 * MIB))
    await bucket.upload("sensor", tmp_path / "source", 1, progress=True)
    shown = capsys.readouterr().err
    assert "sensor: 100%" in shown
    assert "2.10M/2.10M" in shown
    await bucket.download("sensor", 1, tmp_path / "copy", progress=True)
    assert "sensor: 100%" in capsys.readouterr().err
    await bucket.download("sensor", 1, tmp_path / "copy", progress=False)
    assert capsys.readouterr().err == ""


async def test_a_bar_needs_its_extra(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").write_bytes(b"1")
    for name in ("tqdm", "tqdm.auto"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'reduct-httpx\[progress\]'"):
        await bucket.upload("a", tmp_path / "source", 1, progress=True)
    assert await contents(bucket.query("a")) == []
    await write_all(bucket, "b", 1)
    with pytest.raises(ImportError, match=r"reduct-httpx\[progress\]"):
        await bucket.download("b", 1, tmp_path / "copy", progress=True)
    assert os.listdir(tmp_path) == ["source"]


async def test_what_cannot_show_progress(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"1")
    for progress in (5, "yes", object()):
        with pytest.raises(TypeError, match="progress must be"):
            await bucket.upload("a", tmp_path / "source", 1, progress=progress)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="progress must be"):
            await bucket.download("a", 1, tmp_path / "copy", progress=progress)  # type: ignore[arg-type]


# --- large files ---------------------------------------------------------------------------

LARGE_MIB = 64


def digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


async def test_memory_does_not_grow_with_the_file(bucket: Bucket, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    with open(source, "wb") as file:
        for number in range(LARGE_MIB):
            file.write(number.to_bytes(4, "big") * (MIB // 4))
    tracemalloc.start()
    try:
        await bucket.upload("a", source, 1)
        await bucket.download("a", 1, copy)
        assert tracemalloc.get_traced_memory()[1] < 12 * MIB
    finally:
        tracemalloc.stop()
    assert digest(copy) == digest(source)


@pytest.mark.parametrize("flavour", ["async"], indirect=True)
async def test_the_event_loop_does_not_wait_for_the_disk(
    flavour: Flavour, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that takes until another task says so would hang the loop for ever."""
    (tmp_path / "source").write_bytes(b"data")
    go_on = threading.Event()

    class Slow(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert go_on.wait(HANG_SECONDS)
            return super().read(-1 if size is None else size)

    real = builtins.open

    def slow_open(path: Any, *arguments: Any, **named: Any) -> Any:
        return Slow(path) if path == tmp_path / "source" else real(path, *arguments, **named)

    monkeypatch.setattr(builtins, "open", slow_open)
    async with anyio.create_task_group() as group:

        async def release() -> None:
            await anyio.sleep(0.05)
            go_on.set()

        group.start_soon(release)
        await bucket.upload("a", tmp_path / "source", 1)
    assert await payloads(bucket.query("a")) == {1: b"data"}
