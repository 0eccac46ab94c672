"""Times in: every accepted form becomes exact microseconds, everything else is refused by name."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reduct_core.times import (
    LAST_SECOND,
    MAX_RECORD_US,
    MAX_US,
    optional_us,
    to_datetime,
    to_local_datetime,
    to_us,
)

FIRST = datetime(1970, 1, 1)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999)
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"

offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@contextmanager
def local_zone(rule: str) -> Iterator[None]:
    """Make `rule`, in POSIX form, the local time zone of this process."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TZ", rule)
            time.tzset()
            yield
    finally:
        time.tzset()


def counted(moment: datetime) -> int:
    """Count the microseconds of an aware datetime by its fields alone."""
    days = moment.toordinal() - FIRST.toordinal()
    seconds = ((days * 24 + moment.hour) * 60 + moment.minute) * 60 + moment.second
    offset = moment.utcoffset()
    assert offset is not None
    return seconds * 1_000_000 + moment.microsecond - offset // timedelta(microseconds=1)


# --- integers ------------------------------------------------------------------------------


class Named(IntEnum):
    MOMENT = 5


class Indexed:
    def __index__(self) -> int:
        return 77


class Tensor:
    """A scalar of a library whose types are not numpy's."""

    dtype = "int64"
    shape = ()

    def __index__(self) -> int:
        return 78


@given(st.integers(0, MAX_US))
def test_integers_are_microseconds(us: int) -> None:
    assert to_us(us, "start") == us
    assert to_us(np.uint64(us), "start") == us


@pytest.mark.parametrize(
    ("value", "us"),
    [
        (0, 0),
        (Named.MOMENT, 5),
        (Indexed(), 77),
        (Tensor(), 78),
        (np.int8(3), 3),
        (np.int64(2**62), 2**62),
    ],
)
def test_whatever_has_an_index_is_microseconds(value: Any, us: int) -> None:
    found = to_us(value, "start")
    assert found == us
    assert type(found) is int


@pytest.mark.parametrize(
    "value",
    [-1, MAX_US + 1, np.int64(-1), 10**5000, -(10**5000)],
    ids=["-1", "2**64", "numpy", "10**5000", "-10**5000"],
)
def test_integers_outside_the_range_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^start\b"):
        to_us(value, "start")


def test_numbers_in_messages_are_short() -> None:
    with pytest.raises(ValueError, match=f"^start is {10**30 - 1} us;"):
        to_us(10**30 - 1, "start")
    for large, text in ((10**30, "more than 10^30"), (-(10**30), "less than -10^30")):
        with pytest.raises(ValueError, match=f"^start is {re.escape(text)} us;"):
            to_us(large, "start")


def test_the_largest_time_of_a_record_is_one_less() -> None:
    assert MAX_RECORD_US == 2**64 - 2
    assert to_us(MAX_RECORD_US, "timestamp", most=MAX_RECORD_US) == MAX_RECORD_US
    with pytest.raises(ValueError, match=r"^timestamp\b.* 0 to 18446744073709551614 us"):
        to_us(MAX_US, "timestamp", most=MAX_RECORD_US)


def test_zero_is_a_time_and_none_is_not() -> None:
    assert optional_us(0, "start", 5) == 0
    assert optional_us(0.0, "start", 5) == 0
    assert optional_us(None, "start", 5) == 5
    none: Any = None
    with pytest.raises(TypeError, match=r"^start must be .*NoneType"):
        to_us(none, "start")


# --- seconds -------------------------------------------------------------------------------


@given(st.integers(0, 2**33 * 1_000_000))
def test_float_seconds_find_their_microsecond(us: int) -> None:
    """A float holds microseconds exactly enough up to 2**33 seconds, the year 2242."""
    assert to_us(us / 1_000_000, "start") == us
    assert to_us(np.float64(us / 1_000_000), "start") == us


def test_b35_seconds_are_rounded_not_cut() -> None:
    moment = datetime(2041, 2, 17, 17, 59, 58, 304269, tzinfo=UTC)
    assert int(moment.timestamp() * 1e6) == counted(moment) - 1
    assert to_us(moment.timestamp(), "start") == counted(moment)


