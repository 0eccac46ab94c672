"""What the engine keeps in memory of buckets, entries and blocks, to answer without reading.

Blocks follow the real server: a record goes to the last block, a late one to the block whose
range it falls into; a block that would become too large is left, and a new one begins at the
record. So listings, oldest and latest times and the reach of the FIFO quota agree.
"""

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from typing import Protocol

from ..names import is_meta
from ..settings import BucketSettings
from .model import LAST_TIME, BucketInfo, EntryInfo

META_BLOCK_SIZE = 128 * 1024


class Started(Protocol):
    """A record that is still being written; nothing of it shows in the database."""

    labels: dict[str, str]
    size: int
    metadata: int
    block: int


@dataclass(slots=True)
class Block:
    """A run of records that the FIFO quota drops as one; `first` is its name."""

    first: int
    latest: int = 0
    size: int = 0
    metadata: int = 0
    records: int = 0


@dataclass(slots=True, eq=False)
class Entry:
    """An entry with its blocks, and the records that are still being written."""

    id: int
    name: str
    bucket: "Bucket"
    deleting: bool = False
    firsts: list[int] = field(default_factory=list)
    blocks: dict[int, Block] = field(default_factory=dict)
    started: dict[int, Started] = field(default_factory=dict)
    size: int = 0
    records: int = 0
    top: int = -1
    """No record is later than this."""
    version: int = 0
    """Changes whenever records change that a scan may have passed over or read ahead."""

    @property
    def oldest(self) -> int:
        """The beginning of the first block, 0 if empty: after removals older than any record."""
        return self.firsts[0] if self.firsts else 0

    @property
    def latest(self) -> int:
        """The latest time of the last block, 0 if empty."""
        return self.blocks[self.firsts[-1]].latest if self.firsts else 0

    def info(self) -> EntryInfo:
        """Return the line of the listing."""
        return EntryInfo(
            name=self.name,
            size=self.size,
            record_count=self.records,
            block_count=len(self.firsts),
            oldest_record=self.oldest,
            latest_record=self.latest,
            status=_status(self.deleting),
        )

    def floor(self, time: int) -> Block | None:
        """Return the last block that begins at or before a time."""
        at = bisect_right(self.firsts, time)
        return self.blocks[self.firsts[at - 1]] if at else None

    def place(self, time: int, size: int) -> Block:
        """Return the block for a new record, a new one where the fitting one is full."""
        block = self.blocks[self.firsts[-1]] if self.firsts else None
        if block and block.latest >= time:
            block = self.floor(time)
        if block and (block.first == time or not self._is_full(block, size)):
            return block
        block = self.blocks[time] = Block(time)
        insort(self.firsts, time)
        return block

    def _is_full(self, block: Block, size: int) -> bool:
        settings = self.bucket.settings
        most = META_BLOCK_SIZE if is_meta(self.name) else settings.max_block_size
        return block.size + size > most or block.records >= settings.max_block_records

    def count(self, block: Block, *, size: int = 0, metadata: int = 0, records: int = 0) -> None:
        """Add to the sums of a block, the entry and the bucket (negative: take away)."""
        block.size += size
        block.metadata += metadata
        block.records += records
        self.records += records
        self.size += size + metadata
        self.bucket.size += size + metadata

    def forget_block(self, block: Block) -> None:
        """Take a block out of all sums, with what is being written into it."""
        self.count(block, size=-block.size, metadata=-block.metadata, records=-block.records)
        del self.blocks[block.first]
        self.firsts.remove(block.first)
        for time in [time for time, one in self.started.items() if one.block == block.first]:
            del self.started[time]
        if not self.firsts:
            self.top = -1

    def forget_all(self) -> None:
        """Take everything out of all sums."""
        self.bucket.size -= self.size
        self.size = self.records = 0
        self.top = -1
        self.version += 1
        self.firsts.clear()
        self.blocks.clear()
        self.started.clear()


@dataclass(slots=True, eq=False)
class Bucket:
    """A bucket with its entries; `size` includes attachments and what is being removed."""

    id: int
    name: str
    settings: BucketSettings
    deleting: bool = False
    provisioned: bool = False
    entries: dict[str, Entry] = field(default_factory=dict)
    size: int = 0

    def visible(self) -> list[Entry]:
        """Return the entries that listings show, by name."""
        return [self.entries[name] for name in sorted(self.entries) if not is_meta(name)]

    def info(self) -> BucketInfo:
        """Return the line of the listing."""
        visible = self.visible()
        filled = [entry for entry in visible if entry.records]
        oldest = min((entry.oldest for entry in filled), default=LAST_TIME)
        return BucketInfo(
            name=self.name,
            entry_count=len(visible),
            size=self.size,
            # The real server takes the last of all times for none at all.
            oldest_record=0 if oldest == LAST_TIME else oldest,
            latest_record=max((entry.latest for entry in filled), default=0),
            is_provisioned=self.provisioned,
            status=_status(self.deleting),
        )


def _status(deleting: bool) -> str:
    return "DELETING" if deleting else "READY"
