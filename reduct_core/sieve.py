"""The older filters of a query, applied by the client to the records that come.

The server ignores `include`, `exclude`, `limit`, `each_n` and `each_s` since 1.21, and its
conditions re-type label text (`010` counts as 10), so only the client can select exactly.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from attrs import define, field, frozen

from . import labels as label_codec
from .labels import LabelValue


@frozen
class Filters:
    """Which of the records that the server sends reach the user.

    In this order and per entry: `include`, `exclude`, `each_s`, `each_n`; then `limit`, which
    counts the whole result.
    """

    include: Mapping[str, str] = field(factory=dict)
    exclude: Mapping[str, str] = field(factory=dict)
    limit: int | None = None
    each_n: int | None = None
    each_us: int | None = None


NO_FILTERS = Filters()


def make_filters(
    include: Mapping[str, LabelValue] | None,
    exclude: Mapping[str, LabelValue] | None,
    limit: int | None,
    each_n: int | None,
    each_s: float | None,
) -> Filters:
    """Return checked filters; ValueError or TypeError names the argument."""
    return Filters(
        include=_labels(include, "include"),
        exclude=_labels(exclude, "exclude"),
        limit=_count(limit, "limit"),
        each_n=_count(each_n, "each_n"),
        each_us=_seconds(each_s),
    )


def _labels(labels: Mapping[str, Any] | None, name: str) -> Mapping[str, str]:
    if labels is not None and not isinstance(labels, Mapping):
        raise TypeError(f"{name} must be a dict of labels, not {type(labels).__name__}")
    return label_codec.for_write(label_codec.encode(labels))


def _count(value: int | None, name: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}={value!r} must be an int")
    if value < 1:
        raise ValueError(f"{name}={value!r} must be at least 1")
    return int(value)


def _seconds(value: float | None) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(f"each_s={value!r} must be seconds")
    us = round(Fraction(float(value)) * 1_000_000) if 0 < value < 1e12 else 0
    if us < 1:
        raise ValueError(f"each_s={value!r} must be seconds, from 0.000001 to below 1e12")
    return us


@define
class Sieve:
    """Filters with their memory of the records they have seen."""

    filters: Filters
    taken: int = 0
    _kept_at: dict[str, int] = field(factory=dict)
    _seen: dict[str, int] = field(factory=dict)

    @property
    def full(self) -> bool:
        """Whether the limit is reached, so that nothing more needs to be read."""
        return self.filters.limit is not None and self.taken >= self.filters.limit

    def passes(self, entry: str, timestamp: int, labels: Mapping[str, str]) -> bool:
        """Tell whether the next record of `entry` is kept, and remember it."""
        rules = self.filters
        if any(labels.get(name) != value for name, value in rules.include.items()):
            return False
        if rules.exclude and all(labels.get(n) == value for n, value in rules.exclude.items()):
            return False
        if not self._on_time(entry, timestamp) or not self._in_turn(entry):
            return False
        self.taken += 1
        return True

    def _on_time(self, entry: str, timestamp: int) -> bool:
        if self.filters.each_us is None:
            return True
        last = self._kept_at.get(entry)
        if last is not None and timestamp - last < self.filters.each_us:
            return False
        self._kept_at[entry] = timestamp
        return True

    def _in_turn(self, entry: str) -> bool:
        if self.filters.each_n is None:
            return True
        seen = self._seen.get(entry, 0)
        self._seen[entry] = seen + 1
        return seen % self.filters.each_n == 0


# Text that the server takes for what it is: no digit (numbers, durations), and no word that
# it reads as a number or boolean.
_PLAIN = re.compile(r"[A-Za-z_]+")
_TYPED = frozenset({"inf", "infinity", "nan", "true", "false"})


def superset(include: Mapping[str, str]) -> dict[str, Any] | None:
    """Return a condition that every record passing `include` surely meets, else None.

    It only saves bandwidth: the labels must exist, and those whose text the server does not
    re-type must be equal.
    """
    plain = {name: value for name, value in include.items() if _PLAIN.fullmatch(name)}
    if not plain:
        return None
    condition: dict[str, Any] = {"$has": sorted(plain)}
    for name, value in plain.items():
        if _PLAIN.fullmatch(value) and value.lower() not in _TYPED:
            condition[f"&{name}"] = {"$eq": value}
    return condition
