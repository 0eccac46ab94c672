"""Removals by query: what is asked, and what the answer means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reduct_api import models

from . import conditions, errors, names
from .conditions import Condition
from .gates import Claim, Mode, bucket_claims, entry_claims
from .query import bounds, flag
from .times import TimestampLike


def remove_body(
    entries: object,
    start: TimestampLike | None,
    stop: TimestampLike | None,
    when: Condition | None,
    *,
    strict: bool | None,
    ext: Any,
    everything: bool,
) -> models.QueryEntry:
    """Return the body of a removal; ValueError if it could remove more than was meant."""
    selected = names.entry_list(entries)
    if not selected:
        raise ValueError("entries must not be empty: the server would take every entry")
    if ext is not None:
        raise ValueError("ext: the server ignores extensions in removals; use when=")
    conditions.check(when, selected)
    restricted = start is not None or stop is not None or conditions.restricts(when)
    if restricted and everything:
        raise ValueError("everything=True contradicts start=, stop= and when=; leave one out")
    if not restricted and not everything:
        raise ValueError(
            "this would remove all records of the entries; pass everything=True if that is meant,"
            " or start=, stop= or when="
        )
    begin, end = bounds(start, stop)
    return models.QueryEntry(
        query_type=models.QueryType.REMOVE,
        entries=list(selected),
        start=begin,
        stop=end,
        when=when,
        strict=flag(strict, "strict"),
    )


def refuse_filters(**filters: object) -> None:
    """Raise TypeError for filters that a removal cannot have, naming the cure."""
    given = [f"{name}=" for name, value in filters.items() if value is not None]
    if given:
        raise TypeError(
            f"remove_query() cannot take {', '.join(given)}: the server would ignore it and remove"
            " more; query() with it, then remove what came by remove_batch(), or use when="
        )


def removed_records(answer: models.QueryId | models.RemovedRecords) -> int:
    """Return how many records a removal removed."""
    if not isinstance(answer, models.RemovedRecords):
        raise errors.ProtocolError(200, "the answer to a removal has no number of records")
    return answer.removed_records


def remove_claims(bucket: str, entries: Sequence[str]) -> Sequence[Claim]:
    """Return what a removal by query claims: its entries, or the bucket for patterns."""
    if any(names.is_pattern(entry) for entry in entries):
        return bucket_claims(bucket)
    return entry_claims(bucket, entries, Mode.REMOVE)
