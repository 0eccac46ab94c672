"""Queries: what is asked, by which protocol, and what an answer means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from attrs import evolve, frozen

from reduct_api import api, models
from reduct_api.types import RequestSpec, StreamSpec

from . import conditions, errors, messages, names
from .conditions import Condition
from .headers import Answer, parse_v1, parse_v2
from .http1 import MAX_HEAD_BYTES
from .missing import Missing, check_missing
from .sieve import NO_FILTERS, Filters, superset
from .times import MAX_US, TimestampLike, optional_us

TTL_SECONDS = 600
"""How long the server keeps a query between two answers, if not told otherwise.

Its own 60 s are shorter than many loops need for the records of one answer.
"""

HEAD_BYTES = 60_000
"""Bytes of record heads in one answer. httpx's transports take heads of 100 KiB; the rest is
room for what the server does not count: one more record, names of entries and labels."""

LARGE_HEAD_BYTES = 450_000
"""The same for transports that take heads of 1 MiB. The server itself gives 512,000 at most."""

SMALLER_HEADS = (HEAD_BYTES, 6_000)
"""What is asked for, one after the other, where a head did not come through: proxies take 64,
32 or 8 KiB."""

FEWER_RECORDS = 70
"""Records in an answer then: proxies take 100 header lines."""

MAX_EMPTY_ANSWERS = 1000
"""Empty answers in a row, each at once, after which a query is given up."""

AT_ONCE_SECONDS = 0.05

BATCH_BYTES = 4_000_000
"""Bytes of payloads in the answers that a query works on, which several queries that are merged
share. The next answer may be on its way meanwhile, and one record may exceed it."""

MERGED_ENTRIES = 16
"""So many exact entries are read by queries of their own, whose records are merged."""

V1_RECORDS = 1_000
"""Records in one answer of protocol v1: 15 to 20 % faster than 500. More are not faster, and the
first record comes with all others of its answer."""


@frozen
class Plan:
    """A checked query over one bucket."""

    bucket: str
    entries: Sequence[str]
    body: models.QueryEntry
    head: bool
    filters: Filters
    missing: Missing
    prefetch: bool = True
    """Whether the next answer is asked for before the records of this one are handed out."""
    share: int = 1
    """How many queries share the byte budget."""
    heads: int | None = None
    """Bytes of record heads to ask for after larger ones did not come through."""

    @property
    def single(self) -> str | None:
        """The entry, if it is one exact name: then batch protocol v1 reads it, else v2."""
        if len(self.entries) == 1 and not names.is_pattern(self.entries[0]):
            return self.entries[0]
        return None

    @property
    def exact(self) -> Sequence[str]:
        """The names that are no patterns."""
        return [entry for entry in self.entries if not names.is_pattern(entry)]


def make_plan(
    bucket: str,
    entries: object,
    start: TimestampLike | None,
    stop: TimestampLike | None,
    ttl: float | None,
    when: Condition | None,
    *,
    strict: bool | None,
    ext: Any,
    head: bool = False,
    filters: Filters = NO_FILTERS,
    missing: Missing = "ignore",
    prefetch: bool = True,
) -> Plan:
    """Return a checked query; ValueError or TypeError names the argument."""
    selected = names.entry_list(entries)
    check_missing(missing)
    conditions.check(when, selected)
    conditions.check_ext(ext)
    if when is None and ext is None:
        when = superset(filters.include)
    begin, end = bounds(start, stop)
    body = models.QueryEntry(
        query_type=models.QueryType.QUERY,
        entries=list(selected),
        start=begin,
        stop=end,
        ttl=_ttl(ttl),
        when=when,
        strict=flag(strict, "strict"),
        ext=ext,
    )
    # What comes after the last record that is wanted would be read in vain.
    early = bool(prefetch) and filters.limit is None
    return Plan(bucket, selected, body, bool(head), filters, missing, early)


def parts(plan: Plan) -> list[Plan]:
    """Return queries, each over one entry, that together are the same as `plan`, and faster.

    Without payloads 4 times, with small ones twice (measured, 8 entries). None where that
    cannot be: with patterns, with extensions, and where an answer cannot be limited.
    """
    entries = list(dict.fromkeys(plan.entries))
    unlimited = plan.body.when is not None and not isinstance(plan.body.when, Mapping)
    if not 1 < len(entries) <= MERGED_ENTRIES or len(plan.exact) < len(plan.entries):
        return []
    if plan.body.ext is not None or unlimited:
        return []
    return [
        evolve(
            plan,
            entries=[entry],
            body=evolve(plan.body, entries=[entry]),
            missing="ignore",
            share=len(entries),
        )
        for entry in entries
    ]


def narrowed(plan: Plan, entry: str, start: int, stop: int) -> Plan:
    """Return `plan` over one exact entry and another interval."""
    body = evolve(plan.body, entries=[entry], start=start, stop=stop)
    return evolve(plan, entries=[entry], body=body)


def unfiltered(plan: Plan) -> Plan:
    """Return `plan` without the filters of the client."""
    return evolve(plan, filters=NO_FILTERS)


def metadata(plan: Plan, entry: str, start: int, stop: int) -> Plan:
    """Return a plan for the metadata of all records in an interval that are whole."""
    body = models.QueryEntry(query_type=models.QueryType.QUERY, start=start, stop=stop)
    return evolve(plan, entries=[entry], body=body, head=True)


def bounds(start: TimestampLike | None, stop: TimestampLike | None) -> tuple[int, int]:
    """Return both bounds; the server's own defaults refuse entries that lie outside (T9)."""
    begin, end = optional_us(start, "start", 0), optional_us(stop, "stop", MAX_US)
    if begin > end:
        raise ValueError(f"start={start!r} lies after stop={stop!r}")
    return begin, end


