"""Texts of durations and sizes, as conditions, settings and policies write them."""

import re

from reduct_local.integers import U64_MAX, parse_u64

_UNITS = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}

# White space of Unicode; `str.split` would cut at a few control characters too.
_SPACES = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")

# The letters of the unit may stand anywhere in a part: `5s`, `s5` and even `m5s` are durations.
_NUMBER_CHARACTERS = re.compile("[0-9.-]")
_SIZE = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.].*|)", re.DOTALL)

_DECIMAL_SUFFIXES = "kmgtpe"


def wrap_i64(number: int) -> int:
    """Return `number` cut to 64 bits with sign, as the real server's integers overflow."""
    if -0x8000_0000_0000_0000 <= number <= 0x7FFF_FFFF_FFFF_FFFF:
        return number
    return (number + 2**63) % 2**64 - 2**63


def parse_i64(text: str) -> int | None:
    """Return the number that a decimal text stands for, None unless it fits in 64 bits.

    One leading sign and leading zeros are fine, spaces and separators are not.
    """
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    # Python refuses to convert very long texts, so the leading zeros go first.
    digits = digits.lstrip("0") or "0"
    if len(digits) > 19:
        return None
    number = -int(digits) if text[0] == "-" else int(digits)
    return number if -(2**63) <= number < 2**63 else None


def parse_duration(text: str) -> int | None:
    """Return the microseconds of a duration text (`1h -30m`), None when it is none.

    Parts are separated by spaces and added up; a part is a whole number and one unit of
    `us ms s m h d`. What does not fit in 64 bits wraps around, as on the real server.
    """
    parts = [part for part in _SPACES.split(text) if part]
    if not parts:
        return None
    total = 0
    for part in parts:
        value = _parse_part(part)
        if value is None:
            return None
        total += value
    return wrap_i64(total)


def _parse_part(part: str) -> int | None:
    factor = _UNITS.get(_NUMBER_CHARACTERS.sub("", part))
    if factor is None:
        return None
    number = parse_i64("".join(_NUMBER_CHARACTERS.findall(part)))
    return None if number is None else number * factor


def format_duration(microseconds: int) -> str:
    """Return the text of a duration, with every unit that is needed: `1h 30m`, `0us`."""
    if microseconds == -(2**63):
        # The absolute value does not fit in 64 bits, so that the real server finds no unit.
        return "0us"
    sign = "-" if microseconds < 0 else ""
    rest = abs(microseconds)
    parts = []
    for unit, factor in reversed(_UNITS.items()):
        if rest >= factor:
            parts.append(f"{sign}{rest // factor}{unit}")
            rest %= factor
    return " ".join(parts) or "0us"


def parse_size(text: str) -> int | None:
    """Return the bytes of a size text (`8MB`, `64KiB`, `1.5 k`, `10`), None when it is none.

    A number alone has to be whole; `kB` is 1000 and `KiB` 1024, in any case, `B` may be left
    out. What does not fit in 64 bits without sign is the greatest number that does.
    """
    whole = parse_u64(text)
    if whole is not None:
        return whole
    found = _SIZE.fullmatch(text)
    if found is None:
        return None
    spaces = _SPACES.match(found[2])
    factor = _size_factor(found[2][spaces.end() :] if spaces else found[2])
    if factor is None:
        return None
    return min(int(min(float(found[1]) * factor, float(U64_MAX))), U64_MAX)


def _size_factor(suffix: str) -> int | None:
    suffix = suffix.lower() if suffix.isascii() else ""
    if suffix == "b":
        return 1
    power = _DECIMAL_SUFFIXES.find(suffix[:1]) + 1
    if not suffix or not power:
        return None
    return {"": 1000**power, "b": 1000**power, "i": 1024**power, "ib": 1024**power}.get(suffix[1:])
