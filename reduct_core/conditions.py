"""Checks of `when` conditions before they are sent.

Some conditions end the server process for all its clients (http-api.md 10.2); they are
refused here. Everything else is the server's to judge.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from .names import is_meta

Condition: TypeAlias = Mapping[str, Any] | bool | int | float | str
"""A condition: an object of operators, or a constant or reference such as "&label"."""

# "$$" begins a text, too.
_REFERENCE = re.compile(r"[&@].|\$[^$]", re.DOTALL)

STATEFUL = frozenset({"$limit", "$each_n", "$each_t", "$gate", "#ctx_before", "#ctx_after"})
"""Operators that remember records they saw before."""


def check(when: Condition | None, entries: Sequence[str]) -> None:
    """Raise TypeError or ValueError for a condition that must not be sent over `entries`."""
    if when is None:
        return
    if not isinstance(when, (Mapping, bool, int, float, str)):
        raise TypeError(f"when must be a dict, not {type(when).__name__}")
    if isinstance(when, str) and not _REFERENCE.match(when):
        raise ValueError(
            f"when={when[:60]!r} is a constant text, which is true for every record; pass a dict,"
            ' or a reference such as "&label"'
        )
    _check_json(when, "when")
    for operator, operand in _operators(when):
        if operator == "$rem":
            _check_zero(operand)
        if operator in ("$rem", "$div_num"):
            _check_overflow(operator, operand)
    for number in _integers(when):
        if 2**63 <= number < 2**64:
            raise ValueError(f"when: {number} is too large; integers end at 2^63-1")
    if any(is_meta(entry) for entry in entries):
        _check_meta(when)


def check_ext(ext: object) -> None:
    """Raise TypeError or ValueError for extension parameters that cannot be sent."""
    if ext is None:
        return
    if not isinstance(ext, (Mapping, list)):
        raise TypeError(f"ext must be a dict or a list of dicts, not {type(ext).__name__}")
    _check_json(ext, "ext")
    for step_condition in ext_conditions(ext):
        check(step_condition, ())


def ext_conditions(ext: object) -> list[Any]:
    """Return the conditions of all steps of an extension pipeline."""
    steps = ext if isinstance(ext, (list, tuple)) else [ext]
    return [step["when"] for step in steps if isinstance(step, Mapping) and "when" in step]


def _check_json(value: object, name: str) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except TypeError as exc:
        raise TypeError(f"{name} must hold JSON values: {exc}") from None
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"{name} must hold JSON values: {exc}") from None


def _operators(node: object) -> Iterator[tuple[str, Any]]:
    """Yield every key of every object with its value, at any depth."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield str(key), value
            yield from _operators(value)
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from _operators(item)


def _integers(node: object) -> Iterator[int]:
    if isinstance(node, int) and not isinstance(node, bool):
        yield node
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from _integers(value)
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from _integers(item)


def _check_zero(operand: Any) -> None:
    """Refuse every divisor that could be the integer 0, also one that comes from a label."""
    divisor = _divisor(operand)
    safe = isinstance(divisor, float) or (_is_number(divisor) and divisor != 0)
    if not safe and not _is_float(divisor):
        raise ValueError(
            f"when: $rem by {divisor!r} would end the server if that were 0; use a number other"
            ' than 0, or {"$cast": [..., "float"]}'
        )


def _divisor(operand: Any) -> Any:
    """Return the last operand; one alone stands in the form {"<left>": {"$op": right}}."""
    return operand[-1] if isinstance(operand, (list, tuple)) and operand else operand


def _is_number(operand: object) -> bool:
    return isinstance(operand, (int, float)) and not isinstance(operand, bool)


def _is_float(operand: object) -> bool:
    """Tell whether an operand is cast to a float."""
    if not isinstance(operand, Mapping) or len(operand) != 1:
        return False
    ((key, value),) = operand.items()
    if key == "$cast":
        return isinstance(value, (list, tuple)) and len(value) == 2 and value[1] == "float"
    return isinstance(value, Mapping) and value == {"$cast": "float"}


def _check_overflow(operator: str, operand: Any) -> None:
    """Refuse to divide what may be -2^63 by what may be -1: the result is no 64-bit integer."""
    pair = isinstance(operand, (list, tuple)) and len(operand) == 2
    dividend = _constant(operator, operand[0]) if pair else None
    divisor = _constant(operator, _divisor(operand))
    if (dividend is None or dividend <= -(2**63)) and divisor in (None, -1):
        raise ValueError(
            f"when: {operator} of {operand!r} would end the server if that were -2^63 by -1; use"
            " $div, which gives a double, or $mult by -1"
        )


def _constant(operator: str, operand: Any) -> float | None:
    """Return the number by which an operand is divided; None if only the server can tell.

    `$div_num` cuts off fractions; `$rem` of a double is harmless, whatever its value.
    """
    if isinstance(operand, float) and math.isfinite(operand):
        return math.trunc(operand) if operator == "$div_num" else math.nan
    if isinstance(operand, int):
        return int(operand)
    if isinstance(operand, str) and operand[:1] not in ("&", "@", "$"):
        # Text is no number, unless it is a duration.
        return _duration(operand)
    return math.nan if operator == "$rem" and _is_float(operand) else None


_UNITS = {
    "us": 1,
    "ms": 10**3,
    "s": 10**6,
    "m": 60 * 10**6,
    "h": 3600 * 10**6,
    "d": 86_400 * 10**6,
}


def _duration(text: str) -> float:
    """Return the microseconds of a duration as the server reads it; NaN for other text.

    In each part, digits and "-" are the number and the rest is the unit, in any arrangement.
    """
    total = 0
    for part in text.split():
        number = re.sub(r"[^0-9.-]", "", part)
        unit = re.sub(r"[0-9.-]", "", part)
        if unit not in _UNITS or not re.fullmatch(r"-?[0-9]{1,19}", number):
            return math.nan
        total += int(number) * _UNITS[unit]
    # The sum wraps around at 64 bits.
    return (total + 2**63) % 2**64 - 2**63 if text.strip() else math.nan


def _check_meta(when: Condition) -> None:
    if not isinstance(when, Mapping):
        raise ValueError("when must be a dict for attachments ($meta entries)")
    for operator, operand in _operators(when):
        if operator == "$not" and not isinstance(operand, (list, tuple)):
            raise ValueError("when: $not takes a list for attachments ($meta entries)")


def is_stateful(when: Condition | None) -> bool:
    """Tell whether a condition remembers records that it saw before."""
    return any(operator in STATEFUL for operator, _ in _operators(when))


def check_stateless(when: Condition | None) -> None:
    """Raise ValueError for a condition with a memory, which a subscription cannot keep."""
    for operator, _ in _operators(when):
        if operator in STATEFUL:
            raise ValueError(
                f"when: {operator} forgets its state between polls of a subscription; use"
                " limit=, each_n= or each_s= of subscribe(), or query()"
            )


def restricts(when: Condition | None) -> bool:
    """Tell whether a condition selects records, and is more than directives or a constant."""
    if isinstance(when, Mapping):
        return any(not str(key).startswith("#") for key in when)
    return isinstance(when, str)