@given(st.integers(0, LAST_SECOND * 1_000_000))
def test_decimal_and_fraction_seconds_are_exact(us: int) -> None:
    assert to_us(Decimal(us).scaleb(-6), "start") == us
    assert to_us(Fraction(us, 1_000_000), "start") == us


@given(st.fractions(0, LAST_SECOND))
def test_fractions_are_rounded_to_the_nearest_microsecond(seconds: Fraction) -> None:
    assert abs(Fraction(to_us(seconds, "start")) - seconds * 1_000_000) <= Fraction(1, 2)


@given(st.floats(0, 2**37, width=32))
def test_numpy_floats_are_seconds(seconds: float) -> None:
    expected = round(Fraction(seconds) * 1_000_000)
    assert to_us(np.float32(seconds), "start") == expected
    assert to_us(np.longdouble(seconds), "start") == expected


def test_half_precision_floats_are_seconds() -> None:
    assert to_us(np.float16(1.5), "start") == 1_500_000


@given(st.integers(LAST_SECOND + 1, 2**53))
def test_floats_beyond_the_year_9999_are_microseconds(us: int) -> None:
    assert to_us(float(us), "stop") == us
    assert to_us(np.float64(us), "stop") == us
    assert to_us(Decimal(us), "stop") == us
    assert to_us(Fraction(us), "stop") == us


def test_the_documented_idiom_for_now() -> None:
    nanoseconds = time.time_ns()
    assert abs(to_us(nanoseconds / 1000, "stop") - nanoseconds // 1000) <= 1


def test_the_last_second_is_the_last_one_in_seconds() -> None:
    assert to_us(float(LAST_SECOND), "start") == LAST_SECOND * 1_000_000
    assert to_us(float(LAST_SECOND + 1), "start") == LAST_SECOND + 1
    assert to_us(Decimal(f"{LAST_SECOND}.25"), "start") == LAST_SECOND


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        float("-inf"),
        -0.001,
        -1.0,
        1e300,
        np.float32("nan"),
        np.float64("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("-0.1"),
        Decimal("1e100000"),
        Decimal("1e999999999"),
        Fraction(-1, 3),
        Fraction(10**400),
    ],
    ids=repr,
)
def test_seconds_that_are_no_time_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^stop\b"):
        to_us(value, "stop")


def test_negative_zero_and_values_that_round_to_zero_are_zero() -> None:
    assert to_us(-0.0, "start") == 0
    assert to_us(1e-7, "start") == 0
    assert to_us(-1e-7, "start") == 0


# --- datetime ------------------------------------------------------------------------------


@given(st.datetimes(FIRST, LAST, timezones=st.just(UTC)))
@example(FIRST.replace(tzinfo=UTC))
@example(LAST.replace(tzinfo=UTC))
def test_datetimes_round_trip(moment: datetime) -> None:
    us = to_us(moment, "start")
    assert us == counted(moment)
    assert to_datetime(us) == moment
    assert to_datetime(us).tzinfo is UTC
    assert to_us(moment.isoformat(), "start") == us
    assert to_us(moment.isoformat().replace("+00:00", "Z"), "start") == us


@given(st.integers(0, (LAST_SECOND + 1) * 1_000_000 - 1))
def test_microseconds_round_trip(us: int) -> None:
    assert to_us(to_datetime(us), "start") == us
    assert to_us(to_datetime(us).isoformat(), "start") == us


@given(st.datetimes(FIRST + timedelta(days=1), LAST - timedelta(days=1), timezones=offsets))
def test_offsets_count(moment: datetime) -> None:
    assert to_us(moment, "start") == counted(moment)
    assert to_us(moment.isoformat(), "start") == counted(moment)


