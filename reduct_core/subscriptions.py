"""Subscriptions: what is read next, decided from listings of the bucket.

The server's continuous queries expire while idle and slow all other queries, so a
subscription asks for the bucket's listing, and queries the entries that have news, each from
its own cursor.

A listing counts records that are still being written, which queries pass over; a batch may
even be finished from its middle. So the books are kept by number: a look that brought fewer
records than the listing counts leaves a gap, and the gap is searched again until it is
filled.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from attrs import define, field, frozen

from reduct_api import models

from . import names
from .errors import ReductError, is_away
from .patterns import matches
from .times import MAX_US, TimestampLike, to_us

log = logging.getLogger("reduct")

Start: TypeAlias = TimestampLike | Literal["now"] | Mapping[str, TimestampLike] | None
"""Where a subscription begins: a time, "now", a checkpoint by entry, or the first record."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 60.0
"""Seconds between two searches of one gap: doubled from the first to the longest."""

DOUBT_SECONDS = 5.0
"""How long gaps are searched where the number of records tells nothing: after a removal, and
at first if older records lie before the start."""

GAP_SECONDS = 60.0
"""How long a gap is searched. Uploads that were broken off stay counted for ever."""

GAP_RECORDS = 1000
"""How many of the newest records are searched for gaps; a batch has at most some hundred."""


@frozen
class Span:
    """An interval of time, in microseconds: `start` included, `stop` excluded."""

    start: int
    stop: int


@frozen
class Look:
    """What to read of one entry."""

    entry: str
    gap: Span | None
    """Where records may have been finished behind the cursor."""
    ahead: Span | None
    """From the cursor to the newest record of the listing."""
    snapshot: Snapshot | None = None
    """None for attachments, which listings hide."""


@frozen
class Snapshot:
    """What a listing tells of an entry."""

    oldest: int
    newest: int
    count: int
    """Records, those that are still being written included."""
    size: int


