"""Many single records, written or read: what the user may give, and rounds of reads."""

import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from attrs import frozen

from . import errors, names
from .labels import LabelValue
from .missing import Missing, check_missing, users_level
from .record_info import RecordInfo
from .times import TimestampLike, to_us

READERS = 8
"""How many records are read side by side."""

ROUND_BYTES = 32 * 1024 * 1024
"""Payload after which no more records are read before those are handed out."""

READS_EACH = 8
"""How many records each reader gets in a round, once the first rounds are over."""

NewRecord: TypeAlias = RecordInfo | tuple[Any, ...]
"""A record of a query, or (entry, data, timestamp, labels, content_type) of which the last three
may be left out.
"""


@frozen
class Given:
    """A record to write."""

    entry: str
    data: Any
    timestamp: TimestampLike | None = None
    labels: dict[str, LabelValue] | None = None
    content_type: str | None = None


def given(record: NewRecord) -> Given:
    """Return what the user gave as a record to write; TypeError for anything else.

    The payload of a record of a query is not known here.
    """
    if isinstance(record, RecordInfo):
        return Given(record.entry, b"", record.timestamp, dict(record.labels), record.content_type)
    if isinstance(record, tuple) and 2 <= len(record) <= 5:  # type: ignore[redundant-expr]
        return Given(*record)
    raise TypeError(
        "a record to write must be a record of a query, or a tuple of entry and data, with"
        f" timestamp, labels and content_type if wanted, not {type(record).__name__}"
    )


Place: TypeAlias = tuple[str, int | None]
"""Entry and timestamp of a record; None is the latest one."""


def places(
    wanted: Iterable[tuple[str, TimestampLike | None]], concurrency: object, missing: Missing
) -> Sequence[Place]:
    """Return the checked arguments of a read of many records."""
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
        raise ValueError(f"concurrency={concurrency!r} must be an int of at least 1")
    check_missing(missing)
    return [
        (names.entry(entry), None if us is None else to_us(us, "timestamp")) for entry, us in wanted
    ]


R = TypeVar("R", bound=RecordInfo)


class Round(Generic[R]):
    """Records that are read side by side, and handed out in order when all are there.

    May be used from several threads.
    """

    def __init__(self, wanted: Sequence[Place], missing: Missing):
        self._wanted = wanted
        self._missing = missing
        self._lock = threading.Lock()
        self._bytes = 0
        self._failed = False
        self._found: dict[int, R | Exception] = {}
        self.taken = 0
        """How many places were given out."""

    def next(self) -> tuple[int, Place] | None:
        """Return the number of the next record and which it is; None at the end of the round."""
        with self._lock:
            full = self._failed or self._bytes >= ROUND_BYTES
            if full or self.taken == len(self._wanted):
                return None
            self.taken += 1
            return self.taken - 1, self._wanted[self.taken - 1]

    def put(self, number: int, found: R | Exception) -> None:
        """Take a record, or what came instead."""
        with self._lock:
            self._found[number] = found
            if not isinstance(found, Exception):
                self._bytes += found.size
            elif not (isinstance(found, errors.NotFoundError) and self._missing != "raise"):
                self._failed = True

    def records(self) -> Iterator[R]:
        """Yield the records in order; an error comes in the place of its record."""
        for number in range(self.taken):
            found = self._found.pop(number)
            if not isinstance(found, Exception):
                yield found
                continue
            error = _named(found, self._wanted[number])
            if not isinstance(found, errors.NotFoundError) or self._missing == "raise":
                raise error
            if self._missing == "warn":
                warnings.warn(str(error), stacklevel=users_level())


def _named(error: Exception, place: Place) -> Exception:
    """Return an error that names the record."""
    which = f"record {place[1]} of entry {place[0]!r}"
    if place[1] is None:
        which = f"the latest record of entry {place[0]!r}"
    if not isinstance(error, errors.NotFoundError):
        error.add_note(f"It came when reading {which}.")
        return error
    named = errors.NotFoundError(
        error.status_code, f"{error.message} ({which})", method=error.method, path=error.path
    )
    named.__cause__ = error
    return named
