"""Types of conditions: literals, labels, conversion, comparison, arithmetic, texts."""

import logging
import math
import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_local.conditions import EndsRealServerError
from reduct_local.conditions.values import (
    Duration,
    Value,
    equal,
    ordered,
    parse_label,
    to_float,
    to_int,
    to_text,
)
from reduct_local.errors import ApiError
from tests.local.condition_calls import fails, value

I64 = st.integers(-(2**63), 2**63 - 1)
values: st.SearchStrategy[Value] = st.one_of(
    st.booleans(), I64, st.floats(), st.text(max_size=3), I64.map(Duration)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("10", 10),
        ("+7", 7),
        ("-0", 0),
        ("007", 7),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", 2.0**63),
        ("1.5", 1.5),
        ("2.", 2.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1E-2", 0.01),
        ("1e400", math.inf),
        ("-inf", -math.inf),
        ("Infinity", math.inf),
        ("infinit", "infinit"),
        ("", ""),
        (".", "."),
        ("-", "-"),
        ("1_0", "1_0"),
        ("0x1", "0x1"),
        ("1e", "1e"),
        # Never a duration.
        ("5s", "5s"),
        ("abc", "abc"),
    ],
)
def test_labels_have_types(text: str, expected: Value) -> None:
    """A label is a boolean, else an integer, else a double, else a text."""
    found = parse_label(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("text", ["nan", "NaN", "+nan", "-NAN"])
def test_not_a_number_as_label(text: str) -> None:
    """All spellings of NaN are doubles."""
    found = parse_label(text)
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1"),
        (0.5, "0.5"),
        (-0.0, "-0"),
        (1e21, "1000000000000000000000"),
        (1.5e-7, "0.00000015"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "NaN"),
        (True, "true"),
        (False, "false"),
        (-7, "-7"),
        (Duration(5_400_000_000), "1h 30m"),
        ("x", "x"),
    ],
)
def test_texts_of_values(number: Value, text: str) -> None:
    """Doubles have no exponent and no needless zero; durations have units."""
    assert to_text(number) == text


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        (True, 1),
        (2.9, 2),
        (-2.9, -2),
        (math.nan, 0),
        (1e300, 2**63 - 1),
        (-math.inf, -(2**63)),
        ("12", 12),
        (Duration(5), 5),
    ],
)
def test_integers_of_values(given_value: Value, expected: int) -> None:
    """Doubles lose their fraction and stay within 64 bits; durations become plain integers."""
    found = to_int(given_value)
    assert found == expected
    assert type(found) is int


@pytest.mark.parametrize("text", ["", "x", "1.5", "5s", "9223372036854775808"])
def test_texts_that_are_no_integers(text: str) -> None:
    """A text is an integer only if it is one in 64 bits."""
    with pytest.raises(ApiError) as caught:
        to_int(text)
    assert caught.value.status == 422


def test_doubles_of_values() -> None:
    """Texts are parsed like labels, others are converted."""
    assert [to_float(item) for item in ("1e3", True, 5, Duration(7))] == [1000.0, 1.0, 5.0, 7.0]
    with pytest.raises(ApiError) as caught:
        to_float("1s")
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1, 1.0, True),
        (True, 1, True),
        (True, 1.0, True),
        (False, Duration(0), True),
        (Duration(1_000_000), 1_000_000, True),
        ("1", 1, False),
        ("", False, False),
        ("a", "a", True),
        ("5s", Duration(5_000_000), False),
        # Integers become doubles, which hold 53 bits.
        (2**53 + 1, 2.0**53, True),
        (2.0**63, 2**63 - 1, True),
        (math.nan, math.nan, False),
        (0.0, -0.0, True),
    ],
)
def test_equality(left: Value, right: Value, expected: bool) -> None:
    """Numbers, booleans and durations compare as numbers; texts equal texts only."""
    assert equal(left, right) is expected
    assert equal(right, left) is expected


@pytest.mark.parametrize(
    ("left", "right", "less"),
    [
        (1, 2.5, True),
        (False, 1, True),
        (Duration(5), 6, True),
        ("B", "a", True),
        ("a", "ä", True),
        ("\uffff", "\U00010000", True),
        ("1", 2, False),
        (1, "2", False),
        (math.nan, 1, False),
        (2**53, 2.0**53 + 2, True),
        (2**53 + 1, 2.0**53, False),
    ],
)
def test_order(left: Value, right: Value, less: bool) -> None:
    """Texts are ordered by their bytes; a text is neither less nor greater than a number."""
    assert ordered(operator.lt, left, right) is less


