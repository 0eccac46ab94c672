"""Arithmetic of conditions: 64 bits that wrap around, doubles; durations become integers."""

import math
import operator
from collections.abc import Callable

from reduct_local.conditions.fatal import EndsRealServerError
from reduct_local.conditions.values import I64_MIN, Duration, Value, to_float, to_int
from reduct_local.durations import wrap_i64
from reduct_local.errors import ApiError

_NAMES: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "float",
    str: "string",
    Duration: "duration",
}


def _wrong_types(verb: str, left: Value, right: Value) -> ApiError:
    return ApiError(422, f"Cannot {verb} {_NAMES[type(left)]} and {_NAMES[type(right)]}")


def _compute(
    verb: str,
    on_integers: Callable[[int, int], int],
    on_floats: Callable[[float, float], float],
    left: Value,
    right: Value,
) -> Value:
    if isinstance(left, str) or isinstance(right, str):
        raise _wrong_types(verb, left, right)
    if isinstance(left, float) or isinstance(right, float):
        return on_floats(float(left), float(right))
    return wrap_i64(on_integers(int(left), int(right)))


def add(left: Value, right: Value) -> Value:
    """Return the sum; two texts are joined. 422 for a text and something else."""
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    return _compute("add", operator.add, operator.add, left, right)


def subtract(left: Value, right: Value) -> Value:
    """Return the difference; 422 for texts."""
    return _compute("subtract", operator.sub, operator.sub, left, right)


def multiply(left: Value, right: Value) -> Value:
    """Return the product; 422 for texts."""
    return _compute("multiply", operator.mul, operator.mul, left, right)


def remainder(left: Value, right: Value) -> Value:
    """Return the remainder, with the sign of `left`; 422 for texts and a whole divisor of 0."""
    return _compute("divide", _integer_remainder, _float_remainder, left, right)


def _integer_remainder(left: int, right: int) -> int:
    if right == 0:
        raise EndsRealServerError("$rem by the integer 0")
    if left == I64_MIN and right == -1:
        raise EndsRealServerError("$rem of -2^63 by -1")
    return int(math.copysign(1, left)) * (abs(left) % abs(right))


def _float_remainder(left: float, right: float) -> float:
    if right == 0 or math.isinf(left):
        return math.nan
    return math.fmod(left, right)


def divide(left: Value, right: Value) -> Value:
    """Return the quotient as a double; 422 for texts and a divisor of 0."""
    _refuse_texts(left, right)
    divisor = to_float(right)
    if divisor == 0:
        raise ApiError(422, "Cannot divide by zero")
    return to_float(left) / divisor


def divide_whole(left: Value, right: Value) -> Value:
    """Return the whole quotient of the whole parts, cut towards 0; 422 as for `divide`."""
    _refuse_texts(left, right)
    divisor = to_int(right)
    if divisor == 0:
        raise ApiError(422, "Cannot divide by zero")
    dividend = to_int(left)
    if dividend == I64_MIN and divisor == -1:
        raise EndsRealServerError("$div_num of -2^63 by -1")
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


def _refuse_texts(left: Value, right: Value) -> None:
    if isinstance(left, str) or isinstance(right, str):
        raise _wrong_types("divide", left, right)


def absolute(value: Value) -> Value:
    """Return the absolute value; 422 for a text. That of -2^63 is -2^63 in 64 bits."""
    if isinstance(value, str):
        raise ApiError(422, "Cannot calculate absolute value of a string")
    return abs(value) if isinstance(value, float) else wrap_i64(abs(int(value)))
