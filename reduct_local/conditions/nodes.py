"""What a condition is made of: nodes that are parsed once and built for every evaluation."""

from collections.abc import Callable
from typing import Protocol

from reduct_local.conditions.values import Value


class LabelledRecord(Protocol):
    """What a condition looks at."""

    timestamp: int
    labels: dict[str, str]


Evaluate = Callable[[LabelledRecord], Value]
"""The value of a node for a record; operators like `$limit` remember the records before it.

Raises ApiError where the value cannot be found, LimitReachedError at the end of `$limit`.
"""

Build = Callable[[], Evaluate]
"""Starts a node anew: returns it in its first state."""


class LimitReachedError(Exception):
    """`$limit` counted enough records: the query ends for the entry."""


def constant(value: Value) -> Build:
    """Return a node that has always the same value."""

    def evaluate(_record: LabelledRecord) -> Value:
        return value

    return lambda: evaluate
