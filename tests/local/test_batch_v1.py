"""The headers of batch protocol v1, held against another reading of it."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_local.batch_v1 import (
    DEFAULT_TYPE,
    RecordHead,
    carries,
    error_header,
    label_pairs,
    parse_heads,
    parse_value,
    record_header,
    timed_values,
)
from reduct_local.errors import ApiError
from tests import batch_protocol
from tests.batch_protocol import LABEL_NAMES, PIECES, PLAIN_VALUES

BEYOND = re.compile(r"\+|,[ \t]+,")
"""What the other reading leaves open: signs, and types that are blank but not empty."""

VALUES = (
    st.lists(st.sampled_from([*PIECES, "5", "12", "x/y", ",,", "@c=1", "k=", "9" * 20]), max_size=8)
    .map(lambda pieces: "".join(pieces).strip())
    .filter(lambda text: not BEYOND.search(text))
)
"""Texts that mean something, or nearly, as the value of a record header."""


def raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def parsed(value: str) -> RecordHead:
    return parse_value(1, value.encode())


@pytest.mark.parametrize(
    ("value", "size", "content_type", "labels"),
    [
        ("10,", 10, DEFAULT_TYPE, {}),
        (" 10 ,", 10, DEFAULT_TYPE, {}),
        ("010,", 10, DEFAULT_TYPE, {}),
        ("+10,", 10, DEFAULT_TYPE, {}),
        ("18446744073709551615,", 2**64 - 1, DEFAULT_TYPE, {}),
        ("10, text/plain ", 10, "text/plain", {}),
        ("10,a=1", 10, "a=1", {}),
        ("10,,a=1", 10, DEFAULT_TYPE, {"a": "1"}),
        ("10, ,a=1", 10, "", {"a": "1"}),
        ("10,x/y,a=1,b=2", 10, "x/y", {"a": "1", "b": "2"}),
        ("10,,a=1,a=2", 10, DEFAULT_TYPE, {"a": "2"}),
        ("10,, a = 1 , b=2", 10, DEFAULT_TYPE, {"a": "1", "b": "2"}),
        ("10,,a=b=c", 10, DEFAULT_TYPE, {"a": "b=c"}),
        ("10,,a=", 10, DEFAULT_TYPE, {"a": ""}),
        ("10,,a=,b=1", 10, DEFAULT_TYPE, {"a": "", "b": "1"}),
        ('10,,a="1,2",b=3', 10, DEFAULT_TYPE, {"a": "1,2", "b": "3"}),
        ('10,,a=" x ",b=3', 10, DEFAULT_TYPE, {"a": "x", "b": "3"}),
        ('10,,a="1"b=3', 10, DEFAULT_TYPE, {"a": "1", "b": "3"}),
        ('10,,a="1",,,b=3', 10, DEFAULT_TYPE, {"a": "1", "b": "3"}),
        ('10,,a= "1"', 10, DEFAULT_TYPE, {"a": '"1"'}),
        ('10,,a=x"1,b=2"', 10, DEFAULT_TYPE, {"a": 'x"1', "b": '2"'}),
        ("10,,a=1,rest", 10, DEFAULT_TYPE, {"a": "1"}),
        ("10,,rest", 10, DEFAULT_TYPE, {}),
        ("10,,a=1,,b=2", 10, DEFAULT_TYPE, {"a": "1", ",b": "2"}),
        ("10,,=1", 10, DEFAULT_TYPE, {"": "1"}),
        ("10,,@a=1", 10, DEFAULT_TYPE, {"@a": "1"}),
        ("10,,a%20b=%2C", 10, DEFAULT_TYPE, {"a%20b": "%2C"}),
    ],
)
def test_value(value: str, size: int, content_type: str, labels: Mapping[str, str]) -> None:
    assert parsed(value) == RecordHead(1, size, content_type, dict(labels))


@pytest.mark.parametrize(
    "value",
    [
        "10",
        "",
        ",",
        "x,",
        "-1,",
        "1.0,",
        "++1,",
        "1 0,",
        "18446744073709551616,",
        '10,,a="1',
        '10,,a="1,b=2',
    ],
)
def test_refused_value(value: str) -> None:
    with pytest.raises(ApiError) as caught:
        parsed(value)
    assert caught.value.status == 422


def test_value_that_is_not_ascii() -> None:
    with pytest.raises(ApiError) as caught:
        parse_value(1, b"10,,a=\xc3\xa4")
    assert caught.value.status == 422


def test_records_are_sorted_by_number() -> None:
    headers = raw({"x-reduct-time-10": "1,", "other": "x", "x-reduct-time-9": "2,"})
    assert timed_values(headers) == [(9, b"2,"), (10, b"1,")]


def test_first_of_repeated_headers_counts() -> None:
    headers = [(b"x-reduct-time-1", b"1,"), (b"x-reduct-time-1", b"2,")]
    assert timed_values(headers) == [(1, b"1,")]


def test_one_timestamp_in_two_spellings() -> None:
    headers = [(b"x-reduct-time-1", b"1,"), (b"x-reduct-time-01", b"2,")]
    assert timed_values(headers) == [(1, b"1,"), (1, b"2,")]


@pytest.mark.parametrize("suffix", ["", "x", "-1", "1x", "18446744073709551616"])
def test_refused_timestamp(suffix: str) -> None:
    with pytest.raises(ApiError) as caught:
        timed_values(raw({f"x-reduct-time-{suffix}": "1,"}))
    assert caught.value.status == 422


@given(values=st.dictionaries(st.integers(0, 2**64 - 1), VALUES, max_size=4))
def test_requests_are_read_as_by_the_other_reading(values: Mapping[int, str]) -> None:
    headers = {f"x-reduct-time-{key}": value for key, value in values.items()}
    assert found(headers) == expected(headers)


def found(headers: Mapping[str, str]) -> list[RecordHead] | int:
    try:
        return parse_heads(timed_values(raw(headers)))
    except ApiError as error:
        return error.status


def expected(headers: Mapping[str, str]) -> list[RecordHead] | int:
    try:
        records = batch_protocol.request_v1(headers, "e")
    except batch_protocol.Refused:
        return 422
    return [
        RecordHead(record.timestamp, record.size, record.content_type, dict(record.labels))
        for record in records
    ]


@given(
    timestamp=st.integers(0, 2**64 - 1),
    size=st.integers(0, 2**64 - 1),
    content_type=st.sampled_from(["text/plain", DEFAULT_TYPE, "a; b=c"]),
    labels=st.dictionaries(LABEL_NAMES, PLAIN_VALUES | st.just("a,b")),
)
def test_answers_are_read_back(
    timestamp: int, size: int, content_type: str, labels: dict[str, str]
) -> None:
    header = record_header(timestamp, size, content_type, labels)
    assert parse_heads(timed_values([header])) == [
        RecordHead(timestamp, size, content_type, labels)
    ]


@given(labels=st.dictionaries(LABEL_NAMES, st.text("ab,=\"' ", max_size=6)))
def test_answers_are_those_of_the_other_reading(labels: dict[str, str]) -> None:
    stored = batch_protocol.Stored("e", 7, b"data", "x/y", labels)
    headers, _ = batch_protocol.answer_v1([stored], last=True)
    name, value = record_header(7, 4, "x/y", labels)
    assert (name.decode(), value.decode()) in headers


def test_strict_pairs_refuse_a_rest() -> None:
    assert list(label_pairs("a=1,rest", strict=False)) == [("a", "1")]
    with pytest.raises(ApiError):
        list(label_pairs("a=1,rest", strict=True))


@pytest.mark.parametrize(
    ("name", "can"), [("a", True), ("A b/@", True), ("ä", False), ("a\nb", False), ("\x7f", False)]
)
def test_names_that_answers_carry(name: str, can: bool) -> None:
    assert carries([name]) is can
    assert carries(["a", name]) is can


def test_error_header() -> None:
    assert error_header(5, ApiError(409, "exists, already")) == (
        b"x-reduct-error-5",
        b"409,exists, already",
    )
    assert error_header(5, ApiError(404, "no 'a\x00\nb\x7f' ä"))[1] == "404,no 'a??b?' ä".encode()
