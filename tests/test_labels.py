"""Labels: what is stored is read back unchanged, what cannot be is refused, by one encoder."""

import random
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reduct_core import labels as codec
from reduct_core.labels import content_type, encode, format_pairs, parse_pairs
from tests.batch_protocol import (
    LABEL_NAMES,
    LABEL_VALUES,
    Refused,
    pairs_of,
    quoted,
    request_v1,
)

LABELS = st.dictionaries(LABEL_NAMES, LABEL_VALUES, max_size=5)


def accepted(labels: Mapping[str, str]) -> bool:
    try:
        return encode(labels) == labels
    except ValueError:
        return False


# --- values --------------------------------------------------------------------------------


class Count(IntEnum):
    SEVEN = 7


class Word(StrEnum):
    YES = "yes"


class Text(str):
    def __str__(self) -> str:
        return "something else"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (10, "10"),
        (-(2**70), str(-(2**70))),
        (1.5, "1.5"),
        (1e300, "1e+300"),
        (0.1, "0.1"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (Count.SEVEN, "7"),
        (Word.YES, "yes"),
        (Text("text"), "text"),
        (np.bool_(True), "true"),
        (np.int8(-3), "-3"),
        (np.uint64(2**64 - 1), str(2**64 - 1)),
        (np.float64(0.1), "0.1"),
        (np.float32(0.5), "0.5"),
        (np.str_("text"), "text"),
    ],
    ids=repr,
)
def test_b12_values_become_text(value: Any, text: str) -> None:
    assert encode({"name": value}) == {"name": text}
    assert type(encode({"name": value})["name"]) is str


@given(st.floats())
def test_floats_read_back_as_the_same_float(value: float) -> None:
    text = encode({"name": value})["name"]
    assert text is not None
    assert float(text) == value or value != value


@given(st.floats(width=32))
def test_numpy_floats_read_back_as_the_same_float(value: float) -> None:
    text = encode({"name": np.float32(value)})["name"]
    assert text is not None
    assert np.float32(text) == value or value != value


class Kind(Enum):
    ONE = 1


@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        np.bytes_(b"bytes"),
        Decimal(1),
        1j,
        np.complex64(1),
        [1],
        np.array([1, 2]),
        np.array([1]),
        np.datetime64("2020-01-01", "s"),
        np.datetime64("2020-01-01", "ns"),
        np.timedelta64(5, "ns"),
        Kind.ONE,
        {"a": 1},
        pytest.param(object(), id="object"),
    ],
    ids=repr,
)
def test_other_types_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^label 'name' must be str, bool, int or float"):
        encode({"name": value})


def test_an_int_beyond_pythons_limit_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^label 'name'"):
        encode({"name": 10**5000})


@pytest.mark.parametrize(
    "value", ["ü", "a\nb", "a\rb", "a\x00", "\x7f", "\ud800", "\N{NO-BREAK SPACE}", "a\x0bb"]
)
def test_text_that_is_not_visible_ascii_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"^label 'name'=.*ASCII"):
        encode({"name": value})


@pytest.mark.parametrize("value", [" ", " a", "a ", "\ta", "a\t"])
def test_spaces_at_the_ends_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"^label 'name'=.*spaces at the ends"):
        encode({"name": value})


def test_long_values_are_cut_in_messages() -> None:
    with pytest.raises(ValueError, match="ASCII") as caught:
        encode({"name": "x" * 10_000 + "ü"})
    assert len(str(caught.value)) < 300


# --- names ---------------------------------------------------------------------------------


@given(LABEL_NAMES)
def test_header_tokens_are_names(name: str) -> None:
    assert encode({name: "1"}) == {name: "1"}


@pytest.mark.parametrize(
    "name", ["", "a b", "a/b", "a=b", "a,b", "a%b", 'a"b', "ü", "a:b", "a\n", "(a)", "a@"]
)
def test_names_that_end_the_server_or_get_lost_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^label name"):
        encode({name: "1"})


def test_computed_names_are_refused() -> None:
    with pytest.raises(ValueError, match="'@' marks labels computed by extensions"):
        encode({"@name": "1"})