@given(left=values, right=values)
def test_order_is_consistent(left: Value, right: Value) -> None:
    """Less, equal and greater exclude each other; `<=` is less or equal."""
    less, greater = ordered(operator.lt, left, right), ordered(operator.gt, left, right)
    same = equal(left, right)
    assert less + greater + same <= 1
    assert ordered(operator.le, left, right) == (less or same)
    assert ordered(operator.ge, left, right) == (greater or same)


MIN, MAX = -(2**63), 2**63 - 1


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"$add": []}, 0),
        ({"$add": [1, 2, 3]}, 6),
        ({"$add": [1, 0.5]}, 1.5),
        ({"$add": [True, True]}, 2),
        ({"$add": ["5s", 1]}, 5_000_001),
        ({"$add": ["a", "b", ""]}, "ab"),
        ({"$add": ["&missing"]}, 404),
        ({"$add": ["a", 1]}, 422),
        ({"$add": [1, "a"]}, 422),
        ({"$add": ["a"]}, "a"),
        ({"$add": [MAX, 1]}, MIN),
        ({"$sub": [1, 2]}, -1),
        ({"$sub": [MIN, 1]}, MAX),
        ({"$sub": ["1s", "1ms"]}, 999_000),
        ({"$sub": [0.5, True]}, -0.5),
        ({"$sub": ["a", "b"]}, 422),
        ({"$mult": []}, 0),
        ({"$mult": [2, 3, 0.5]}, 3.0),
        ({"$mult": [MAX, 2]}, -2),
        ({"$mult": ["a", 2]}, 422),
        ({"$mult": ["2us", "3us"]}, 6),
        ({"$div": [7, 2]}, 3.5),
        ({"$div": [7, 0]}, 422),
        ({"$div": [7, False]}, 422),
        ({"$div": ["a", 1]}, 422),
        ({"$div": [1, "a"]}, 422),
        ({"$div_num": [7, 2]}, 3),
        ({"$div_num": [-7, 2]}, -3),
        ({"$div_num": [7.9, 2.9]}, 3),
        ({"$div_num": [7, 0.9]}, 422),
        ({"$div_num": [1e300, -1]}, -MAX),
        ({"$div_num": ["us-7", 2]}, -3),
        ({"$div_num": ["a", 2]}, 422),
        ({"$rem": [7, 3]}, 1),
        ({"$rem": [-7, 3]}, -1),
        ({"$rem": [7, -3]}, 1),
        ({"$rem": [7.5, 2]}, 1.5),
        ({"$rem": [-7.5, 2]}, -1.5),
        ({"$rem": ["5s", 3]}, 2),
        ({"$rem": [7, "a"]}, 422),
        ({"$abs": [-5]}, 5),
        ({"$abs": -0.5}, 0.5),
        ({"$abs": True}, 1),
        ({"$abs": "-5s"}, 5_000_000),
        ({"$abs": [MIN]}, MIN),
        ({"$abs": "a"}, 422),
    ],
)
def test_arithmetic(expression: dict[str, Any], expected: Value) -> None:
    """Integers wrap around in 64 bits, durations yield integers, errors have their status."""
    if expected in (404, 422):
        assert fails(expression) == expected
        return
    found = value(expression)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "expression",
    [
        {"$rem": [7, 0.0]},
        {"$rem": [1e308, {"$mult": [0.0, 1]}]},
        {"$rem": [{"$div": [1e308, 1e-308]}, 2]},
    ],
)
def test_remainder_that_is_no_number(expression: dict[str, Any]) -> None:
    """By 0.0, and of infinity, the remainder is NaN."""
    assert to_text(value(expression)) == "NaN"


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ({"$rem": [7, 0]}, {}),
        ({"$rem": [7, "&a"]}, {"a": "0"}),
        ({"$rem": [7, False]}, {}),
        ({"$rem": [True, "0s"]}, {}),
        ({"$rem": [7, {"$sub": [1, 1]}]}, {}),
        ({"$rem": [MIN, -1]}, {}),
        ({"$div_num": [MIN, -1]}, {}),
        ({"$div_num": [-1e300, -1.5]}, {}),
    ],
)
def test_arithmetic_that_ends_the_real_server(
    expression: dict[str, Any], labels: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """It is 422 here, with a warning in the log."""
    with caplog.at_level(logging.WARNING, "reduct_local"), pytest.raises(EndsRealServerError) as e:
        value(expression, labels)
    assert e.value.status == 422
    assert "would not survive" in caplog.text
