"""What the engine hands out: records, listings, changes."""

from dataclasses import asdict, dataclass

LAST_TIME = 2**64 - 1
"""The greatest timestamp, in Unix microseconds."""

PIECE_SIZE = 512 * 1024
"""Contents above this size are stored, written and read in pieces of it."""


@dataclass(slots=True)
class Record:
    """A finished record without its content.

    `timestamp` in Unix microseconds, `size` in bytes; `id` names its row: a record that is
    removed and written again gets another one. `block` is the same for records of one block.
    """

    bucket: str
    entry: str
    timestamp: int
    size: int
    content_type: str
    labels: dict[str, str]
    id: int
    block: int


@dataclass(frozen=True, slots=True)
class BucketInfo:
    """A line of the list of buckets; the field names are those of the JSON form."""

    name: str
    entry_count: int
    size: int
    oldest_record: int
    latest_record: int
    is_provisioned: bool
    status: str

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class EntryInfo:
    """A line of the list of entries of a bucket."""

    name: str
    size: int
    record_count: int
    block_count: int
    oldest_record: int
    latest_record: int
    status: str

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Change:
    """What a listener is told: `kind` is "write" (a record is finished) or "update" (labels)."""

    bucket: str
    entry: str
    timestamp: int
    kind: str
