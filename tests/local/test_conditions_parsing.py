"""Forms of conditions, literals, references, what is refused, strict and not."""

import logging
from typing import Any

import pytest

from reduct_local.conditions import (
    EndsRealServerError,
    Evaluation,
    check_syntax,
    parse_condition,
)
from reduct_local.conditions.operators import OPERATORS
from reduct_local.conditions.values import Duration, Value
from reduct_local.errors import ApiError
from tests.local.condition_calls import Labelled, fails, matching, refused, selected, value


@pytest.mark.parametrize(
    ("when", "labels", "expected"),
    [
        ({}, {}, True),
        (True, {}, True),
        (False, {}, False),
        (0, {}, False),
        (0.5, {}, True),
        (-0.0, {}, False),
        ("", {}, False),
        ("x", {}, True),
        ("0s", {}, False),
        ("&a", {"a": "0"}, False),
        ("&a", {"a": "nan"}, True),
        ("&a", {}, False),
        ("@a", {"a": "1"}, False),
        ("$timestamp", {}, True),
        ("$and", {}, True),
        ("$or", {}, False),
        ({"&a": {"$eq": 1}, "&b": {"$eq": 2}}, {"a": "1", "b": "2"}, True),
        ({"&a": {"$eq": 1}, "&b": {"$eq": 2}}, {"a": "1", "b": "3"}, False),
        # The first false one ends the look: the missing label is not missed.
        ({"$or": [], "&missing": {"$eq": 1}}, {}, False),
        ({"$eq": [1, 1]}, {}, True),
        ({"$not": False}, {}, True),
        ({"$not": ["&a"]}, {"a": "0"}, True),
        ({"1": {"$ne": 1}}, {}, True),
        ({"1s": {"$eq": 1_000_000}}, {}, True),
        ({"&a": {"$gt": {"$add": [1, 2]}}}, {"a": "4"}, True),
        # Every member of an object is an operand.
        ({"$eq": [{"$add": [1], "$mult": [1]}]}, {}, True),
        ({"$and": [{}]}, {}, True),
        ({"$or": [{}]}, {}, False),
        # An operator without operands on the left side.
        ({"$not": {"$eq": True}}, {}, True),
        ({"$timestamp": {"$eq": 5}}, {}, True),
    ],
)
def test_forms(when: object, labels: dict[str, str], expected: bool) -> None:
    """Arrays, single operands, the object form, and constants as the whole."""
    evaluation: Evaluation[Labelled] = parse_condition(when).start()
    assert evaluation.matches(Labelled(5, labels)) is expected


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("abc", "abc"),
        ("10", "10"),
        ("true", "true"),
        ("$$x", "$x"),
        ("$$", "$"),
        ("5s", Duration(5_000_000)),
        ("m1", Duration(60_000_000)),
        ("1.5s", "1.5s"),
        ("#x", "#x"),
        (10**30, 1e30),
        (-(2**63) - 1, -(2.0**63)),
        (2**64, 2.0**64),
    ],
)
def test_literals(literal: Any, expected: Value) -> None:
    """Texts stay texts, unless they are durations, references or escaped."""
    found = value({"$add": [literal]})
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "when",
    [
        [],
        [1],
        {"$and": [None]},
        {"$and": None},
        {"$and": [[1]]},
        {"&a": {"$in": [1]}},
        {"&a": {"$eq": None}},
        {"&a": {"$eq": 1, "$ne": 2}},
        {"&a": {}},
        {"&a": {"eq": 1}},
        {"&a": 1},
        {"and": [1]},
        {"": 1},
        {"$unknown": [1]},
        {"$not": {"&a": {"$eq": 1}}},
        {"$eq": ["&a", "$unknown"]},
        {"$eq": ["&a", "$limit"]},
        "$limit",
        "$",
        {"&a": {"#ctx_before": 1}},
        {"$and": [{"#ctx_before": 1}]},
        {"$timestamp": 1},
        {"$timestamp": [1]},
        {"$limit": []},
        {"$limit": [1, 2]},
        {"$limit": {}},
        {"$gate": [1]},
        {"$in": [1]},
        {"$nin": []},
        {"$eq": [1]},
        {"$eq": [1, 2, 3]},
        {"$eq": [{}, 1]},
        {"$cast": ["1"]},
        {"$has": []},
        {"$day": []},
        {"$day": [1, "UTC", 2]},
        {"$abs": []},
    ],
)
def test_refused_conditions(when: object) -> None:
    """Wrong forms, unknown operators and numbers of operands are 422, used or not."""
    assert refused(when) == 422
    with pytest.raises(ApiError):
        check_syntax(when)


