"""Single records: the request that reads one, and what its answer means."""

from __future__ import annotations

import httpx

from reduct_api import api, models
from reduct_api.types import StreamSpec

from . import errors, messages
from .headers import Answer, single_head
from .query import Plan
from .sieve import NO_FILTERS
from .times import MAX_US


def request(bucket: str, entry: str, timestamp: int | None, head: bool) -> StreamSpec:
    """Return the request for the record at `timestamp`, or for the latest one."""
    if head:
        return api.records.head_record.build_request(bucket, entry, ts=timestamp)
    return api.records.read_record.build_request(bucket, entry, ts=timestamp)


def answer(response: httpx.Response, entry: str) -> Answer:
    """Return the head of the one record that `response` holds; ProtocolError if it has none."""
    errors.check_status(response, 200)
    with errors.parsing(response):
        return Answer((single_head(messages.lines(response), entry),), True)


def by_query(bucket: str, entry: str, timestamp: int | None, head: bool) -> Plan:
    """Return a query for one record, for entries that the single-record call cannot reach.

    Raises ValueError without a timestamp: a query has no way to ask for the latest record.
    """
    if timestamp is None:
        raise ValueError(
            f"the latest record of entry {entry!r} cannot be asked for, because the server's"
            " routes take the name for another call; pass timestamp="
        )
    return _plan(bucket, entry, timestamp, min(timestamp + 1, MAX_US), head)


def not_found(bucket: str, entry: str, timestamp: int | None) -> errors.ReductError:
    """Return the error for a record that does not exist."""
    return errors.for_status(
        404, f"no record with timestamp {timestamp} in entry {entry!r} of bucket {bucket!r}"
    )


def attachments(bucket: str, meta: str, *, head: bool) -> Plan:
    """Return the query for all attachments of an entry; `meta` holds them."""
    return _plan(bucket, meta, 0, MAX_US, head)


def _plan(bucket: str, entry: str, start: int, stop: int, head: bool) -> Plan:
    body = models.QueryEntry(query_type=models.QueryType.QUERY, start=start, stop=stop)
    return Plan(bucket, [entry], body, head, NO_FILTERS, "ignore")
