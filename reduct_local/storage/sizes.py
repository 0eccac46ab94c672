"""How many bytes the real server needs to describe a record (a protobuf message).

Listings and quotas count them beside the contents. The real server counts some more once it has
saved a block, which it does when the block is full, after removals, and from time to time.
"""

from collections.abc import Iterable, Mapping


def metadata_size(
    time: int, begin: int, size: int, content_type: str, labels: Mapping[str, str]
) -> int:
    """Return the bytes of a record that is being written at `begin` of its block."""
    seconds, micros = divmod(time, 1_000_000)
    clock = _number(seconds) + _number(micros * 1000)
    return (
        _message(clock)
        + _number(begin)
        + _number(begin + size)
        + labels_size(labels.items())
        + _text(content_type)
    )


def labels_size(labels: Iterable[tuple[str, str]]) -> int:
    """Return the bytes that labels add."""
    return sum(_message(_text(name) + _text(value)) for name, value in labels)


def _number(value: int) -> int:
    # A field: one byte of tag, seven bits of the value in each byte; zero is left out.
    return 1 + _varint(value) if value else 0


def _varint(value: int) -> int:
    return (max(value.bit_length(), 1) + 6) // 7


def _message(size: int) -> int:
    return 1 + _varint(size) + size


def _text(value: str) -> int:
    return _message(len(value.encode())) if value else 0