@pytest.mark.parametrize("name", [None, 5, b"name", ("a",)])
def test_names_must_be_str(name: Any) -> None:
    with pytest.raises(TypeError, match=r"^label name .* must be a str"):
        encode({name: "1"})


def test_names_that_differ_only_in_case_are_refused() -> None:
    assert encode({"Score": 1, "other": 2}) == {"Score": "1", "other": "2"}
    with pytest.raises(ValueError, match="'Score' and 'score' differ only in case"):
        encode({"Score": 1, "score": 2})


@pytest.mark.parametrize("labels", ["a=b", [("a", "b")], 5, {"a"}])
def test_labels_must_be_a_mapping(labels: Any) -> None:
    with pytest.raises(TypeError, match=r"^labels must be a mapping"):
        encode(labels)


def test_any_mapping_will_do() -> None:
    assert encode(MappingProxyType({"a": 1})) == {"a": "1"}
    assert encode(None) == {}
    assert encode({}) == {}


# --- write, update -------------------------------------------------------------------------


def test_none_is_an_error_on_write_and_removes_on_update() -> None:
    encoded = encode({"gone": None, "empty": "", "kept": 1})
    assert encoded == {"gone": None, "empty": "", "kept": "1"}
    assert codec.for_update(encoded) == {"gone": "", "empty": "", "kept": "1"}
    with pytest.raises(ValueError, match="label 'gone' is None"):
        codec.for_write(encoded)
    assert codec.for_write(encode({"empty": ""})) == {"empty": ""}


# --- content types -------------------------------------------------------------------------


def test_content_types() -> None:
    assert content_type(None) == "application/octet-stream"
    assert content_type('text/plain; charset="utf-8"') == 'text/plain; charset="utf-8"'


@pytest.mark.parametrize("value", ["", " text/plain", "ü", "a\nb", "text/plain, text/html", ","])
def test_content_types_that_would_not_come_back_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"^content_type"):
        content_type(value)


