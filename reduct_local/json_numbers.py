"""Numbers of JSON texts, rounded as the real server rounds them.

Its parser is a fast one: doubles with many digits may be off in the last bit, so that a condition
`{"&label": 0.12188601240559549}` does not find the label of that text. What is read exactly here
would find it.
"""

import re

from reduct_local.integers import U64_MAX

_NUMBER = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")

_LARGEST_POWER = 308
_LARGEST_EXPONENT_DIGITS = 10


def parse_number(text: str) -> int | float:
    """Return the number that a JSON number means: an integer if it fits in 64 bits.

    `-0` is a double. Meant for `parse_int` and `parse_float` of `json.loads`.
    Raises ValueError for what no finite double can hold.
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(f"no JSON number: {text}")
    sign, whole, fraction, exponent = found.groups()
    if fraction is None and exponent is None and len(whole) <= 20:
        number = int(sign + whole)
        if (number and -(2**63) <= number <= U64_MAX) or text == "0":
            return number
    value = _double(whole, fraction or "", exponent or "0")
    return -value if sign else value


def _double(whole: str, fraction: str, exponent: str) -> float:
    digits, used = _significand(0, whole)
    power = len(whole) - used
    digits, used = _significand(digits, fraction)
    power -= used
    scale = exponent.lstrip("+-").lstrip("0")
    if len(scale) > _LARGEST_EXPONENT_DIGITS:
        if digits and not exponent.startswith("-"):
            raise ValueError("number out of range")
        return 0.0
    return _scaled(float(digits), power + int(exponent))


def _significand(start: int, digits: str) -> tuple[int, int]:
    """Return the digits behind `start` as far as 64 bits hold them, and how many were used."""
    for used, digit in enumerate(digits):
        longer = start * 10 + int(digit)
        if longer > U64_MAX:
            return start, used
        start = longer
    return start, len(digits)


def _scaled(value: float, power: int) -> float:
    while abs(power) > _LARGEST_POWER and value:
        if power > 0:
            raise ValueError("number out of range")
        value /= 1e308
        power += _LARGEST_POWER
    if not value:
        return value
    scaled = value * float(f"1e{power}") if power >= 0 else value / float(f"1e{-power}")
    if scaled == float("inf"):
        raise ValueError("number out of range")
    return scaled
