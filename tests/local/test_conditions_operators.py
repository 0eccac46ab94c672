"""The operators of conditions, those with a memory included."""

import math
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_local.conditions.dates import zone
from reduct_local.conditions.values import Duration, Value
from tests.local.condition_calls import Labelled, fails, matching, selected, value

MAX = 2**64 - 1


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"$all_of": [1, "x", 0.1]}, True),
        ({"$all_of": [1, ""]}, False),
        ({"$and": []}, True),
        ({"$any_of": [0, ""]}, False),
        ({"$any_of": [0, "x"]}, True),
        ({"$or": []}, False),
        ({"$none_of": []}, True),
        ({"$none_of": [0, ""]}, True),
        ({"$not": [0, 1]}, False),
        ({"$one_of": [1, 0]}, True),
        ({"$one_of": [1, 1]}, False),
        ({"$xor": [1, 1, 1]}, False),
        ({"$xor": []}, False),
        ({"$in": ["a", "b", "a"]}, True),
        ({"$in": [1, "1"]}, False),
        ({"$in": ["1s", 1_000_000]}, True),
        ({"$nin": ["a", "b", "c"]}, True),
        ({"$nin": [1, 1.0]}, False),
        ({"$eq": [1, True]}, True),
        ({"$ne": ["1", 1]}, True),
        ({"$gt": [2, 1.5]}, True),
        ({"$gte": [2, 2]}, True),
        ({"$lt": ["a", "b"]}, True),
        ({"$lte": ["a", 1]}, False),
        ({"$gte": ["a", 1]}, False),
        ({"$contains": ["abc", "bc"]}, True),
        ({"$contains": [12.0, 2]}, True),
        ({"$contains": [12.0, "."]}, False),
        ({"$contains": ["ABC", "b"]}, False),
        ({"$starts_with": [True, "tr"]}, True),
        ({"$ends_with": ["5400s", "30m"]}, True),
        ({"$ends_with": ["abc", ""]}, True),
        ({"$cast": ["10", "int"]}, 10),
        ({"$cast": [2.9, "int"]}, 2),
        ({"$cast": ["x", "bool"]}, True),
        ({"$cast": ["1e3", "float"]}, 1000.0),
        ({"$cast": [1, "string"]}, "1"),
        ({"$cast": ["5", "duration"]}, Duration(5)),
        ({"$cast": [1e6, "duration"]}, Duration(1_000_000)),
        ({"$cast": ["5s", "int"]}, 5_000_000),
        ({"$cast": ["5s", "string"]}, "5s"),
        ({"$ref": "a"}, 1),
        ({"$ref": 1}, "one"),
        ({"$ref": "&name"}, 1),
        ({"$has": ["a", 1]}, True),
        ({"$has": ["a", "b"]}, False),
        ({"$exists": "&name"}, True),
        ({"$has": "60s"}, True),
        ("$timestamp", 7),
        ({"$id": []}, 7),
    ],
)
def test_operators(expression: dict[str, Any], expected: Value) -> None:
    """What the operators without a memory yield."""
    found = value(expression, {"a": "1", "1": "one", "name": "a", "1m": ""}, 7)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "expression",
    [
        {"$cast": ["x", "int"]},
        {"$cast": ["5", "text"]},
        {"$cast": [{"$add": ["5", "s"]}, "duration"]},
        {"$cast": ["x", "float"]},
        {"$day": ["x"]},
        {"$day": [1, 1]},
        {"$day": [1, "1s"]},
        {"$day": [1, "Nowhere/X"]},
        {"$day": [1, "europe/berlin"]},
        {"$day": [1, "Factory"]},
        {"$day": [1, ""]},
        {"$day": [1, "../UTC"]},
        {"$year": [2**63 - 1]},
        {"$year": [-(2**63)]},
        {"$gate": ["x", True]},
        {"$each_t": "x"},
    ],
)
def test_errors_of_operands(expression: dict[str, Any]) -> None:
    """Values that cannot be converted, unknown types, zones and times are 422."""
    assert fails(expression) == 422


def test_times_beyond_63_bits_wrap_around() -> None:
    """The time of a record is an integer with sign."""
    assert value("$timestamp", timestamp=2**63) == -(2**63)
    assert value("$timestamp", timestamp=MAX) == -1


PARTS = ("$year", "$month", "$day", "$hour", "$minute", "$second", "$weekday")


def parts(timestamp: int, *zone: str) -> list[Value]:
    """Return all parts of a date."""
    return [value({name: [timestamp, *zone]}) for name in PARTS]