def _ttl(ttl: float | None) -> int:
    if ttl is None:
        return TTL_SECONDS
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)):
        raise TypeError(f"ttl={ttl!r} must be seconds")
    if not 0 < ttl < 2**63:
        raise ValueError(f"ttl={ttl!r} must be seconds above 0")
    return math.ceil(ttl)


def flag(value: bool | None, name: str) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"{name}={value!r} must be True, False or None")
    return value


def head_bytes(transport: object) -> int:
    """Return how many bytes of record heads to ask for in one answer over `transport`.

    An attribute `max_head_bytes` tells the largest head that it takes; others take 100 KiB.
    """
    largest = getattr(transport, "max_head_bytes", None)
    large = isinstance(largest, int) and largest >= MAX_HEAD_BYTES
    return LARGE_HEAD_BYTES if large else HEAD_BYTES


def _limited(when: Any, heads: int, records: int | None, size: int | None = None) -> Any:
    """Return `when` with limits for answers that the transport can take.

    Limits that the user gives stay; a condition that is no object has no place for any.
    """
    if when is not None and not isinstance(when, Mapping):
        return when
    limits: dict[str, Any] = {"#batch_metadata_size": heads}
    if records is not None:
        limits["#batch_records"] = records
    if size is not None:
        limits["#batch_size"] = size
    return {**limits, **(when or {})}


# --- requests and answers ------------------------------------------------------------------


def create(
    plan: Plan, transport: object = None
) -> RequestSpec[models.QueryId | models.RemovedRecords]:
    """Return the request that starts the query, with limits for what `transport` can take."""
    heads = plan.heads or head_bytes(transport)
    fewer = None if plan.heads is None else FEWER_RECORDS
    # HEAD alone leaves payloads out: with `only_metadata` the server takes 3 times as long.
    if plan.single is not None:
        size = BATCH_BYTES // plan.share
        limited = _limited(plan.body.when, heads, fewer or V1_RECORDS, size)
        body = evolve(plan.body, when=limited)
        return api.queries.create_query.build_request(plan.bucket, plan.single, body=body)
    body = evolve(plan.body, when=_limited(plan.body.when, heads, fewer))
    return api.io.io_query.build_request(plan.bucket, body=body)


def query_id(started: models.QueryId | models.RemovedRecords) -> int:
    """Return the id of a query that was started."""
    if not isinstance(started, models.QueryId):
        raise errors.ProtocolError(200, "the answer to a query has no id")
    return started.id


def next_answer(plan: Plan, query_id: int) -> StreamSpec:
    """Return the request for the next answer; metadata alone is asked for by HEAD."""
    if plan.single is not None:
        if plan.head:
            return api.batch.head_batch.build_request(plan.bucket, plan.single, q=query_id)
        return api.batch.read_batch.build_request(plan.bucket, plan.single, q=query_id)
    if plan.head:
        return api.io.io_head.build_request(plan.bucket, x_reduct_query_id=query_id)
    return api.io.io_read.build_request(plan.bucket, x_reduct_query_id=query_id)


