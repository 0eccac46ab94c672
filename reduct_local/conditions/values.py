"""Values of conditions: booleans, 64-bit integers, doubles, texts and durations.

The Python types stand for themselves; a duration is an integer of microseconds of the type
Duration. Conversions and comparisons are those of the real server, down to overflow.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from reduct_local.durations import format_duration, parse_i64
from reduct_local.errors import ApiError
from reduct_local.integers import U64_MAX


class Duration(int):
    """A span of time in microseconds; computes and compares like an integer."""

    __slots__ = ()


Value = bool | int | float | str | Duration

I64_MIN = -(2**63)
I64_MAX = 2**63 - 1

_INTEGER = re.compile("[+-]?[0-9]+")
_DOUBLE = re.compile(
    r"[+-]?(?:inf|infinity|nan|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)",
    re.ASCII | re.IGNORECASE,
)


def parse_label(text: str) -> Value:
    """Return the value of a label: boolean, integer, double or else text; never a duration."""
    if text == "true":
        return True
    if text == "false":
        return False
    if _INTEGER.fullmatch(text):
        number = int(text) if len(text) < 19 else parse_i64(text)
        return float(text) if number is None else number
    return float(text) if _DOUBLE.fullmatch(text) else text


def to_int(value: Value) -> int:
    """Return a plain integer; doubles lose their fraction. 422 for a text that is none."""
    if isinstance(value, str):
        number = parse_i64(value)
        if number is None:
            raise ApiError(422, f"Value '{value}' could not be parsed as integer")
        return number
    if isinstance(value, float):
        return saturated(value, I64_MIN, I64_MAX)
    return int(value)


def to_float(value: Value) -> float:
    """Return a double; 422 for a text that is none."""
    if isinstance(value, str) and not _DOUBLE.fullmatch(value):
        raise ApiError(422, f"Value '{value}' could not be parsed as float")
    return float(value)


def to_u64(number: float) -> int:
    """Return the whole part of a double between 0 and 2^64-1; 0 for what is no number."""
    return saturated(number, 0, U64_MAX)


def saturated(number: float, low: int, high: int) -> int:
    """Return the whole part of a double, at least `low` and at most `high`; 0 for NaN."""
    if number != number:
        return 0
    return int(min(max(number, low), high))


def to_text(value: Value) -> str:
    """Return the text of a value: `true`, `1`, `0.5`, `1h 30m`; never an exponent."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    return format_duration(value) if isinstance(value, Duration) else str(value)


def _float_text(number: float) -> str:
    if number != number:
        return "NaN"
    if number in (float("inf"), float("-inf")):
        return "inf" if number > 0 else "-inf"
    return format(Decimal(repr(number)), "f").removesuffix(".0")


def equal(left: Value, right: Value) -> bool:
    """Return whether two values are equal; a text equals texts only."""
    if type(left) is float:
        # The real server compares doubles, Python would compare exact numbers.
        return type(right) is not str and left == float(right)
    if type(right) is float:
        return type(left) is not str and float(left) == right
    return left == right


def ordered(relation: Callable[[Any, Any], bool], left: Value, right: Value) -> bool:
    """Return whether `relation` (of the module operator) holds; never between text and others."""
    if type(left) is type(right):
        return relation(left, right)
    if type(left) is str or type(right) is str:
        return False
    if type(left) is float or type(right) is float:
        return relation(float(left), float(right))
    return relation(left, right)
