"""Parts of dates in a time zone."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from reduct_local.errors import ApiError

DAY_S = 86_400

# The real server's dates: years -262143 to 262142.
_FIRST_S = -8_334_601_228_800
_LAST_S = 8_210_266_876_799

# Its tables of time zones begin with the first change of each zone and end with the year 2099;
# after that the last offset goes on.
_FIRST_CHANGE_S = -6_000_000_000
_LAST_CHANGE_S = 4_102_444_799


@lru_cache
def _zone_names() -> frozenset[str]:
    # `Factory` is no place.
    text = (files("tzdata") / "zones").read_text(encoding="utf-8")
    return frozenset(text.split()) - {"Factory"}


@lru_cache
def zone(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name; 422 for an unknown one, also in its case.

    Read from the package tzdata, since the files of a system may hold other data.
    """
    if name not in _zone_names():
        raise ApiError(422, f"Invalid timezone: '{name}'")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def local_seconds(timestamp: int, zone_name: str | None) -> int:
    """Return the local time of a timestamp (microseconds) as seconds since 1970.

    None is UTC. 422 for an unknown zone and for a time that has no date.
    """
    seconds = timestamp // 1_000_000
    if not _FIRST_S <= seconds <= _LAST_S:
        raise ApiError(422, f"Not a valid timestamp in microseconds: {timestamp}")
    return seconds if zone_name is None else seconds + _offset(zone(zone_name), seconds)


def _offset(place: ZoneInfo, seconds: int) -> int:
    within = min(max(seconds, _FIRST_CHANGE_S), _LAST_CHANGE_S)
    offset = datetime.fromtimestamp(within, UTC).astimezone(place).utcoffset()
    return 0 if offset is None else offset.days * DAY_S + offset.seconds


def _civil(seconds: int) -> tuple[int, int, int]:
    """Return year, month and day, also for years that Python's dates do not know.

    Counts in eras of 400 years that begin with March, so that the leap day comes last.
    """
    era, day_of_era = divmod(seconds // DAY_S + 719_468, 146_097)
    year_of_era = (
        day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return 400 * era + year_of_era + (month <= 2), month, day


PARTS: dict[str, Callable[[int], int]] = {
    "$second": lambda seconds: seconds % 60,
    "$minute": lambda seconds: seconds // 60 % 60,
    "$hour": lambda seconds: seconds // 3_600 % 24,
    "$day": lambda seconds: _civil(seconds)[2],
    "$month": lambda seconds: _civil(seconds)[1],
    "$year": lambda seconds: _civil(seconds)[0],
    # 1970-01-01 was a Thursday, 0 is Monday.
    "$weekday": lambda seconds: (seconds // DAY_S + 3) % 7,
}
"""What an operator makes of local seconds."""
