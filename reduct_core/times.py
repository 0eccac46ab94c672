"""Times: what a user may pass in, and integer microseconds since 1970-01-01 UTC.

Conversions are exact: integers and fractions, never a float in between.
"""

import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol, SupportsFloat, SupportsIndex, TypeAlias

MAX_US = 2**64 - 1
"""The largest time of the API (u64 microseconds); as `stop` it means "to the end"."""

MAX_RECORD_US = MAX_US - 1
"""The largest timestamp of a record: `stop` is exclusive, so no query reaches 2^64-1."""

LAST_SECOND = 253_402_300_799
"""9999-12-31T23:59:59Z; a larger float cannot mean seconds, so it means microseconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


class SupportsDatetime64(Protocol):
    """What numpy.datetime64 looks like to a type checker that does not know numpy."""

    def astype(self, dtype: Any, /) -> Any: ...


TimestampLike: TypeAlias = (
    SupportsIndex | float | SupportsFloat | Decimal | Fraction | str | datetime | SupportsDatetime64
)
"""A time: integer microseconds, fractional seconds, ISO 8601 text, datetime, datetime64."""


def to_us(value: TimestampLike, name: str, *, most: int = MAX_US) -> int:
    """Return `value` as microseconds since 1970-01-01 UTC, 0 to `most`, both included.

    Integers (anything with ``__index__``) are microseconds. Floats, Decimal and Fraction are
    seconds, rounded to the nearest microsecond; above the year 9999 they are microseconds
    (``time.time_ns() / 1000``). A datetime or ISO 8601 text without an offset is local time,
    as Python has it. numpy.datetime64 is UTC.

    Raises TypeError for bool, date and other types, ValueError for NaN, infinity, text that
    is not a time, and values outside the range; both name the argument `name`.

    >>> to_us(1.5, "start"), to_us("1970-01-01T00:00:01Z", "start"), to_us(7, "start")
    (1500000, 1000000, 7)
    """
    if type(value) is int:
        us = value
    else:
        try:
            us = _convert(value, name)
        except (OverflowError, OSError) as exc:
            raise ValueError(f"{name} is outside the supported times: {exc}") from exc
    if not 0 <= us <= most:
        raise ValueError(f"{name} is {_shown(us)} us; the server takes 0 to {most} us")
    return us


def _shown(us: int) -> str:
    return str(us) if abs(us) < 10**30 else "more than 10^30" if us > 0 else "less than -10^30"


def optional_us(value: TimestampLike | None, name: str, default: int) -> int:
    """Return `value` in microseconds, or `default` where it is None; 0 is a time."""
    return default if value is None else to_us(value, name)


def _convert(value: Any, name: str) -> int:
    if isinstance(value, datetime):
        return _from_datetime(value, name)
    if isinstance(value, str):
        return _from_text(value, name)
    kind = _numpy_kind(value)
    if kind == "M":
        return _from_datetime64(value, name)
    if isinstance(value, (bool, date)) or kind not in "iuf":
        raise _not_a_time(value, name)
    if hasattr(value, "__index__"):
        return int(value.__index__())
    if isinstance(value, (Decimal, Fraction)) or hasattr(value, "__float__"):
        return _from_seconds(value, name)
    raise _not_a_time(value, name)


def _not_a_time(value: object, name: str) -> TypeError:
    return TypeError(
        f"{name} must be microseconds (int), seconds (float), a datetime or ISO 8601 text,"
        f" not {type(value).__name__}"
    )


def _numpy_kind(value: Any) -> str:
    """Return numpy's letter for a scalar of its own, "?" for an array, "" for all else."""
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return ""
    kind = getattr(dtype, "kind", "")
    return str(kind) if getattr(value, "shape", None) == () else "?"


def _from_datetime(value: datetime, name: str) -> int:
    if value != value:
        raise ValueError(f"{name} is NaT, not a time")
    if value.tzinfo is None:
        # Taken apart, because subclasses (pandas) refuse to treat it as local time.
        day = (value.year, value.month, value.day)
        clock = (value.hour, value.minute, value.second, value.microsecond)
        value = datetime(*day, *clock, fold=value.fold)
    return _since_epoch(value, name)


def _since_epoch(moment: datetime, name: str) -> int:
    try:
        return (moment.astimezone(UTC) - _EPOCH) // _US
    except ValueError as exc:
        raise ValueError(f"{name} is outside the supported times: {exc}") from exc


def _from_text(text: str, name: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{name}={text!r} is not ISO 8601 text; e.g. '2026-01-31T12:00:00Z'"
        ) from None
    return _since_epoch(moment, name)


def _from_seconds(value: Any, name: str) -> int:
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() > 30:
        raise ValueError(f"{name} is outside the supported times")
    try:
        exact = Fraction(value if isinstance(value, (Decimal, Fraction)) else float(value))
    except (ValueError, OverflowError):
        raise ValueError(f"{name}={value} is not a number of seconds") from None
    return round(exact if exact > LAST_SECOND else exact * 1_000_000)


def _from_datetime64(value: Any, name: str) -> int:
    numpy = sys.modules["numpy"]
    if numpy.isnat(value):
        raise ValueError(f"{name} is NaT, not a time")
    unit, count = numpy.datetime_data(value.dtype)
    ticks = int(value.astype("int64")) * count
    per_second = {"ms": 10**3, "us": 10**6, "ns": 10**9, "ps": 10**12, "fs": 10**15, "as": 10**18}
    if unit in per_second:
        return round(Fraction(ticks * 1_000_000, per_second[unit]))
    seconds = value.astype("datetime64[s]")
    if seconds.astype(value.dtype) != value:
        raise ValueError(f"{name} is outside the supported times")
    return int(seconds.astype("int64")) * 1_000_000


def to_datetime(us: int) -> datetime:
    """Return the aware UTC datetime of `us` microseconds.

    Raises ValueError above the year 9999, where Python's datetime ends.
    """
    try:
        return _EPOCH + timedelta(microseconds=us)
    except OverflowError:
        raise ValueError(f"{us} us lies beyond the year 9999, where datetime ends") from None


def to_local_datetime(us: int) -> datetime:
    """Return the naive local datetime of `us` microseconds, exactly; see `to_datetime`."""
    to_datetime(us)
    # Only this tells by `fold` which of two equal hours in autumn is meant.
    return datetime.fromtimestamp(us // 1_000_000).replace(microsecond=us % 1_000_000)
