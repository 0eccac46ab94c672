"""Subscriptions: what is read next, decided from listings of the bucket.

The server's continuous queries expire while idle and slow all other queries, so a
subscription asks for the bucket's listing, and queries the entries that have news, each from
its own cursor.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from attrs import define, field, frozen

from reduct_api.models import BucketFullInfo, EntryInfo, Status

from . import names
from .errors import ReductError, is_away
from .patterns import matches
from .times import TimestampLike, to_us

log = logging.getLogger("reduct")

Start: TypeAlias = TimestampLike | Literal["now"] | Mapping[str, TimestampLike] | None
"""Where a subscription begins: a time, "now", a checkpoint by entry, or the first record."""

LONGEST_PAUSE = 60.0
"""Seconds between two looks at an entry whose newest record stays unreadable."""


@frozen
class Look:
    """One entry to be queried from `start` on."""

    entry: str
    start: int
    newest: int | None
    """The newest timestamp that the listing knew; None for attachments, which it hides."""
    snapshot: tuple[int, int, int] | None


@define
class _Position:
    floor: int
    """Where the subscription began; nothing before it is read, whatever the overlap."""
    cursor: int
    seen: tuple[int, int, int] | None = None
    recent: set[int] = field(factory=set)
    prune_at: int = 1000
    pause: float = 0.0
    due_at: float = 0.0


class Watch:
    """Which entries have news, and up to where each was read."""

    def __init__(self, patterns: Sequence[str], start: Start, overlap: float, now: int):
        if not patterns:
            raise ValueError("entries must not be empty: there would be nothing to wait for")
        self._patterns = patterns
        self._checkpoint: Mapping[str, int] = {}
        self._start = 0
        if isinstance(start, Mapping):
            self._checkpoint = {name: to_us(us, f"start[{name!r}]") for name, us in start.items()}
        elif start is not None:
            self._start = now if start == "now" else to_us(start, "start")
        self._overlap = _microseconds(overlap)
        self._positions: dict[str, _Position] = {}

    @property
    def cursors(self) -> dict[str, int]:
        """The first timestamp that is still to be read, by entry, in microseconds."""
        known = {name: position.cursor for name, position in self._positions.items()}
        return {**self._checkpoint, **known}

    def looks(self, info: BucketFullInfo, now: float) -> list[Look]:
        """Return the entries to query, given the bucket's listing and the monotonic time."""
        listed = [
            self._look(entry)
            for entry in info.entries
            if entry.record_count and entry.status == Status.READY
            if matches(self._patterns, entry.name)
        ]
        hidden = [
            Look(name, self._begin(self._position(name)), None, None)
            for name in self._patterns
            if names.is_meta(name) and not names.is_pattern(name)
        ]
        return [look for look in listed if self._is_due(look, now)] + hidden

    def _look(self, entry: EntryInfo) -> Look:
        snapshot = (entry.latest_record, entry.record_count, entry.size)
        begin = self._begin(self._position(entry.name))
        return Look(entry.name, begin, entry.latest_record, snapshot)

    def _position(self, entry: str) -> _Position:
        if entry not in self._positions:
            start = self._checkpoint.get(entry, self._start)
            self._positions[entry] = _Position(floor=start, cursor=start)
        return self._positions[entry]

    def _begin(self, position: _Position) -> int:
        return max(position.floor, position.cursor - self._overlap)

    def _is_due(self, look: Look, now: float) -> bool:
        position = self._positions[look.entry]
        behind = look.newest is not None and look.newest >= position.cursor
        if look.snapshot != position.seen:
            return behind or self._overlap > 0
        return behind and now >= position.due_at

    def take(self, entry: str, timestamp: int) -> bool:
        """Tell whether a record that came is new, and move the cursor beyond it."""
        position = self._position(entry)
        if timestamp < position.cursor and timestamp in position.recent:
            return False
        position.cursor = max(position.cursor, timestamp + 1)
        if self._overlap:
            position.recent.add(timestamp)
            if len(position.recent) > position.prune_at:
                oldest = position.cursor - self._overlap
                position.recent = {us for us in position.recent if us >= oldest}
                position.prune_at = max(1000, 2 * len(position.recent))
        return True

    def unread(self, look: Look) -> bool:
        """Tell whether the newest record of the listing did not come: filtered or unfinished."""
        return look.newest is not None and look.newest >= self._positions[look.entry].cursor

    def settle(self, look: Look, *, finished: bool, now: float) -> None:
        """Note the end of a look; `finished` tells that the newest record exists whole.

        A record that is still being written must not be passed over, so its entry is looked
        at again, at growing intervals.
        """
        position = self._positions[look.entry]
        if finished and look.newest is not None:
            position.cursor = max(position.cursor, look.newest + 1)
        position.pause = 0.0 if finished else min(max(2 * position.pause, 0.5), LONGEST_PAUSE)
        position.due_at = now + position.pause
        position.seen = look.snapshot


def _microseconds(overlap: float) -> int:
    if isinstance(overlap, bool) or not isinstance(overlap, (int, float)):
        raise TypeError(f"overlap={overlap!r} must be seconds")
    if not 0 <= overlap < 1e12:
        raise ValueError(f"overlap={overlap!r} must be seconds, not negative")
    return round(overlap * 1_000_000)


def check_interval(poll_interval: Any) -> float:
    """Return the seconds between two polls."""
    if isinstance(poll_interval, bool) or not isinstance(poll_interval, (int, float)):
        raise TypeError(f"poll_interval={poll_interval!r} must be seconds")
    if not 0 < poll_interval < 1e9:
        raise ValueError(f"poll_interval={poll_interval!r} must be seconds above 0")
    return float(poll_interval)


def passes_listing(error: ReductError) -> bool:
    """Tell whether a poll goes on after `error`: the server is away, busy or starting."""
    return is_away(error) or error.status_code in (425, 429, 500, 502, 503, 504)


def passes_query(error: ReductError, *, strict: bool) -> bool:
    """Tell whether a poll goes on after `error` of one entry's query.

    Entries may vanish, and a restarted server has forgotten the query; but a strict condition
    reports a missing label as 404, too.
    """
    if error.status_code == 404 and strict:
        return "expired" in error.message
    return passes_listing(error) or error.status_code in (404, 409)
