"""Whole numbers as the real server reads them from texts."""

U64_MAX = 2**64 - 1


def parse_u64(text: str) -> int | None:
    """Return the number that a text stands for, None where the real server would refuse it.

    Decimal digits, leading zeros and one leading `+` are fine; more than 2^64-1 is not.
    """
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        return None
    # Python refuses to convert very long texts, so the leading zeros go first.
    digits = digits.lstrip("0")
    if len(digits) > 20:
        return None
    value = int(digits or "0")
    return value if value <= U64_MAX else None
