"""The cutter: whatever the chunks, the same records; whatever is missing or too much, an error."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from reduct_core.headers import RecordHead
from reduct_core.records import (
    END_OF_BATCH,
    END_OF_RECORD,
    IN_MEMORY_BYTES,
    LARGE_BYTES,
    NEED_DATA,
    Begin,
    Cutter,
    Data,
    Run,
    by_time,
    check_piece,
)

LIMIT = 8
"""Payloads above this many bytes are streamed in these tests."""


def head(timestamp: int, size: int, entry: str = "entry") -> RecordHead:
    return RecordHead(timestamp, entry, size, "text/plain", {}, {})


@frozen
class Found:
    """A record that came out, and how."""

    timestamp: int
    entry: str
    payload: bytes
    streamed: bool


def pieces(body: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Cut `body` at some of its places."""
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[a:b] for a, b in pairwise(places) if a < b]


def run(heads: Sequence[RecordHead], chunks: Sequence[bytes]) -> Iterator[Found]:
    """Drive a cutter as its user does, with an empty chunk after the last one."""
    cutter = Cutter(heads, LIMIT)
    coming = iter([*chunks, b""])
    begun: RecordHead | None = None
    payload = b""
    while (event := cutter.next_event()) is not END_OF_BATCH:
        if event is NEED_DATA:
            cutter.receive_data(next(coming))
        elif isinstance(event, Run):
            assert begun is None
            for found, whole in zip(event.heads, event.payloads, strict=True):
                yield Found(found.timestamp, found.entry, whole, False)
        elif isinstance(event, Begin):
            assert begun is None
            begun, payload = event.head, b""
        elif isinstance(event, Data):
            assert event.payload
            payload += event.payload
        else:
            assert event is END_OF_RECORD
            assert begun is not None
            yield Found(begun.timestamp, begun.entry, payload, True)
            begun = None
    assert cutter.next_event() is END_OF_BATCH


SIZES = st.lists(st.integers(0, 3 * LIMIT), max_size=6)
CUTS = st.lists(st.integers(0, 200), max_size=10)
PLACES = st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abz")), unique=True, max_size=6)


def numbered(sizes: Sequence[int]) -> list[bytes]:
    """Return payloads that differ from each other."""
    return [bytes([65 + number]) * size for number, size in enumerate(sizes)]


@given(SIZES, CUTS)
def test_any_chunking_gives_the_same_records(sizes: list[int], cuts: list[int]) -> None:
    payloads = numbered(sizes)
    heads = [head(time, size) for time, size in enumerate(sizes)]
    found = list(run(heads, pieces(b"".join(payloads), cuts)))
    assert found == [
        Found(time, "entry", payload, len(payload) > LIMIT) for time, payload in enumerate(payloads)
    ]


@given(st.data(), PLACES, CUTS)
def test_any_order_gives_each_record_its_payload(
    data: st.DataObject, places: list[tuple[int, str]], cuts: list[int]
) -> None:
    """Where a body is not in the order of time, only the newest, if it is last, is streamed."""
    sizes = data.draw(st.lists(st.sampled_from([0, 1, LIMIT, LIMIT + 1, 20]), min_size=6))
    heads = [head(time, size, entry) for (time, entry), size in zip(places, sizes, strict=False)]
    payloads = numbered([found.size for found in heads])
    found = list(run(heads, pieces(b"".join(payloads), cuts)))
    assert [(f.timestamp, f.entry, f.payload) for f in found] == [
        (h.timestamp, h.entry, payload) for h, payload in zip(heads, payloads, strict=True)
    ]
    in_order = sorted(heads, key=by_time) == heads
    newest = max(map(by_time, heads), default=None)
    for position, record in enumerate(found):
        last = position == len(found) - 1 and by_time(heads[position]) == newest
        assert record.streamed is (len(record.payload) > LIMIT and (in_order or last))


@given(SIZES.filter(any), CUTS, st.data())
def test_every_truncation_is_an_error(
    sizes: list[int], cuts: list[int], data: st.DataObject
) -> None:
    payloads = numbered(sizes)
    body = b"".join(payloads)
    length = data.draw(st.integers(0, len(body) - 1))
    heads = [head(time, size) for time, size in enumerate(sizes)]
    records = run(heads, pieces(body[:length], cuts))
    whole: list[Found] = []
    with pytest.raises(ValueError, match=r"^the body ended \d+ bytes before the end of a record"):
        whole.extend(records)
    # What came before the end is right.
    assert [found.payload for found in whole] == payloads[: len(whole)]