def parse_answer(plan: Plan, response: httpx.Response) -> Answer:
    """Return the heads of an answer; no heads and `last` for 204, whatever its headers say.

    Raises ProtocolError for an answer that is not a batch.
    """
    if response.status_code == 204:
        return Answer((), True)
    errors.check_status(response, 200)
    with errors.parsing(response):
        if plan.single is None:
            answer = parse_v2(response.headers.multi_items())
        else:
            answer = parse_v1(messages.lines(response), plan.single)
        announced = messages.field(response, "content-length")
        size = sum([head.size for head in answer.heads])
        if announced is not None and int(announced) != size:
            raise ValueError(f"heads announce {size} bytes, content-length {announced}")
        if not answer.heads and plan.single is not None and not answer.last:
            raise ValueError("a batch without records")
    return answer


def empty_in_a_row(answer: Answer, count: int, seconds: float) -> int:
    """Return how many answers in a row, this one included, came at once with nothing in them.

    The server holds an empty answer back for a while, 5 s unless told otherwise.
    """
    return count + 1 if not answer.heads and seconds < AT_ONCE_SECONDS else 0


def pause_after_empty(plan: Plan, count: int) -> float:
    """Return the seconds to wait after `count` empty answers in a row that came at once.

    They must neither keep the loop busy nor be asked for without end.
    """
    if count >= MAX_EMPTY_ANSWERS:
        raise errors.ProtocolError(
            200, f"the query of {list(plan.entries)} had {count} empty answers in a row"
        )
    return min(0.001 * 2.0 ** min(count, 10), 0.1)


def resumed(plan: Plan, last: int | None, error: errors.ReductError) -> Plan:
    """Return the rest of a query that failed after the record at `last`, or raise `error`.

    The server drops the connection under a query when records of the same block are removed,
    and forgets queries that are not read for long. Records of one entry come in the order of
    time, so the rest is known, unless a condition has a memory.
    """
    smaller = _smaller(plan, error)
    if smaller is not None:
        following = smaller if last is None else rest(smaller, last)
        if following is not None:
            return following
    lost = errors.is_away(error) and not isinstance(error, errors.TimeoutError)
    if not lost and not (error.status_code == 404 and _EXPIRED in error.message):
        raise error
    following = None if last is None else rest(plan, last)
    if following is None:
        if lost and last is not None:
            error.add_note(
                "The server breaks off a query when records are removed under it: collect first,"
                " remove afterwards."
            )
        raise error
    return following


def _smaller(plan: Plan, error: errors.ReductError) -> Plan | None:
    """Return the query with smaller heads, if that may help, and the user did not choose them."""
    when = plan.body.when
    free = when is None or (isinstance(when, Mapping) and "#batch_metadata_size" not in when)
    if not free or not errors.is_head_refused(error):
        return None
    sizes = [size for size in SMALLER_HEADS if plan.heads is None or size < plan.heads]
    return evolve(plan, heads=sizes[0]) if sizes else None


def rest(plan: Plan, last: int) -> Plan | None:
    """Return the query for what follows the record at `last`; None if that is not known."""
    if plan.single is None or plan.body.ext is not None or conditions.is_stateful(plan.body.when):
        return None
    body = evolve(plan.body, start=min(last + 1, plan.body.stop or MAX_US))
    return evolve(plan, body=body)


_EXPIRED = "expired"


def explain(error: errors.NotFoundError, plan: Plan) -> errors.ReductError:
    """Return `error`, with the cure if the server has forgotten the query."""
    if _EXPIRED not in error.message:
        return error
    return errors.for_status(
        error.status_code,
        f"{error.message} (the server forgets a query that is not read for ttl={plan.body.ttl} s,"
        " or after a restart; pass a larger ttl= if the loop is slow)",
        method=error.method,
        path=error.path,
    )


def check_patterns(entries: Sequence[str], version: tuple[int, int] | None) -> None:
    """Raise ReductError for patterns that the server would take for something else."""
    if version is None or version >= (1, 21):
        return
    strange = [entry for entry in entries if names.is_path_pattern(entry)]
    if strange:
        raise errors.ReductError(
            errors.NO_ANSWER,
            f"the patterns {strange} need ReductStore 1.21, the server speaks API"
            f" {version[0]}.{version[1]}, which knows '*' at the end of a name only",
        )