@given(st.datetimes(FIRST + timedelta(days=1), LAST - timedelta(days=1)))
def test_naive_datetimes_are_local_time(moment: datetime) -> None:
    with local_zone("XYZ-5:30"):
        us = to_us(moment, "start")
        assert us == counted(moment.replace(tzinfo=timezone(timedelta(hours=5, minutes=30))))
        assert to_us(moment.isoformat(), "start") == us
        assert to_local_datetime(us) == moment
        assert to_local_datetime(us).tzinfo is None


@pytest.mark.parametrize(
    ("text", "fold", "utc"),
    [
        ("2024-01-15T12:00:00", 0, "2024-01-15T11:00:00Z"),
        ("2024-07-15T12:00:00", 0, "2024-07-15T10:00:00Z"),
        ("2024-10-27T02:30:00", 0, "2024-10-27T00:30:00Z"),
        ("2024-10-27T02:30:00", 1, "2024-10-27T01:30:00Z"),
    ],
)
def test_local_time_knows_summer(text: str, fold: int, utc: str) -> None:
    with local_zone(BERLIN):
        moment = datetime.fromisoformat(text).replace(fold=fold)
        assert to_us(moment, "start") == to_us(utc, "start")
        assert to_local_datetime(to_us(utc, "start")) == moment
        assert to_local_datetime(to_us(utc, "start")).fold == fold


def test_date_text_is_midnight_of_local_time() -> None:
    with local_zone(BERLIN):
        assert to_us("2024-07-15", "start") == to_us("2024-07-14T22:00:00Z", "start")
        assert to_us("20240715T000000", "start") == to_us("2024-07-14T22:00:00Z", "start")


class Stamp(datetime):
    """A subclass like pandas.Timestamp: own types in results, no local time of its own."""

    def astimezone(self, tz: tzinfo | None = None) -> Self:
        if self.tzinfo is None:
            raise TypeError("Cannot convert tz-naive Timestamp, use tz_localize to localize")
        return super().astimezone(tz)


@given(st.datetimes(FIRST + timedelta(days=1), LAST - timedelta(days=1)))
def test_subclasses_of_datetime_are_datetimes(moment: datetime) -> None:
    stamp = Stamp.fromisoformat(moment.isoformat())
    with local_zone(BERLIN):
        assert to_us(stamp, "start") == to_us(moment, "start")
    assert to_us(stamp.replace(tzinfo=UTC), "start") == counted(moment.replace(tzinfo=UTC))


def test_fold_of_a_subclass_counts() -> None:
    with local_zone(BERLIN):
        second = Stamp(2024, 10, 27, 2, 30, fold=1)
        assert to_us(second, "start") == to_us("2024-10-27T01:30:00Z", "start")


class NotATime(datetime):
    """A subclass like the type of pandas.NaT, which differs from itself."""

    def __ne__(self, other: object) -> bool:
        return True

    def astimezone(self, tz: tzinfo | None = None) -> Self:
        raise ValueError("NaTType does not support astimezone")


def test_a_subclass_without_a_time_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^start\b"):
        to_us(NotATime(2024, 1, 1, tzinfo=UTC), "start")


class NoOffset(tzinfo):
    """A time zone that does not know its offset, which makes a datetime naive."""

    def utcoffset(self, dt: datetime | None) -> None:
        return None

    def dst(self, dt: datetime | None) -> None:
        return None

    def tzname(self, dt: datetime | None) -> None:
        return None


def test_a_zone_without_offset_is_local_time() -> None:
    with local_zone("XYZ-1"):
        moment = datetime(1970, 1, 1, 1, 0, 1, tzinfo=NoOffset())
        assert to_us(moment, "start") == 1_000_000


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))),
        datetime.min,
    ],
    ids=repr,
)
def test_datetimes_outside_the_range_are_refused(moment: datetime) -> None:
    with local_zone("XYZ-5"):
        with pytest.raises(ValueError, match=r"^start\b"):
            to_us(moment, "start")
        with pytest.raises(ValueError, match=r"^start\b"):
            to_us(moment.isoformat(), "start")


