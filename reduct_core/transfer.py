"""Uploads and downloads of files: names, sizes, and how progress is shown."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from typing import Any, TypeAlias

Progress: TypeAlias = Callable[[int, int], object] | bool | None
"""A function of bytes done and bytes in all, True for a bar, or None."""

PIECE_BYTES = 1024 * 1024
"""How much of a file is read or written at once: more would not stay in a processor's cache."""


def check_progress(progress: object) -> None:
    """Raise TypeError for what cannot show progress, ImportError where a bar needs tqdm."""
    if progress is True:
        _bar_class()
    elif progress not in (None, False) and not callable(progress):
        raise TypeError(f"progress must be a function, True or None, not {type(progress).__name__}")


def _bar_class() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError(
            "progress=True needs tqdm: pip install 'reduct-httpx[progress]'"
        ) from error
    return tqdm


@contextmanager
def shown(progress: Progress, title: str, total: int) -> Iterator[Callable[[int], object]]:
    """Yield what is to be called with each number of bytes done; the bar ends with the block."""
    if progress is True:
        with _bar_class()(total=total, desc=title, unit="B", unit_scale=True) as bar:
            yield bar.update
    elif callable(progress):
        count = Counter(progress, total)
        count(0)
        yield count
    else:
        yield lambda _size: None


class Counter:
    """Adds up the bytes that are done for a function of the user."""

    def __init__(self, progress: Callable[[int, int], object], total: int):
        self._progress = progress
        self._total = total
        self._done = 0

    def __call__(self, size: int) -> None:
        """Count `size` bytes more."""
        self._done += size
        self._progress(self._done, self._total)


def file_size(path: object, descriptor: int) -> int:
    """Return the size of an open file in bytes; ValueError if it is not a regular file."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path} is not a regular file; write() takes other sources")
    return status.st_size


def part_path(path: str | os.PathLike[str]) -> str:
    """Return a fresh name in the folder of `path`, for a file that is not complete yet.

    Raises IsADirectoryError if `path` itself is a folder.
    """
    target = os.fspath(path)
    if os.path.isdir(target):
        raise IsADirectoryError(f"{target} is a folder; name a file in it")
    folder, name = os.path.split(target)
    return os.path.join(folder, f".{name[:200]}.{os.urandom(4).hex()}.part")


def check_complete(path: str, size: int) -> None:
    """Raise OSError if a file has not `size` bytes."""
    found = os.stat(path).st_size
    if found != size:
        raise OSError(f"{path} has {found} bytes instead of the {size} that were written to it")


class Part:
    """A file that is written under a temporary name beside its own.

    Small pieces wait in memory until they are worth a call: an async client has each one done
    by a thread.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self._path = path
        self._part: str | None = None
        self._file: FileIO | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    def open(self) -> None:
        """Make the temporary file, with the permissions of any new file."""
        self._part = part_path(self._path)
        self._file = FileIO(self._part, "xb")

    def add(self, piece: bytes) -> bool:
        """Add a piece; tell whether it is time to `flush`."""
        self._waiting.append(piece)
        self._waiting_bytes += len(piece)
        return self._waiting_bytes >= PIECE_BYTES

    def flush(self) -> None:
        """Write what waits."""
        assert self._file is not None
        for piece in self._waiting:
            rest = memoryview(piece)
            while rest:
                rest = rest[self._file.write(rest) :]
        self._waiting.clear()
        self._waiting_bytes = 0

    def publish(self, size: int) -> None:
        """Give the file its name, if it has `size` bytes; one of that name is replaced."""
        assert self._file is not None
        assert self._part is not None
        self.flush()
        self._file.close()
        check_complete(self._part, size)
        os.replace(self._part, self._path)
        self._part = None

    def discard(self) -> None:
        """Remove the temporary file, unless it has got its name."""
        if self._file is not None:
            self._file.close()
        if self._part is not None:
            os.unlink(self._part)
            self._part = None
