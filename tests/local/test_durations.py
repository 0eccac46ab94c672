"""Texts of durations and sizes; what the real server reads is the expectation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_local.durations import (
    format_duration,
    parse_duration,
    parse_i64,
    parse_size,
    wrap_i64,
)
from reduct_local.integers import U64_MAX

I64 = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("15us", 15),
        ("100ms 500us", 100_500),
        ("1h -30m", 1_800_000_000),
        ("2d 3h", 183_600_000_000),
        ("-2s", -2_000_000),
        ("0s", 0),
        # The letters may stand anywhere in a part.
        ("m1", 60_000_000),
        ("us-1", -1),
        ("1m1s", 11_000),
        ("m5s", 5_000),
        (" 1s\t2s\u20031us ", 3_000_001),
        ("9223372036854775807us", 2**63 - 1),
        # Wraps around in 64 bits.
        ("9223372036854775807ms", -1_000),
        ("9223372036854775807us 1us", -(2**63)),
    ],
)
def test_durations(text: str, microseconds: int | None) -> None:
    """Parts are added up; unit and number may be mixed within a part."""
    assert parse_duration(text) == microseconds


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "5", "s", "-s", "1.5s", "+5s", "5 s", "--5s", "5-s", "1h,2m", "abc", "1S"),
        *("100xyz", "9223372036854775808us", "1us\x1f2us", "1us\x002us", "١s"),
    ],
)
def test_texts_that_are_no_durations(text: str) -> None:
    """Decimals, other units, numbers beyond 64 bits and other separators are no durations."""
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0us"),
        (1, "1us"),
        (60_000_000, "1m"),
        (5_400_000_000, "1h 30m"),
        (-5_400_000_001, "-1h -30m -1us"),
        (90_061_001_001, "1d 1h 1m 1s 1ms 1us"),
        (-(2**63), "0us"),
    ],
)
def test_format(microseconds: int, text: str) -> None:
    """Every unit that is needed is written, with the sign; the least number has no text."""
    assert format_duration(microseconds) == text


@given(I64.filter(lambda number: number != -(2**63)))
def test_formatted_durations_are_read_back(microseconds: int) -> None:
    """The text of a duration means the same duration."""
    assert parse_duration(format_duration(microseconds)) == microseconds


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+5", 5),
        ("-0", 0),
        ("00000000000000000000000007", 7),
        ("0" * 5000 + "1", 1),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", None),
        ("9" * 5000, None),
        ("", None),
        ("-", None),
        ("1_0", None),
        (" 1", None),
        ("١", None),
        ("²", None),
        ("+-1", None),
    ],
)
def test_parse_i64(text: str, number: int | None) -> None:
    """Only what fits in 64 bits with sign, in plain digits, is a number."""
    assert parse_i64(text) == number


@given(st.integers(-(2**130), 2**130))
def test_wrap(number: int) -> None:
    """What is cut off is a multiple of 2^64; numbers that fit stay."""
    wrapped = wrap_i64(number)
    assert -(2**63) <= wrapped < 2**63
    assert (number - wrapped) % 2**64 == 0


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("+7", 7),
        ("10", 10),
        ("1b", 1),
        ("1KB", 1000),
        ("1k", 1000),
        ("1 KiB", 1024),
        ("2ki", 2048),
        (".5k", 500),
        ("1.9b", 1),
        ("3.mb", 3_000_000),
        ("1GB", 10**9),
        ("1GiB", 2**30),
        ("1tb", 10**12),
        ("1TiB", 2**40),
        ("1pb", 10**15),
        ("1pib", 2**50),
        ("1eb", 10**18),
        ("1EiB", 2**60),
        ("99eb", U64_MAX),
        ("18446744073709551615", U64_MAX),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """Units of 1000 and 1024, in any case, with or without B, with decimals."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        *("", " 1", "1 ", "1.5", "1.2.3mb", "-1", "-1kb", "kb", "1xb", "1kbb", "1k b", "1e3"),
        *("1 i", "1ib", "18446744073709551616", ".kb", "1\u212ab", "1bb"),
    ],
)
def test_texts_that_are_no_sizes(text: str) -> None:
    """Signs, spaces at the ends, unknown units and fractions of nothing are refused."""
    assert parse_size(text) is None
