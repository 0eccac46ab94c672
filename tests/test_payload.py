"""Payloads: counted in bytes, sent whole or not at all."""

import array
import ctypes
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_core import payload
from reduct_core.payload import SEND_BYTES, Meter, SourceError, in_memory

# --- what is in memory ---------------------------------------------------------------------


@given(st.binary())
def test_bytes_like_objects_are_their_bytes(data: bytes) -> None:
    assert in_memory(data) == data
    assert in_memory(bytearray(data)) == data
    assert in_memory(memoryview(data)) == data
    assert in_memory(memoryview(data)[::2]) == data[::2]
    assert in_memory(np.frombuffer(data, np.uint8)) == data


@given(st.text(st.characters(codec="utf-8")))
def test_text_is_utf8(text: str) -> None:
    assert in_memory(text) == text.encode("utf-8")


def test_text_that_has_no_utf8_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        in_memory("\ud800")


class Structure(ctypes.Structure):
    _fields_ = (("Offset", ctypes.c_int32), ("Other", ctypes.c_int32))


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (array.array("I", [1, 2, 3]), 12),
        (memoryview(array.array("d", [1.0])), 8),
        (np.zeros((2, 3), np.float32), 24),
        (np.zeros(4)[::2], 16),
        (np.asfortranarray(np.zeros((2, 3))), 48),
        (np.zeros(2, [("OBJECT", "i4"), ("POS", "f8", (2,))]), 40),
        (Structure(1, 2), 8),
        (np.float64(1.5), 8),
    ],
    ids=lambda value: type(value).__name__,
)
def test_b09_arrays_count_in_bytes(data: Any, size: int) -> None:
    found = in_memory(data)
    assert found is not None
    assert len(found) == size
    assert found == (data.tobytes() if hasattr(data, "tobytes") else bytes(data))


def test_arrays_in_another_order_are_sent_in_their_own() -> None:
    rows = np.arange(6, dtype=np.int8).reshape(2, 3)
    assert in_memory(rows) == bytes(range(6))
    assert in_memory(np.asfortranarray(rows)) == bytes(range(6))


@pytest.mark.parametrize(
    "data", [np.array(["a"], object), np.zeros(1, [("a", "i4"), ("b", object)])], ids=str
)
def test_arrays_of_objects_are_refused(data: Any) -> None:
    with pytest.raises(TypeError, match="array of Python objects"):
        in_memory(data)


@pytest.mark.parametrize("data", [None, 5, 1.5, object(), [b"a"], iter([b"a"]), Path("x")])
def test_other_sources_are_not_in_memory(data: Any) -> None:
    assert in_memory(data) is None


def test_batches_take_what_is_in_memory() -> None:
    assert payload.batch_data("é") == b"\xc3\xa9"
    assert payload.batch_data(b"") == b""
    for data in (io.BytesIO(b"x"), [b"x"], 5, None):
        with pytest.raises(TypeError, match="in a batch, not"):
            payload.batch_data(data)


def test_paths_are_no_text() -> None:
    assert payload.is_path(Path("x"))
    assert not payload.is_path("x")
    assert "not int" in str(payload.not_a_payload(5))


# --- announced lengths ---------------------------------------------------------------------


def test_announced_length_is_checked() -> None:
    assert payload.check_length(3, None) == 3
    assert payload.check_length(3, 3) == 3
    with pytest.raises(ValueError, match="content_length=4 but the data has 3 bytes"):
        payload.check_length(3, 4)


@pytest.mark.parametrize("length", [True, 1.0, "1"])
def test_announced_length_must_be_an_int(length: Any) -> None:
    with pytest.raises(TypeError, match=r"^content_length=.* must be an int"):
        payload.announced(length)


@pytest.mark.parametrize("length", [None, -1])
def test_announced_length_must_be_there(length: Any) -> None:
    assert payload.announced(0) == 0
    with pytest.raises(ValueError, match=r"^content_length"):
        payload.announced(length)


# --- files ---------------------------------------------------------------------------------


@given(st.binary(max_size=20), st.data())
def test_files_count_from_their_position(content: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, max(len(content) - 1, 0)))
    file = io.BytesIO(content)
    file.seek(position)
    assert payload.file_length(file, None) == len(content) - position
    assert payload.file_length(file, len(content) - position) == len(content) - position
    assert file.tell() == position
    with pytest.raises(ValueError, match="content_length=99 but the data has"):
        payload.file_length(file, 99)