@pytest.mark.parametrize("us", [(LAST_SECOND + 1) * 1_000_000, MAX_US])
def test_times_beyond_the_year_9999_have_no_datetime(us: int) -> None:
    with pytest.raises(ValueError, match=f"^{us} us .* year 9999"):
        to_datetime(us)
    with pytest.raises(ValueError, match=f"^{us} us .* year 9999"):
        to_local_datetime(us)


@pytest.mark.parametrize("text", ["", "now", "yesterday", "12", "2024-13-01", "2024-01-01T25:00"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^start=.*ISO 8601"):
        to_us(text, "start")


# --- numpy ---------------------------------------------------------------------------------

datetime64: Any = np.datetime64

TICKS = {
    "W": Fraction(604_800_000_000),
    "D": Fraction(86_400_000_000),
    "h": Fraction(3_600_000_000),
    "m": Fraction(60_000_000),
    "s": Fraction(1_000_000),
    "ms": Fraction(1_000),
    "us": Fraction(1),
    "ns": Fraction(1, 10**3),
    "ps": Fraction(1, 10**6),
    "fs": Fraction(1, 10**9),
    "as": Fraction(1, 10**12),
}


def months_begin(months: int) -> int:
    """Return when a month begins, in microseconds; the calendar repeats every 400 years."""
    year, month = 1970 + months // 12, months % 12 + 1
    days = date(2000 + year % 400, month, 1).toordinal() + (year // 400 - 5) * 146_097
    return (days - FIRST.toordinal()) * 86_400_000_000


@pytest.mark.parametrize("unit", TICKS)
@given(data=st.data())
def test_datetime64_is_utc_in_every_unit(unit: str, data: st.DataObject) -> None:
    most = min(2**63 - 1, int(MAX_US / TICKS[unit]))
    ticks = data.draw(st.integers(0, most))
    with local_zone(BERLIN):
        assert to_us(datetime64(ticks, unit), "start") == round(ticks * TICKS[unit])


@pytest.mark.parametrize("unit", ["Y", "M", *TICKS])
@given(ticks=st.integers(-(2**63) + 1, 2**63 - 1))
def test_datetime64_of_any_size_is_right_or_refused(unit: str, ticks: int) -> None:
    """numpy itself wraps around where its 64 bits end."""
    if unit in TICKS:
        expected = round(ticks * TICKS[unit])
    else:
        expected = months_begin(ticks if unit == "M" else 12 * ticks)
    if 0 <= expected <= MAX_US:
        assert to_us(datetime64(ticks, unit), "start") == expected
    else:
        with pytest.raises(ValueError, match=r"^start\b"):
            to_us(datetime64(ticks, unit), "start")


@given(st.integers(0, 584_000 * 12))
def test_years_and_months_of_datetime64_begin_at_midnight(months: int) -> None:
    assert to_us(datetime64(months, "M"), "start") == months_begin(months)
    assert to_us(datetime64(months // 12, "Y"), "start") == months_begin(months // 12 * 12)


def test_datetime64_counts_in_multiples() -> None:
    assert to_us(datetime64(3, ("ms", 25)), "start") == 75_000
    assert to_us(datetime64(3, ("s", 25)), "start") == 75_000_000
    assert to_us(datetime64(3, ("D", 2)), "start") == 6 * 86_400_000_000


@pytest.mark.parametrize("unit", ["D", "s", "ns"])
def test_nat_is_refused(unit: str) -> None:
    with pytest.raises(ValueError, match=r"^start\b.*NaT"):
        to_us(datetime64("NaT", unit), "start")


# --- what is no time -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        np.True_,
        date(2024, 1, 1),
        timedelta(seconds=1),
        np.timedelta64(5, "s"),
        np.timedelta64(5, "ns"),
        1j,
        np.complex128(1 + 2j),
        b"2024-01-01",
        [1],
        np.array([1, 2]),
        np.array([1.5]),
        pytest.param(object(), id="object"),
    ],
    ids=repr,
)
def test_other_types_are_refused_by_name(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^record_timestamp\b"):
        to_us(value, "record_timestamp")