@given(SIZES, CUTS, st.binary(min_size=1, max_size=9))
def test_every_excess_is_an_error(sizes: list[int], cuts: list[int], more: bytes) -> None:
    heads = [head(time, size) for time, size in enumerate(sizes)]
    body = b"".join(numbered(sizes)) + more
    with pytest.raises(ValueError, match=r"^the body has \d+ bytes more than its heads announce"):
        list(run(heads, pieces(body, cuts)))


def test_b22_an_ended_body_never_waits() -> None:
    cutter = Cutter([head(1, 5)])
    cutter.receive_data(b"abc")
    assert cutter.next_event() is NEED_DATA
    cutter.receive_data(b"")
    for _ in range(2):
        with pytest.raises(ValueError, match="ended 2 bytes before"):
            cutter.next_event()


def test_records_come_as_soon_as_they_are_complete() -> None:
    heads = [head(1, 2), head(2, 0), head(3, LIMIT + 2)]
    cutter = Cutter(heads, LIMIT)
    cutter.receive_data(b"a")
    assert cutter.next_event() is NEED_DATA
    cutter.receive_data(b"bcd")
    assert cutter.next_event() == Run(heads[:2], [b"ab", b""])
    assert cutter.next_event() == Begin(heads[2])
    assert cutter.next_event() == Data(b"cd")
    assert cutter.next_event() is NEED_DATA
    cutter.receive_data(b"efghijkl")
    assert cutter.next_event() == Data(b"efghijkl")
    assert cutter.next_event() is END_OF_RECORD
    assert cutter.next_event() is NEED_DATA
    cutter.receive_data(b"")
    assert cutter.next_event() is END_OF_BATCH


def test_an_empty_batch_ends_with_its_body() -> None:
    cutter = Cutter([])
    assert cutter.next_event() is NEED_DATA
    cutter.receive_data(b"")
    assert cutter.next_event() is END_OF_BATCH


def test_the_threshold_is_documented_size() -> None:
    assert IN_MEMORY_BYTES == 8 * 1024 * 1024
    kept, streamed = head(1, IN_MEMORY_BYTES), head(2, IN_MEMORY_BYTES + 1)
    cutter = Cutter([kept, streamed])
    assert cutter.next_event() is NEED_DATA
    cutter.receive_data(bytes(IN_MEMORY_BYTES))
    assert cutter.next_event() == Run([kept], [bytes(IN_MEMORY_BYTES)])
    assert cutter.next_event() == Begin(streamed)


def test_chunks_are_handed_on_without_a_copy() -> None:
    """A record that fills a chunk, and pieces of a streamed one, are the chunks themselves."""
    chunk = b"x" * LIMIT
    cutter = Cutter([head(1, LIMIT), head(2, 2 * LIMIT)], LIMIT)
    cutter.receive_data(chunk)
    event = cutter.next_event()
    assert isinstance(event, Run)
    assert event.payloads[0] is chunk
    cutter.receive_data(chunk)
    assert isinstance(cutter.next_event(), Begin)
    piece = cutter.next_event()
    assert isinstance(piece, Data)
    assert piece.payload is chunk


@given(st.lists(st.sampled_from([0, 1, 70, 64 * 1024, 64 * 1024 + 1, 200_000]), max_size=8))
def test_what_is_wanted_gives_every_large_payload_a_piece_of_its_own(sizes: list[int]) -> None:
    heads = [head(time, size) for time, size in enumerate(sizes)]
    cutter = Cutter(heads, 150_000)
    found: list[bytes] = []
    pieces: list[bytes] = []
    while (event := cutter.next_event()) is not END_OF_BATCH:
        if event is NEED_DATA:
            pieces.append(bytes(cutter.wanted))
            cutter.receive_data(pieces[-1])
        elif isinstance(event, Run):
            found += event.payloads
        elif isinstance(event, Data):
            found.append(event.payload)
    assert [len(payload) for payload in found] == sizes
    large = [payload for payload in found if len(payload) >= LARGE_BYTES]
    assert all(any(payload is piece for piece in pieces) for payload in large)
    assert pieces[-1:] == [b""]


@pytest.mark.parametrize("n", [0, -1, 1.5, True, None, "1"])
def test_pieces_have_at_least_one_byte(n: Any) -> None:
    assert check_piece(1) == 1
    with pytest.raises(ValueError, match=r"^n=.* at least 1 byte"):
        check_piece(n)