@pytest.mark.parametrize("past", [0, 5])
def test_b09_a_file_that_was_not_rewound_is_refused(past: int) -> None:
    file = io.BytesIO()
    file.write(b"data")
    file.seek(past, io.SEEK_CUR)
    for length in (None, 4):
        with pytest.raises(ValueError, match=r"at its end \(4 bytes\); call seek\(0\)"):
            payload.file_length(file, length)
    # Asked for expressly, nothing is something.
    assert payload.file_length(file, 0) == 0


def test_an_empty_file_is_an_empty_record() -> None:
    assert payload.file_length(io.BytesIO(), None) == 0


def test_files_in_text_mode_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("text")
    with open(path) as file, pytest.raises(TypeError, match="mode 'rb'"):
        payload.file_length(file, 4)


class Pipe(io.RawIOBase):
    """A file that cannot be sought."""

    def tell(self) -> int:
        raise OSError("Illegal seek")


class Reader:
    """Something that can be read and no more."""

    def read(self, _n: int = -1) -> bytes:
        return b""


@pytest.mark.parametrize("file", [Pipe(), Reader()])
def test_files_that_cannot_be_sought_need_a_length(file: Any) -> None:
    assert payload.file_length(file, 5) == 5
    with pytest.raises(ValueError, match="content_length is required"):
        payload.file_length(file, None)


# --- the meter -----------------------------------------------------------------------------

BIG = 3 * SEND_BYTES
SIZES = st.integers(0, 40) | st.integers(SEND_BYTES - 2, SEND_BYTES + 2) | st.just(BIG)


def source(sizes: Sequence[int]) -> list[bytes]:
    return [bytes([number % 256]) * size for number, size in enumerate(sizes)]


def feed(meter: Meter, chunks: Sequence[bytes], sent: list[bytes]) -> None:
    """Feed all `chunks`; what the meter lets go before it raises is in `sent`."""
    for chunk in chunks:
        sent.append(meter.feed(chunk))


@given(st.lists(SIZES, max_size=12))
def test_any_chunking_gives_the_same_bytes(sizes: list[int]) -> None:
    """B37: in pieces of at least 64 KiB, the last of which comes when the source has ended."""
    chunks = source(sizes)
    meter = Meter(sum(sizes))
    early = [piece for chunk in chunks if (piece := meter.feed(chunk))]
    last = meter.finish()
    assert b"".join(early) + last == b"".join(chunks)
    assert all(len(piece) >= SEND_BYTES for piece in early)
    assert last or not any(sizes)


@given(st.lists(SIZES, min_size=1, max_size=8), st.integers(1, 5), st.data())
def test_b09_too_much_is_an_error_before_the_record_is_complete(
    sizes: list[int], more: int, data: st.DataObject
) -> None:
    length = data.draw(st.integers(0, sum(sizes) + more - 1))
    sent: list[bytes] = []
    with pytest.raises(ValueError, match=f"^content_length={length} but the data has more bytes"):
        feed(Meter(length), [*source(sizes), b"x" * more], sent)
    assert len(b"".join(sent)) < max(length, 1)


@given(st.lists(SIZES, max_size=8), st.integers(1, SEND_BYTES))
def test_b09_too_little_is_an_error_before_the_record_is_complete(
    sizes: list[int], missing: int
) -> None:
    length = sum(sizes) + missing
    meter = Meter(length)
    sent = sum(len(meter.feed(chunk)) for chunk in source(sizes))
    with pytest.raises(ValueError, match=f"^content_length={length} .* only {sum(sizes)} bytes"):
        meter.finish()
    assert sent < length


@pytest.mark.parametrize("chunk", ["text", None, 5, [b"x"]])
def test_sources_give_bytes(chunk: Any) -> None:
    with pytest.raises(TypeError, match=f"gave a {type(chunk).__name__} where bytes are needed"):
        Meter(10).feed(chunk)


def test_chunks_may_be_any_bytes_like_object() -> None:
    meter = Meter(7)
    assert meter.feed(bytearray(b"abc")) == b""
    assert meter.feed(array.array("I", [0])) == b""
    assert meter.finish() == b"abc\0\0\0\0"


def test_errors_tell_what_a_cut_upload_left() -> None:
    """The server keeps the timestamp once something was sent."""
    untouched = Meter(BIG)
    untouched.feed(b"abc")
    error = untouched.explained(KeyError("mine"))
    assert isinstance(error, KeyError)
    assert not hasattr(error, "__notes__")
    begun = Meter(BIG)
    assert begun.feed(bytes(SEND_BYTES))
    error = begun.explained(KeyError("mine"))
    assert "remove_record()" in "".join(error.__notes__)


def test_a_source_error_carries_the_users_error() -> None:
    cause = KeyError("mine")
    carried = SourceError(cause)
    assert carried.error is cause
    assert str(carried) == "'mine'"
