"""Runs queries: starts them, and reads their answers one after the other."""

import time
from collections.abc import Sequence
from contextlib import closing

import httpx

from reduct_api import api
from reduct_core import names
from reduct_core import query as core
from reduct_core.errors import NotFoundError, ReductError
from reduct_core.query import Plan
from reduct_core.sieve import Sieve

from ._flavour import Stream, sleep
from ._io import Io
from .record import AnswerReader, Record


def query(io: Io, plan: Plan) -> Stream[Record]:
    """Yield the records of `plan` that pass its filters."""
    sieve = Sieve(plan.filters)
    with closing(records(io, plan)) as found:
        for record in found:
            if sieve.passes(record.entry, record.timestamp, record.labels):
                yield record
                if sieve.full:
                    return


def records(io: Io, plan: Plan) -> Stream[Record]:
    """Yield what the server selects for `plan`.

    A query that the server lost on the way is begun anew behind the last record, where its
    order and conditions allow it.
    """
    rest = plan
    while True:
        last: int | None = None
        try:
            with closing(_records(io, rest)) as found:
                for record in found:
                    last = record.timestamp
                    yield record
            return
        except ReductError as error:
            rest = core.resumed(rest, last, error)


def _records(io: Io, plan: Plan) -> Stream[Record]:
    query_id = _start(io, plan)
    ended = query_id is None
    empty = 0
    while query_id is not None and not ended:
        began = time.monotonic()
        response = _next_answer(io, plan, query_id)
        seconds = time.monotonic() - began
        try:
            answer = core.parse_answer(plan, response)
            reader = AnswerReader(response, answer)
            with closing(reader.heads() if plan.head else reader.records()) as found:
                for record in found:
                    yield record
        finally:
            response.close()
        ended = answer.last
        empty = core.empty_in_a_row(answer, empty, seconds)
        if empty and not ended:
            sleep(core.pause_after_empty(plan, empty))


def check_patterns(io: Io, bucket: str, entries: Sequence[str]) -> None:
    """Refuse patterns that an older server would take for something else."""
    if not any(names.is_path_pattern(entry) for entry in entries):
        return
    if io.session.api_version is None:
        io.send(api.buckets.head_bucket.build_request(bucket))
    core.check_patterns(entries, io.session.api_version)


def _start(io: Io, plan: Plan) -> int | None:
    """Return the id of the started query; None if its entry does not exist."""
    if not plan.entries:
        return None
    check_patterns(io, plan.bucket, plan.entries)
    if plan.single is None and plan.missing != "ignore":
        listed = io.send(api.buckets.get_bucket.build_request(plan.bucket))
        core.report_missing(plan, core.absent(plan, [entry.name for entry in listed.entries]))
    try:
        return core.query_id(io.send(core.create(plan, io.enter()), repeatable=True))
    except NotFoundError:
        if plan.single is None:
            raise
    # The bucket or the entry is missing: the first is an error, the second is for the caller.
    io.send(api.buckets.head_bucket.build_request(plan.bucket))
    core.report_missing(plan, [plan.single])
    return None


def _next_answer(io: Io, plan: Plan, query_id: int) -> httpx.Response:
    try:
        return io.open(core.next_answer(plan, query_id), repeatable=False)
    except NotFoundError as error:
        raise core.explain(error, plan) from error
