"""Directives: context, labels, limits of batches."""

import dataclasses

import pytest

from reduct_local.conditions import Evaluation, check_syntax, parse_condition
from reduct_local.conditions.directives import Directives, Padding
from tests.local.condition_calls import Labelled, matching, refused, selected

AT_4_AND_9 = {"$in": ["$timestamp", 4, 9]}


@pytest.mark.parametrize(
    ("directives", "expected"),
    [
        ({"#ctx_before": 0}, [4, 9]),
        ({"#ctx_before": 2}, [2, 3, 4, 7, 8, 9]),
        ({"#ctx_before": 100}, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({"#ctx_before": "1us"}, [3, 4, 8, 9]),
        ({"#ctx_before": "2"}, [2, 3, 4, 7, 8, 9]),
        ({"#ctx_before": 1.9}, [3, 4, 8, 9]),
        ({"#ctx_before": True}, [3, 4, 8, 9]),
        ({"#ctx_after": 1}, [4, 5, 9, 10]),
        ({"#ctx_after": "2us"}, [4, 5, 6, 9, 10, 11]),
        ({"#ctx_before": 1, "#ctx_after": 1}, [3, 4, 5, 8, 9, 10]),
        # Nothing is returned twice where contexts meet.
        ({"#ctx_before": 3, "#ctx_after": 3}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    ],
)
def test_context(directives: dict[str, object], expected: list[int]) -> None:
    """Records or spans of time before and after each match come with it."""
    assert matching({**directives, **AT_4_AND_9}, range(1, 12)) == expected


def test_context_at_a_limit() -> None:
    """A record of the context before that waits at the end is not returned."""
    when = {"#ctx_before": 1, "#ctx_after": 1, "$in": ["$timestamp", 3, 5], "$limit": 1}
    assert matching(when, range(1, 9)) == [2, 3, 4, "end"]


def test_context_after_near_the_end_of_time() -> None:
    """A span that would end behind the last time wraps around, as on the real server."""
    last = 2**64 - 1
    when = {"#ctx_after": "1s", "$eq": ["$timestamp", -3]}
    assert matching(when, [last - 2, last - 1]) == []
    assert matching(when, [last - 10**7, last - 2]) == []


def test_selected_labels() -> None:
    """Other labels are taken from the answer, not from the record; conditions see them all."""
    record = Labelled(1, {"a": "1", "b": "2"})
    for names in ("a", ["a", "x"]):
        (found,) = selected({"#select_labels": names, "&b": {"$eq": 2}}, [record])
        assert found == Labelled(1, {"a": "1"})
    assert record.labels == {"a": "1", "b": "2"}
    assert selected({"#select_labels": ["x"]}, [record]) == [Labelled(1, {})]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, {}),
        (True, {}),
        ({"#batch_size": 5}, {"batch_max_size": 5}),
        ({"#batch_size": "1KB"}, {"batch_max_size": 1000}),
        ({"#batch_metadata_size": "1KiB"}, {"batch_max_metadata_size": 1024}),
        ({"#batch_records": 0}, {"batch_max_records": 0}),
        ({"#batch_timeout": 2}, {"batch_timeout_s": 2.0}),
        ({"#batch_timeout": "1ms"}, {"batch_timeout_s": 0.001}),
        ({"#record_timeout": [0]}, {"batch_records_timeout_s": 0.0}),
        ({"#io_timeout": 1}, {}),
        ({"#ctx_before": "1s"}, {"before": Padding(1_000_000, True)}),
        ({"#ctx_after": 1}, {"after": Padding(1)}),
        ({"#select_labels": ["a", "b"]}, {"select_labels": frozenset("ab")}),
    ],
)
def test_values(when: object, expected: dict[str, object]) -> None:
    """What directives mean; a `when` of directives alone selects everything."""
    condition = parse_condition(when)
    assert condition.directives == dataclasses.replace(Directives(), **expected)  # type: ignore[arg-type]
    evaluation: Evaluation[Labelled] = condition.start()
    assert evaluation.matches(Labelled())


WRONG_VALUES: dict[str, list[object]] = {
    "#ctx_before": [-1, "-1s", "x", [], [1, 2], {"a": 1}],
    "#ctx_after": [-1, -2.5, "1.5s"],
    "#select_labels": [[], 1, [1], "5s", True],
    "#batch_size": [-1, 1.5, "x", "1s", True, []],
    "#batch_metadata_size": [-1, "-1"],
    "#batch_records": [-1, "2", 1.5, True, "1s"],
    "#batch_timeout": [-1, "-1s", 1.5, "x", True],
    "#record_timeout": ["x"],
    "#io_timeout": ["x"],
}


@pytest.mark.parametrize(
    "directives", [{name: wrong} for name, values in WRONG_VALUES.items() for wrong in values]
)
def test_wrong_values(directives: dict[str, object]) -> None:
    """They are 422, but only for queries that select an entry."""
    assert refused(directives) == 422
    check_syntax(directives)


@pytest.mark.parametrize(
    "directives",
    [
        {"#unknown": 1},
        {"#": 1},
        {"#CTX_BEFORE": 1},
        {"#ctx_before": None},
        {"#ctx_before": [None]},
        {"#ctx_before": [[1]]},
        {"#select_labels": [{"a": 1}]},
        {"#batch_records": 2**63},
        {"#ext": None},
    ],
)
def test_wrong_directives(directives: dict[str, object]) -> None:
    """Unknown names and impossible types are 422 for every query."""
    assert refused(directives) == 422
    with pytest.raises(Exception, match="Directive"):
        check_syntax(directives)


def test_extension_directive() -> None:
    """Its value is left to those who look at extensions."""
    values: list[object] = [{"name": {}}, [{"name": {}}], "x", []]
    for ext in values:
        parse_condition({"#ext": ext})
