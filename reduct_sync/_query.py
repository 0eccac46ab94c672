"""Runs queries: starts them, and reads their answers one after the other."""

import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial

from reduct_api import api
from reduct_core import missing, names
from reduct_core import query as core
from reduct_core.errors import NotFoundError, ReductError
from reduct_core.merge import take_ready
from reduct_core.own_writes import Since
from reduct_core.query import Plan
from reduct_core.sieve import NO_FILTERS, Sieve

from ._flavour import Stream, sleep
from ._io import Early, Io
from ._transport import Transport
from .record import AnswerReader, Record


def query(io: Io, plan: Plan) -> Stream[Record]:
    """Yield the records of `plan` that pass its filters."""
    sieve = Sieve(plan.filters) if plan.filters != NO_FILTERS else None
    reading = _reading(io, plan)
    try:
        while found := reading.next_records():
            for record in found:
                if sieve is None:
                    yield record
                elif sieve.passes(record.entry, record.timestamp, record.labels):
                    yield record
                    if sieve.full:
                        return
    finally:
        reading.close()


def _reading(io: Io, plan: Plan) -> "Reading | Merged":
    parts = core.parts(plan) if isinstance(io.enter(), Transport) else []
    return Merged(io, plan, parts) if parts else Reading(io, plan)


def records(io: Io, plan: Plan) -> Stream[Record]:
    """Yield what the server selects for `plan`."""
    with closing(query(io, core.unfiltered(plan))) as found:
        for record in found:
            yield record


def check_patterns(io: Io, bucket: str, entries: Sequence[str]) -> None:
    """Refuse patterns that an older server would take for something else."""
    if not any(names.is_path_pattern(entry) for entry in entries):
        return
    if io.session.api_version is None:
        io.send(api.buckets.head_bucket.build_request(bucket))
    core.check_patterns(entries, io.session.api_version)


class Reading:
    """One query of the server, read answer by answer.

    A query that the server lost on the way is begun anew behind the last record, where its
    order and conditions allow it.
    """

    def __init__(self, io: Io, plan: Plan):
        self._io = io
        self._plan = plan
        self._id: int | None = None
        self._starting: Early | None = None
        self._started = False
        self._ended = False
        self._early: Early | None = None
        self._reader: AnswerReader | None = None
        self._removals = 0
        self._since: Since | None = None
        self._anew = False
        self._empty = 0
        self._last: int | None = None

    @property
    def finished(self) -> bool:
        """Whether it is known that no more records come."""
        return self._ended and (self._reader is None or self._reader.done)

    def begin(self) -> None:
        """Have the server start the query, without waiting for it."""
        self._starting = self._io.begin(core.create(self._plan, self._io.enter()))

    def start(self) -> None:
        """Start the query."""
        if self._since is None and self._plan.single is not None:
            self._since = self._io.own_writes.watch(self._plan.bucket, self._plan.single)
        early, self._starting = self._starting, None
        self._removals = self._io.removals(self._plan.bucket, self._plan.single or "")
        self._id = _start(self._io, self._plan, early)
        self._started, self._ended = True, self._id is None
        self._ask_early()

    def next_records(self) -> list[Record]:
        """Return the next records, in the order of time; an empty list at the end."""
        while True:
            try:
                found = self._next_records()
            except ReductError as error:
                self._drop()
                self._restart(core.resumed(self._plan, self._last, error))
                self._last = None
                continue
            if not found:
                return found
            self._last = found[-1].timestamp
            if self._anew and self._since is not None:
                found = [one for one in found if one.timestamp not in self._since.times]
            if found:
                return found

    def close(self) -> None:
        """Give the connections back; what is unread is lost."""
        if self._since is not None:
            self._io.own_writes.forget(self._since)
        self._drop()

    def _drop(self) -> None:
        reader, self._reader = self._reader, None
        for early in (self._starting, self._early):
            if early is not None:
                early.close()
        self._starting = self._early = None
        if reader is not None:
            reader.close()

    def _next_records(self) -> list[Record]:
        while True:
            if not self._started:
                self.start()
            if self._reader is not None:
                self._reader.receive()
                self._ask_early()
                if found := self._reader.take():
                    return found
                self._reader.close()
                self._reader = None
            if self._ended:
                return []
            if not self._begin_anew():
                self._next_answer()

    def _begin_anew(self) -> bool:
        """End a query whose records were removed in part, if the rest can be asked for anew."""
        if self._removals == self._io.removals(self._plan.bucket, self._plan.single or ""):
            return False
        following = self._plan if self._last is None else core.rest(self._plan, self._last)
        if following is None:
            return False
        self._drop()
        self._restart(following)
        return True

    def _restart(self, plan: Plan) -> None:
        self._plan, self._anew = plan, True
        self._started = self._ended = False

    def _ask_early(self) -> None:
        """Have the server work on the next answer while the user works on this one."""
        reads = self._early is not None or (self._reader is not None and not self._reader.done)
        if not reads and self._id is not None and not self._ended and self._plan.prefetch:
            self._early = self._io.begin(core.next_answer(self._plan, self._id))

    def _next_answer(self) -> None:
        assert self._id is not None
        early, self._early = self._early, None
        began = time.monotonic() if early is None else early.began
        spec = core.next_answer(self._plan, self._id)
        try:
            response = self._io.open(spec, repeatable=False, early=early)
        except NotFoundError as error:
            raise core.explain(error, self._plan) from error
        parse = partial(core.parse_answer, self._plan)
        self._reader = AnswerReader.of(response, parse, head=self._plan.head)
        answer = self._reader.answer
        self._ended = answer.last
        self._empty = core.empty_in_a_row(answer, self._empty, time.monotonic() - began)
        if self._empty and not self._ended:
            sleep(core.pause_after_empty(self._plan, self._empty))


