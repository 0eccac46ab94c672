"""Numbers of JSON texts as the real server rounds them."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_local.json_numbers import parse_number


def loads(text: str) -> Any:
    """Read a JSON text with these numbers."""
    return json.loads(text, parse_int=parse_number, parse_float=parse_number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
        ("18446744073709551616", 2.0**64),
        ("-9223372036854775809", -(2.0**63)),
        ("1e3", 1000.0),
        ("1E-2", 0.01),
        ("0.5", 0.5),
        ("-2.5", -2.5),
        ("1e-400", 0.0),
        ("0e999999999999", 0.0),
        ("0.000", 0.0),
        ("1e-999999999999", 0.0),
        ("5e-324", 5e-324),
        ("12345678901234567890123e-3", 12345678901234567890.0),
        # The digits that 64 bits cannot hold are dropped.
        ("0.100000000000000005551115123125", 0.1),
        ("18446744073709551615.9", 2.0**64),
    ],
)
def test_numbers(text: str, number: float) -> None:
    """Integers of 64 bits stay integers; everything else is a double."""
    value = parse_number(text)
    assert value == number
    assert type(value) is type(number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.12188601240559549", 0.1218860124055955),
        ("28085205581.212402", 28085205581.2124),
        ("8.806597943862769e-14", 8.80659794386277e-14),
    ],
)
def test_doubles_with_many_digits(text: str, number: float) -> None:
    """Some long doubles are rounded to a neighbour, unlike in Python and in labels."""
    assert parse_number(text) == pytest.approx(number, rel=3e-16, abs=0)
    assert parse_number(text) != float(text)


def test_negative_zero_is_a_double() -> None:
    """`-0` has its sign."""
    assert math.copysign(1, parse_number("-0")) == -1
    assert isinstance(parse_number("-0"), float)


@pytest.mark.parametrize("text", ["1e309", "-1e309", "1" + "0" * 400, "1e99999999999", "x", "1."])
def test_refused_numbers(text: str) -> None:
    """What no double can hold is an error, not infinity."""
    with pytest.raises(ValueError, match="number"):
        parse_number(text)


@given(st.integers(-(2**63), 2**64 - 1))
def test_integers_are_exact(number: int) -> None:
    """All integers of 64 bits are read as they are."""
    assert loads(f"[{number}]") == [number]
    assert isinstance(loads(f"[{number}]")[0], int)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
def test_doubles_are_close(number: float) -> None:
    """A double is at most a few of the smallest steps away from what is written."""
    assert math.isclose(float(loads(repr(number))), number, rel_tol=1e-15, abs_tol=1e-307)
