"""What became of the records that were given to a writer."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from attrs import define, field, frozen

from .errors import NO_ANSWER, ReductError
from .writes import RecordKey

NAMED = 10
"""How many failed records the text of a WriteError names; the exception holds them all."""


@frozen
class FailedRecord:
    """A record that is not stored, or perhaps not, and why."""

    entry: str
    timestamp: int
    """Microseconds since 1970-01-01 UTC."""
    error: ReductError
    """Without an answer of the server (``status_code`` -1) the record may be stored."""


OnError: TypeAlias = Callable[[FailedRecord], object]
"""Takes failed records one by one, instead of one exception for all of them."""


@frozen(kw_only=True)
class WriteReport:
    """What became of every record that a writer accepted; none is missing here."""

    stored: int = 0
    """How many are stored."""
    failed: Sequence[FailedRecord] = ()
    """Those that failed and were not given to `on_error`."""
    handled: int = 0
    """How many failed and were given to `on_error`."""
    unsent: Sequence[RecordKey] = ()
    """Entry and timestamp of those that were never sent, because the writer ended before."""
    replaced: int = 0
    """How many gave way to a later one of the same time (``on_duplicate="replace"``)."""
    pending: int = 0
    """How many are still on their way; 0 when the writer has ended."""

    def __str__(self) -> str:
        others = {
            "failed": len(self.failed) + self.handled,
            "not sent": len(self.unsent),
            "replaced": self.replaced,
            "pending": self.pending,
        }
        parts = [f"{count} {what}" for what, count in others.items() if count]
        return ", ".join([f"{self.stored} records stored", *parts])


class WriteError(ReductError):
    """Records that a writer accepted are not stored; `report` tells which, and why.

    ``status_code`` is that of the first failed record. What ended the writer, or the first
    record's error, is the cause.
    """

    def __init__(self, status_code: int, message: str, report: WriteReport | None = None):
        super().__init__(status_code, message)
        self.report = report or WriteReport()

    @property
    def failed(self) -> Sequence[FailedRecord]:
        """The failed records, each with its error."""
        return self.report.failed


@define
class Account:
    """Counts what becomes of records."""

    stored: int = 0
    handled: int = 0
    replaced: int = 0
    failed: list[FailedRecord] = field(factory=list)
    unsent: list[RecordKey] = field(factory=list)
    raised: int = 0
    """How many of `failed` were raised."""

    def settle(self, records: int, failed: Sequence[FailedRecord], handled: int) -> None:
        """Note that of so many records some failed, and the others are stored.

        The first `handled` ones of those that failed were given to `on_error`.
        """
        self.stored += records - len(failed)
        self.handled += handled
        self.failed += failed[handled:]

    def report(self, pending: int) -> WriteReport:
        """Return the state of the account."""
        return WriteReport(
            stored=self.stored,
            failed=tuple(self.failed),
            handled=self.handled,
            unsent=tuple(self.unsent),
            replaced=self.replaced,
            pending=pending,
        )

    @property
    def is_due(self) -> bool:
        """Whether something is to be raised that was not raised before."""
        return bool(self.unsent) or len(self.failed) > self.raised

    def error(self, pending: int, ended_by: ReductError | None) -> WriteError:
        """Return the exception that names the failed records that no other named before."""
        named, self.raised = self.failed[self.raised :], len(self.failed)
        first = named[0].error if named else ended_by
        report = self.report(pending)
        parts = [str(report)]
        parts += [
            f"entry {one.entry!r}, time {one.timestamp}: {one.error}" for one in named[:NAMED]
        ]
        if len(named) > NAMED:
            parts.append(f"and {len(named) - NAMED} more, see `failed` of this exception")
        if ended_by is not None:
            parts.append(f"the writer was ended by: {ended_by}")
        error = WriteError(first.status_code if first else NO_ANSWER, "; ".join(parts), report)
        error.__cause__ = ended_by or first
        return error