class Merged:
    """Several queries, each over one entry, whose records come in the order of time."""

    def __init__(self, io: Io, plan: Plan, parts: Sequence[Plan]):
        """`parts` together select what `plan` does."""
        self._io = io
        self._plan = plan
        self._readings = [Reading(io, part) for part in parts]
        self._waiting: list[list[Record]] = [[] for _ in parts]
        self._started = False

    def next_records(self) -> list[Record]:
        """Return the next records, in the order of time; an empty list at the end."""
        if not self._started:
            self._start()
        for reading, found in zip(self._readings, self._waiting, strict=True):
            if not found:
                found += reading.next_records()
                if found:
                    found[-1].last = False
        ready = take_ready(self._waiting)
        if ready and not any(self._waiting):
            ready[-1].last = all(reading.finished for reading in self._readings)
        return ready

    def close(self) -> None:
        """Give the connections back; what is unread is lost."""
        for reading in self._readings:
            reading.close()

    def _start(self) -> None:
        _check_entries(self._io, self._plan)
        for reading in self._readings:
            reading.begin()
        for reading in self._readings:
            reading.start()
        self._started = True


def _check_entries(io: Io, plan: Plan) -> None:
    """Tell of exact names that do not exist, if the query asks for it."""
    if plan.missing != "ignore":
        listed = io.send(api.buckets.get_bucket.build_request(plan.bucket))
        absent = missing.absent(plan.exact, [entry.name for entry in listed.entries])
        missing.report(plan.bucket, absent, plan.missing)


def _start(io: Io, plan: Plan, early: Early | None) -> int | None:
    """Return the id of the started query; None if its entry does not exist."""
    if not plan.entries:
        return None
    check_patterns(io, plan.bucket, plan.entries)
    if plan.single is None:
        _check_entries(io, plan)
    spec = core.create(plan, io.enter())
    try:
        return core.query_id(io.send(spec, repeatable=True, early=early))
    except NotFoundError:
        if plan.single is None:
            raise
    # The bucket or the entry is missing: the first is an error, the second is for the caller.
    io.send(api.buckets.head_bucket.build_request(plan.bucket))
    missing.report(plan.bucket, [plan.single], plan.missing)
    return None