@pytest.mark.parametrize(
    "when", [2**63, {"$eq": [2**64 - 1, 1]}, {"&a": {"$eq": 2**63}}, {"$and": [{"$add": 2**63}]}]
)
def test_integers_that_end_the_real_server(when: object, caplog: pytest.LogCaptureFixture) -> None:
    """Integers from 2^63 to 2^64-1 are 422 here, with a warning in the log."""
    with caplog.at_level(logging.WARNING, "reduct_local"), pytest.raises(EndsRealServerError):
        parse_condition(when)
    assert "would not survive" in caplog.text


def test_only_what_is_evaluated_can_fail() -> None:
    """Operands behind the one that decides are not looked at."""
    assert value({"$and": [False, "&missing"]}) is False
    assert value({"$or": [True, "&missing"]}) is True
    assert value({"$not": [True, "&missing"]}) is False
    assert value({"$in": [1, 1, "&missing"]}) is True
    assert value({"$has": ["none", "&missing"]}) is False
    assert fails({"$xor": [True, "&missing"]}) == 404


def test_errors_without_strict() -> None:
    """An error anywhere makes the whole condition false, also inside `$or` and `$not`."""
    records = [Labelled(1, {"a": "1"}), Labelled(2), Labelled(3, {"a": "x"})]
    found = selected({"$not": [{"$gt": [{"$add": ["&a", 1]}, 5]}]}, records)
    assert found == [records[0]]


@pytest.mark.parametrize(
    ("when", "labels", "status"),
    [
        ({"&a": {"$eq": 1}}, {}, 404),
        ({"@a": {"$eq": 1}}, {"a": "1"}, 404),
        ({"$ref": "a"}, {}, 404),
        ({"$add": ["&a", 1]}, {"a": "x"}, 422),
        ({"$div": [1, 0]}, {}, 422),
        ({"$each_n": 0}, {}, 422),
    ],
)
def test_errors_with_strict(when: object, labels: dict[str, str], status: int) -> None:
    """A strict evaluation raises the error: 404 for a missing label, else 422."""
    with pytest.raises(ApiError) as caught:
        selected(when, [Labelled(1, labels)], strict=True)
    assert caught.value.status == status
    assert selected(when, [Labelled(1, labels)]) == []


def test_what_ends_the_real_server_is_an_error_without_strict_too() -> None:
    """Such a condition never counts as false."""
    with pytest.raises(EndsRealServerError):
        selected({"$rem": [1, 0]}, [Labelled(1)])


def test_evaluations_do_not_share_their_state() -> None:
    """A condition can be started any number of times, each time in its first state."""
    condition = parse_condition({"$each_n": 2})
    first: Evaluation[Labelled] = condition.start()
    second: Evaluation[Labelled] = condition.start()
    assert [first.matches(Labelled()) for _ in range(3)] == [False, True, False]
    assert [second.matches(Labelled()) for _ in range(2)] == [False, True]
    assert matching({"$each_n": 2}, [1, 2]) == [2]


def test_every_operator_is_known() -> None:
    """The table holds all operators of the API and nothing else."""
    words = """and all_of or any_of not none_of xor one_of in nin eq ne gt gte lt lte add mult sub
    rem div div_num abs contains starts_with ends_with has exists ref cast timestamp id second
    minute hour day month year weekday each_n each_t limit gate"""
    assert {f"${word}" for word in words.split()} == OPERATORS
