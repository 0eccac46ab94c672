"""Payloads to send: what is one, how long it is, and that no more or less is sent."""

import io
import os
import re
from typing import Any

SEND_BYTES = 64 * 1024
"""Smaller chunks are joined to this size: each costs the server a wake-up of its own."""

# In the format of a structured array; the rest of the format is type codes.
_FIELD_NAME = re.compile(r":[^:]*:")

READ_BYTES = 1024 * 1024
"""How much of a file is read at once."""


def in_memory(data: Any) -> bytes | None:
    """Return the bytes of a bytes-like object or the UTF-8 of a str; None for other sources.

    Memoryviews and arrays count in bytes, not in items.
    """
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode()
    try:
        view = memoryview(data)
    except TypeError:
        return None
    if "O" in _FIELD_NAME.sub("", view.format):
        raise TypeError("data is an array of Python objects; serialise it first")
    return view.tobytes()


def batch_data(data: Any) -> bytes:
    """Return the bytes of a record in a batch; TypeError for files and iterators."""
    content = in_memory(data)
    if content is None:
        raise TypeError(
            f"data must be bytes-like or str in a batch, not {type(data).__name__};"
            " write() takes files and iterators"
        )
    return content


def check_length(size: int, content_length: object) -> int:
    """Return `size` if the announced length, where given, agrees with it."""
    if content_length is not None and announced(content_length) != size:
        raise ValueError(f"content_length={content_length} but the data has {size} bytes")
    return size


def announced(content_length: object) -> int:
    """Return a length that the user announced, in bytes."""
    if content_length is None:
        raise ValueError("content_length is required when data is an iterator")
    if isinstance(content_length, bool) or not isinstance(content_length, int):
        raise TypeError(f"content_length={content_length!r} must be an int of bytes")
    if content_length < 0:
        raise ValueError(f"content_length={content_length} must not be negative")
    return content_length


def file_length(file: Any, content_length: object) -> int:
    """Return how many bytes an open binary file holds from its position on.

    Raises ValueError for a file that was just written and not rewound, because an empty record
    would be stored without a word, and for one that cannot be sought and has no announced
    length.
    """
    found = _span(file)
    if found is None:
        return announced(content_length)
    position, end = found
    if position >= end > 0 and content_length != 0:
        raise ValueError(f"the file is at its end ({end} bytes); call seek(0) before write()")
    return check_length(max(end - position, 0), content_length)


def _span(file: Any) -> tuple[int, int] | None:
    """Return position and end of an open binary file; None if it cannot be sought.

    Raises TypeError for a file opened in text mode.
    """
    if isinstance(file, io.TextIOBase):
        raise TypeError("data is a file in text mode; open it with mode 'rb'")
    try:
        position = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(position)
    except (AttributeError, OSError):
        return None
    return position, end


def not_a_payload(data: object) -> TypeError:
    """Return the error for a type that cannot be sent."""
    return TypeError(
        "data must be bytes-like, str, a path (os.PathLike), an open binary file or an iterator"
        f" of bytes, not {type(data).__name__}"
    )


def is_path(data: object) -> bool:
    """Tell whether `data` names a file; a str does not, it is text to store."""
    return isinstance(data, os.PathLike)


class SourceError(Exception):
    """Carries an error of the user's source past everything that handles errors of httpx."""

    def __init__(self, error: Exception):
        super().__init__(str(error))
        self.error = error


class Meter:
    """Joins chunks to pieces worth sending, and counts them against the announced length.

    The piece that completes the length is held back until the source has ended, so that a
    source that gives too much never becomes a complete, silently cut record.
    """

    def __init__(self, length: int):
        self._length = length
        self._count = 0
        self._chunks: list[bytes] = []
        self._joined = 0
        self._sent = False

    def feed(self, chunk: object) -> bytes:
        """Take a chunk of the source; return what is to be sent now, often nothing."""
        data = in_memory(chunk) if not isinstance(chunk, str) else None
        if data is None:
            raise TypeError(
                f"data gave a {type(chunk).__name__} where bytes are needed"
                " (a file must be opened in binary mode)"
            )
        self._count += len(data)
        if self._count > self._length:
            raise ValueError(
                f"content_length={self._length} but the data has more bytes; no record was stored"
            )
        self._chunks.append(data)
        self._joined += len(data)
        if self._joined < SEND_BYTES or self._count == self._length:
            return b""
        return self._take()

    def finish(self) -> bytes:
        """Return the last piece; ValueError if the source gave too little."""
        if self._count < self._length:
            raise ValueError(
                f"content_length={self._length} but the data has only {self._count} bytes;"
                " no record was stored"
            )
        return self._take()

    def explained(self, error: Exception) -> Exception:
        """Return an error of the source, with a note if a part was sent before it."""
        if self._sent:
            error.add_note(
                "The upload was cut off. The server keeps the timestamp for a record of the same"
                " size; remove_record() frees it."
            )
        return error

    def _take(self) -> bytes:
        piece = b"".join(self._chunks)
        self._chunks.clear()
        self._joined = 0
        self._sent = True
        return piece
