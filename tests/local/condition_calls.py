"""What the tests of conditions share: records, and evaluation in one line."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from reduct_local.conditions import Evaluation, parse_condition
from reduct_local.conditions.nodes import LimitReachedError
from reduct_local.conditions.parser import parse_nodes
from reduct_local.conditions.values import Value
from reduct_local.errors import ApiError


@dataclasses.dataclass
class Labelled:
    """A record as conditions see it."""

    timestamp: int = 0
    labels: dict[str, str] = dataclasses.field(default_factory=dict)


def value(
    expression: dict[str, Any] | str, labels: Mapping[str, str] = {}, timestamp: int = 0
) -> Value:
    """Return the value of an expression for a record."""
    (build,) = parse_nodes(expression)
    return build()(Labelled(timestamp, dict(labels)))


def fails(
    expression: dict[str, Any] | str, labels: Mapping[str, str] = {}, timestamp: int = 0
) -> int:
    """Return the status of the error that an expression ends with for a record."""
    with pytest.raises(ApiError) as caught:
        value(expression, labels, timestamp)
    return caught.value.status


def refused(when: object) -> int:
    """Return the status with which a condition is refused."""
    with pytest.raises(ApiError) as caught:
        parse_condition(when)
    return caught.value.status


def selected(
    when: object, records: Iterable[Labelled], *, strict: bool = False
) -> list[Labelled | str]:
    """Return what a condition selects of records, with "end" at a `$limit`."""
    evaluation: Evaluation[Labelled] = parse_condition(when).start(strict=strict)
    found: list[Labelled | str] = []
    for record in records:
        chosen = evaluation.select(record)
        if chosen is None:
            return [*found, "end"]
        found += chosen
    return found


def matching(when: object, timestamps: Iterable[int]) -> list[int | str]:
    """Return the timestamps that a condition selects, with "end" at a `$limit`."""
    records = [Labelled(timestamp) for timestamp in timestamps]
    return [r if isinstance(r, str) else r.timestamp for r in selected(when, records)]


__all__ = [
    "Labelled",
    "LimitReachedError",
    "fails",
    "matching",
    "refused",
    "selected",
    "value",
]