@define
class _Position:
    floor: int
    """Where the subscription began; nothing before it is read, whatever the overlap."""
    cursor: int
    hold: int
    """Where the gap begins: everything from the floor to here is read."""
    accounted: int | None = None
    """How many records of the entry are read or lie before the floor; None if not known."""
    snapshot: Snapshot | None = None
    known: set[int] = field(factory=set)
    """Timestamps from `hold` on that were read."""
    read: int = 0
    """How many records were read in all."""
    bound: int = 2 * GAP_RECORDS
    """How many of them are kept at most."""
    since: float | None = None
    """When the present gap was first seen, in monotonic seconds."""
    trusted_at: float = 0.0
    """From when on, in monotonic seconds, the number of records tells of gaps."""
    pause: float = 0.0
    due_at: float = 0.0

    def know(self, timestamp: int) -> None:
        """Note that a record exists whole."""
        if timestamp not in self.known:
            self.known.add(timestamp)
            self.read += 1
            if self.accounted is not None:
                self.accounted += 1

    def forget(self, before: int) -> None:
        """Forget timestamps, where no gap will be searched."""
        self.hold = before
        self.known = {timestamp for timestamp in self.known if timestamp >= before}


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
        for name in patterns:
            if not names.is_pattern(name):
                self._position(name)

    @property
    def cursors(self) -> dict[str, int]:
        """The first timestamp that is still to be read, by entry, in microseconds."""
        known = {name: position.cursor for name, position in self._positions.items()}
        return {**self._checkpoint, **known}

    def looks(self, info: models.BucketFullInfo, now: float) -> list[Look]:
        """Return what to read, given the bucket's listing and the monotonic time."""
        listed = [
            self._look(entry, now)
            for entry in info.entries
            if entry.status == models.Status.READY and matches(self._patterns, entry.name)
        ]
        hidden = [
            Look(name, None, Span(self._position(name).cursor, MAX_US))
            for name in self._patterns
            if names.is_meta(name) and matches(self._patterns, name)
        ]
        return [look for look in listed if look is not None] + hidden

    def _look(self, entry: models.EntryInfo, now: float) -> Look | None:
        if not entry.record_count:
            return None
        position = self._position(entry.name)
        snapshot = Snapshot(
            entry.oldest_record, entry.latest_record, entry.record_count, entry.size
        )
        is_ahead = snapshot.newest >= position.cursor
        searching = position.since is not None
        has_news = snapshot != position.snapshot and (is_ahead or self._overlap > 0)
        if not has_news and not (searching and now >= position.due_at):
            if not searching and not is_ahead:
                # Removed, or written behind the cursor, which only an overlap reads.
                position.accounted = snapshot.count
            return None
        gap = Span(self._gap_start(position, searching), position.cursor)
        ahead = Span(position.cursor, min(snapshot.newest + 1, MAX_US)) if is_ahead else None
        return Look(entry.name, gap if gap.start < gap.stop else None, ahead, snapshot)

    def _position(self, entry: str) -> _Position:
        if entry not in self._positions:
            start = self._checkpoint.get(entry, self._start)
            self._positions[entry] = _Position(floor=start, cursor=start, hold=start)
        return self._positions[entry]

    def _gap_start(self, position: _Position, searching: bool) -> int:
        hold = position.hold if searching else position.cursor
        return max(position.floor, min(hold, position.cursor - self._overlap))

    def late(self, look: Look, timestamps: Iterable[int]) -> set[int]:
        """Return those timestamps, all there are in the gap, that were not read before."""
        return set(timestamps) - self._positions[look.entry].known

    def know(self, look: Look, timestamps: Iterable[int]) -> None:
        """Note records that exist whole, whether a condition lets them by or not."""
        position = self._positions[look.entry]
        for timestamp in timestamps:
            position.know(timestamp)
            self._bound(position)

    def passed(self, entry: str, timestamp: int) -> None:
        """Move the cursor beyond a record that came."""
        position = self._position(entry)
        position.know(timestamp)
        position.cursor = max(position.cursor, timestamp + 1)
        self._bound(position)

    def _bound(self, position: _Position) -> None:
        """Keep memory small: gaps are searched among the newest records, and in the overlap."""
        if len(position.known) > position.bound:
            newest = sorted(position.known)[-GAP_RECORDS]
            position.forget(max(position.hold, min(newest, position.cursor - self._overlap)))
            position.bound = 2 * max(len(position.known), GAP_RECORDS)

    def settle(self, look: Look, now: float) -> None:
        """Note that everything of `look` was read, and whether it leaves a gap."""
        position = self._positions[look.entry]
        position.cursor = max(position.cursor, max(position.known, default=-1) + 1)
        if look.snapshot is None:
            return position.forget(position.cursor)
        before, position.snapshot = position.snapshot, look.snapshot
        unfinished = look.snapshot.newest >= position.cursor
        count = look.snapshot.count
        if position.accounted is None and position.floor <= look.snapshot.oldest:
            position.accounted = position.read
        if position.accounted is None or position.accounted > count:
            # Where records lie before the floor, or were removed, the number tells nothing of
            # what is unfinished now.
            position.accounted = count - unfinished
            position.trusted_at = now + DOUBT_SECONDS if look.ahead else now
        complete = position.accounted == count and now >= position.trusted_at
        if before is not None and _has_grown(before, look.snapshot):
            # Something began, so what is missing now may have begun only now.
            position.since = None
        given_up = position.since is not None and now - position.since > GAP_SECONDS
        if complete or given_up:
            position.accounted = count
            position.forget(max(position.floor, position.cursor - self._overlap))
            position.since = None
        if complete and not unfinished:
            position.pause = 0.0
        elif not given_up or unfinished:
            position.since = now if position.since is None else position.since
            position.pause = min(max(2 * position.pause, FIRST_PAUSE), LONGEST_PAUSE)
            position.due_at = now + position.pause
        return None

    def broken(self, look: Look, now: float) -> None:
        """Note that `look` was not read to its end: it is begun anew from the cursor."""
        position = self._positions[look.entry]
        unread = {timestamp for timestamp in position.known if timestamp >= position.cursor}
        position.known -= unread
        position.read -= len(unread)
        position.accounted = None
        position.since, position.due_at = now, now


def _has_grown(before: Snapshot, now: Snapshot) -> bool:
    return now.count > before.count or now.newest > before.newest


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
