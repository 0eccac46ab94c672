"""The body of query creation: types and defaults."""

import pytest

from reduct_local.query_request import QueryRequest, parse_query
from tests.local.query_calls import status


def test_defaults() -> None:
    """Everything but the type may be absent or null; unknown members do not count."""
    expected = QueryRequest(remove=False)
    assert parse_query({"query_type": "QUERY"}) == expected
    assert expected.ttl == 60
    names = ["entries", "start", "stop", "ttl", "only_metadata", "continuous", "strict", "when"]
    absent: dict[str, object] = dict.fromkeys([*names, "ext"])
    assert parse_query({"query_type": "QUERY", **absent, "limit": 5, "include": {}}) == expected


def test_all_members() -> None:
    """Members keep their values; conditions and extensions are not looked at."""
    document: dict[str, object] = {
        "query_type": "REMOVE",
        "entries": ["a", "b/*"],
        "start": 0,
        "stop": 2**64 - 1,
        "ttl": 0,
        "only_metadata": True,
        "continuous": True,
        "strict": True,
        "when": [1],
        "ext": 5,
    }
    assert parse_query(document) == QueryRequest(
        True, ("a", "b/*"), 0, 2**64 - 1, 0, True, True, True, [1], 5
    )


@pytest.mark.parametrize(
    "members",
    [
        {"query_type": None},
        {"query_type": "query"},
        {"query_type": []},
        {"entries": "a"},
        {"entries": [1]},
        {"entries": [None]},
        {"start": -1},
        {"start": 1.0},
        {"start": "1"},
        {"start": True},
        {"stop": 2**64},
        {"ttl": -1},
        {"ttl": 0.5},
        {"only_metadata": 1},
        {"continuous": "true"},
        {"strict": {}},
    ],
)
def test_wrong_types(members: dict[str, object]) -> None:
    """They are 422, and so is a missing type."""
    with status(422):
        parse_query({"query_type": "QUERY", **members})
    with status(422):
        parse_query({key: value for key, value in members.items() if key != "query_type"})