@pytest.mark.parametrize("value", [5, b"text/plain", ["a"]])
def test_content_types_must_be_str(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^content_type must be a str"):
        content_type(value)


# --- what both protocols carry -------------------------------------------------------------


@given(LABELS, st.randoms(use_true_random=False))
def test_accepted_labels_are_read_back_in_any_order(
    labels: dict[str, str], order: random.Random
) -> None:
    """The server numbers labels in the order of a hash map, and sorts them by name in v1."""
    assume(accepted(labels))
    names = list(labels)
    order.shuffle(names)
    indexed = ",".join(f"{index}={quoted(labels[name])}" for index, name in enumerate(names))
    found = {names[int(index)]: text for index, text in parse_pairs(indexed, indexed=True)}
    assert found == labels
    by_name = ",".join(sorted(f"{name}={quoted(value)}" for name, value in labels.items()))
    assert dict(parse_pairs(by_name, indexed=False)) == labels


@given(LABELS)
def test_what_is_refused_could_be_misread(labels: dict[str, str]) -> None:
    """Only quotes are refused, and only where commas or other quotes make them ambiguous."""
    if not accepted(labels):
        assert any('"' in value for value in labels.values())
        assert any("," in value for value in labels.values()) or (
            sum('"' in value for value in labels.values()) > 1
        )


@pytest.mark.parametrize(
    "labels",
    [
        {"meta": '{"a": 1, "b": 2}'},
        {"meta": '{"a": 1, "b": 2}', "other": "1"},
        {"meta": '["x", "y"]', "other": "a, b"},
        {"text": '"quoted"'},
        {"text": '"quoted"', "other": "1"},
        {"size": '5"', "note": "a,b"},
        {"tags": "red,admin=true"},
        {"tags": "a,b,c=", "empty": ""},
        {"m": "a=b=c"},
        {"m": "'a','b'"},
        {"m": 'a","role=evil'},
        {"m": '","'},
        {"comma": ",", "commas": ",,"},
    ],
    ids=str,
)
def test_b11_common_texts_are_accepted(labels: dict[str, str]) -> None:
    assert accepted(labels)


@pytest.mark.parametrize(
    "labels",
    [
        {"m": 'a,b",1=c'},
        {"m": 'a,b",c=d'},
        {"a": "x,y", "b": '"abc'},
        {"a": '"abc', "b": "x,y"},
        {"a": '"abc"', "b": '"x"'},
        {"a": '"', "b": 'x"'},
    ],
    ids=str,
)
def test_b11_texts_that_would_be_misread_are_refused(labels: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="quotes and commas"):
        encode(labels)


def test_b10_a_comma_in_a_value_injects_nothing() -> None:
    header = format_pairs({"tags": "red,admin=true"})
    assert header == 'tags="red,admin=true"'
    assert pairs_of(header, strict=True) == [("tags", "red,admin=true")]


@given(LABELS)
def test_routes_are_complete_and_disjoint(labels: dict[str, str]) -> None:
    """A set of labels goes by the batch header exactly if the server reads it there unchanged."""
    assume(accepted(labels))
    try:
        header = {"x-reduct-time-1": f"0,t,{format_pairs(labels)}"}
        (record,) = request_v1(header, "entry")
        carried = record.labels == labels
    except Refused:
        carried = False
    assert codec.needs_own_call(labels) is not carried


@given(LABELS)
def test_lower_case_names_may_go_by_the_single_call(labels: dict[str, str]) -> None:
    assert not codec.needs_batch_call(labels)
    assert codec.needs_batch_call({**labels, "Upper": "1"})


def test_many_labels_need_the_batch_call() -> None:
    """A single call has a header line for each label, of which the server takes 100 in all."""
    few = {f"l{number}": "1" for number in range(codec.MAX_LABEL_LINES)}
    assert not codec.needs_batch_call(few)
    assert codec.needs_batch_call({**few, "more": "1"})
    # Next to them: HTTP's own lines, the token, and the user's extra headers.
    assert codec.MAX_LABEL_LINES + 8 + 8 < 100


def test_size_of_labels_is_limited() -> None:
    rest = codec.MAX_LABEL_BYTES - 300_000 - 2 * len("a=,")
    assert accepted({"a": "x" * 300_000, "b": "y" * rest})
    with pytest.raises(ValueError, match=f"have {codec.MAX_LABEL_BYTES + 1} bytes"):
        encode({"a": "x" * 300_000, "b": "y" * (rest + 1)})
    with pytest.raises(ValueError, match=f"at most {codec.MAX_LABEL_BYTES}"):
        encode({"a": "x" * 300_000, "b": "y" * 110_000})


# --- reading -------------------------------------------------------------------------------


@given(LABELS, st.booleans())
def test_reading_is_tolerant(labels: dict[str, str], indexed: bool) -> None:
    """Labels that other clients stored never make an answer unreadable."""
    names = [str(index) for index in range(len(labels))] if indexed else list(labels)
    text = ",".join(
        f"{name}={quoted(value)}" for name, value in zip(names, labels.values(), strict=True)
    )
    found = parse_pairs(text, indexed=indexed)
    if accepted(labels):
        assert dict(found) == dict(zip(names, labels.values(), strict=True))


@given(st.text(st.sampled_from(',="01 ab\t')), st.booleans())
def test_no_text_is_an_error(text: str, indexed: bool) -> None:
    assert all(name == name.strip() for name, _ in parse_pairs(text, indexed=indexed))


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("nothing", []),
        ("a=1,nothing", [("a", "1")]),
        ("a=", [("a", "")]),
        ("a=,b=", [("a", ""), ("b", "")]),
        (" a = 1 , b = 2 ", [("a", "1"), ("b", "2")]),
        ('a="x, y", b=1', [("a", "x, y"), ("b", "1")]),
        ('a="x', [("a", '"x')]),
        ("a=b=c", [("a", "b=c")]),
    ],
)
def test_pairs(text: str, pairs: list[tuple[str, str]]) -> None:
    assert parse_pairs(text, indexed=False) == pairs


def test_b11_an_index_tells_where_a_value_of_others_ends() -> None:
    assert parse_pairs('0="a","role=evil",1=x', indexed=True) == [
        ("0", 'a","role=evil'),
        ("1", "x"),
    ]