@given(
    time=st.datetimes(datetime(1950, 1, 1), datetime(2099, 12, 1)),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
)
def test_dates(time: datetime, zone: str) -> None:
    """Parts of dates are those of the time in the zone, UTC without one."""
    utc = time.replace(tzinfo=UTC)
    timestamp = (utc - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    for place, found in ((zone, parts(timestamp, zone)), ("UTC", parts(timestamp))):
        local = utc.astimezone(ZoneInfo(place))
        assert tuple(found) == (
            *(local.year, local.month, local.day, local.hour, local.minute, local.second),
            local.weekday(),
        )


def test_zones_are_those_of_tzdata(monkeypatch: pytest.MonkeyPatch) -> None:
    """All names of the package can be used, whatever the system has."""
    monkeypatch.setattr("zoneinfo.TZPATH", ())
    names = (files("tzdata") / "zones").read_text(encoding="utf-8").split()
    assert len(names) > 400
    for name in names:
        if name != "Factory":
            assert zone(name).key == name


def test_dates_beyond_python() -> None:
    """Years before 1 and after 9999 are known, up to those of the real server."""
    assert parts(-62_167_219_200_000_000) == [0, 1, 1, 0, 0, 0, 5]
    assert parts(253_402_300_800_000_000) == [10_000, 1, 1, 0, 0, 0, 5]
    assert parts(8_210_266_876_799_999_999)[:6] == [262_142, 12, 31, 23, 59, 59]
    assert fails({"$year": 8_210_266_876_800_000_000}) == 422
    assert parts(-8_334_601_228_800_000_000)[:6] == [-262_143, 1, 1, 0, 0, 0]
    assert fails({"$year": -8_334_601_228_800_000_001}) == 422


def test_zones_have_no_summer_time_after_2099() -> None:
    """The last offset of the year 2099 goes on, as in the tables of the real server."""
    july_2099 = 4_087_152_000_000_000
    july_2100 = july_2099 + 365 * 86_400_000_000
    assert value({"$hour": [july_2099, "Europe/Berlin"]}) == 2
    assert value({"$hour": [july_2100, "Europe/Berlin"]}) == 1
    assert value({"$hour": [-(10**17), "Asia/Kolkata"]}) == value(
        {"$hour": -(10**17) + 21_208 * 10**6}
    )


@pytest.mark.parametrize(
    ("when", "timestamps", "expected"),
    [
        ({"$each_n": 3}, range(1, 8), [3, 6]),
        ({"$each_n": -2}, range(1, 6), [2, 4]),
        ({"$each_n": 1}, range(1, 4), [1, 2, 3]),
        ({"$limit": 2}, range(1, 6), [1, 2, "end"]),
        ({"$limit": 0}, range(1, 6), ["end"]),
        ({"$limit": "2"}, range(1, 6), [1, 2, "end"]),
        ({"$limit": "x"}, range(1, 6), []),
        # Order matters: only what is looked at counts.
        ({"$gt": ["$timestamp", 2], "$limit": 2}, range(1, 9), [3, 4, "end"]),
        ({"$limit": 4, "$gt": ["$timestamp", 2]}, range(1, 9), [3, 4, "end"]),
        ({"$or": [False, {"$limit": 1}]}, range(1, 4), [1, "end"]),
        # The first record sets the reference.
        ({"$each_t": "3us"}, range(1, 12), [4, 7, 10]),
        ({"$each_t": 3e-6}, range(1, 12), [4, 7, 10]),
        ({"$each_t": 0}, range(1, 4), [1, 2, 3]),
        ({"$each_t": "-1s"}, range(1, 4), [1, 2, 3]),
        ({"$each_t": 1e300}, [1, MAX - 1], []),
        ({"$each_t": "1s"}, [10, 5, 1_000_004, 1_000_005], [1_000_005]),
        ({"$gate": ["3us", True]}, range(1, 9), [1, 2, 3]),
        ({"$gate": [3e-6, True]}, range(1, 9), [1, 2, 3]),
        ({"$gate": ["-1s", True]}, range(1, 9), []),
        ({"$gate": [math.inf, {"$ne": ["$timestamp", 3]}]}, range(1, 6), [1, 2, 4, 5]),
        # Shut after its time until the condition was false once.
        ({"$gate": ["2us", {"$nin": ["$timestamp", 5, 6]}]}, range(1, 11), [1, 2, 7, 8]),
        # Time that goes back resets it.
        ({"$gate": ["2us", True]}, [10, 11, 12, 13, 5, 6, 7], [10, 11, 5, 6]),
        ({"$gate": ["1s", True]}, [MAX - 1, MAX], [MAX - 1]),
    ],
)
def test_operators_with_a_memory(
    when: object, timestamps: range | list[int], expected: list[int | str]
) -> None:
    """Which of the records are selected, and where `$limit` ends the query."""
    assert matching(when, timestamps) == expected


def test_counts_go_on_after_errors() -> None:
    """`$each_n` and `$limit` count the records whose operand is an error, too."""
    records = [Labelled(1), Labelled(2, {"n": "2"}), Labelled(3, {"n": "2"}), Labelled(4)]
    assert selected({"$each_n": "&n"}, records) == [records[1]]
    assert selected({"$limit": "&n"}, records) == [records[1], "end"]
