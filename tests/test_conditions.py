"""Conditions: what would end the server (http-api.md 10.2) is refused, and nothing else."""

import re
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_core.conditions import STATEFUL, check, check_ext, check_stateless, restricts
from tests.servers import NewServer

SMALLEST = -(2**63)

DEADLY: list[Any] = [
    # Integers that the server's parser takes for 64-bit ones.
    {"&a": {"$eq": 2**63}},
    {"$eq": ["&a", 2**64 - 1]},
    {"$in": ["&a", 1, [2**63]]},
    {"$and": [{"$or": [{"$gt": [{"$add": [2**63, 1]}, 0]}]}]},
    {"#ext": {"x": {}, "when": {"&a": {"$eq": 2**63}}}},
    {"#ctx_before": 2**63},
    2**63,
    # The remainder of a division by 0, also where it comes from a label.
    {"$rem": ["&a", 0]},
    {"$rem": [5, "&a"]},
    {"$rem": [5, False]},
    {"$rem": [5, "0s"]},
    {"$rem": [5, {"$sub": [1, 1]}]},
    {"$rem": [5, {"$cast": ["&a", "int"]}]},
    {"$rem": [{"$add": [5], "$sub": [1, 1]}]},
    {"$rem": (5, 0)},
    {"&a": {"$rem": 0}},
    {"&a": {"$rem": "&b"}},
    {"&a": {"$rem": {"$sub": [1, 1]}}},
    {"$and": [{"$not": [{"$eq": [{"$rem": ["&a", 0]}, 1]}]}]},
    # What divided by -1 is no 64-bit integer.
    {"$rem": [SMALLEST, -1]},
    {"$div_num": [SMALLEST, -1]},
    {"$div_num": [float(SMALLEST), -1.0]},
    {"$div_num": [-1e19, -1]},
    {"$div_num": [-1e19, -1.5]},
    {"$div_num": [SMALLEST - 1, -1]},
    {"$div_num": ["&a", -1]},
    {"$rem": ["&a", -1]},
    {"&a": {"$div_num": -1}},
    {"$div_num": ["&a", "&b"]},
    {"&a": {"$div_num": "&b"}},
    {"$div_num": [SMALLEST, "&b"]},
    {"$div_num": [SMALLEST, "-1us"]},
    {"$div_num": [SMALLEST, "us-1"]},
    {"$div_num": [SMALLEST, "u-1s"]},
    {"$div_num": [SMALLEST, "-1ms  999us"]},
    {"$div_num": [SMALLEST, {"$sub": [1, 2]}]},
    {"$div_num": [{"$add": [SMALLEST]}, -1]},
    {"&a": {"$rem": -1}},
    {"$eq": [{"$div_num": [SMALLEST, -1]}, 0]},
]

HARMLESS: list[Any] = [
    {"&a": {"$eq": 2**63 - 1}},
    {"&a": {"$eq": SMALLEST}},
    {"&a": {"$eq": 2**64}},
    {"&a": {"$eq": SMALLEST - 1}},
    {"&a": {"$eq": float(2**63)}},
    {"&a": {"$eq": str(2**63)}},
    {"$rem": ["&a", 1]},
    {"$rem": ["&a", -2]},
    {"$rem": ["&a", 0.0]},
    {"$rem": ["&a", -1.0]},
    {"$rem": [SMALLEST, -1.0]},
    {"$rem": [5, -1]},
    {"$rem": [5, {"$cast": ["&a", "float"]}]},
    {"$rem": [5, {"&a": {"$cast": "float"}}]},
    {"&a": {"$rem": 3}},
    {"&a": {"$rem": 0.5}},
    {"&a": {"$rem": {"$cast": ["&b", "float"]}}},
    {"$div_num": ["&a", 0]},
    {"$div_num": [5, "&b"]},
    {"$div_num": [SMALLEST, "-2us"]},
    {"$div_num": [SMALLEST, "text"]},
    {"$div_num": [SMALLEST, "-1"]},
    {"$div_num": [-1e18, "&b"]},
    {"$div_num": [SMALLEST, 1]},
    {"$div_num": [SMALLEST, -2]},
    {"$div_num": [SMALLEST + 1, -1]},
    {"$div_num": [7.5, -1.5]},
    {"&a": {"$div_num": 2}},
    {"$div": [SMALLEST, -1]},
    {"$abs": SMALLEST},
    {"$abs": [SMALLEST]},
    {"$add": [2**63 - 1, 1]},
    {"$mult": [SMALLEST, -1]},
    {"$sub": [SMALLEST, 1]},
    {"$not": "&a"},
    {"$each_n": 2},
    {"$has": ["$rem", "2"]},
    {},
    {"#batch_records": 3},
    True,
    "&a",
    5,
    2.5,
]


@pytest.mark.parametrize("when", DEADLY, ids=str)
def test_what_ends_the_server_is_refused(when: Any) -> None:
    with pytest.raises(ValueError, match=r"^when: .*(too large|end the server)"):
        check(when, ["entry"])


@pytest.mark.parametrize("when", HARMLESS, ids=str)
def test_its_nearest_neighbours_pass(when: Any) -> None:
    check(when, ["entry", "entry-*"])


def test_the_server_survives_what_passes(new_server: NewServer) -> None:
    """A server of its own, which a wrong neighbour would take away from other tests."""
    labels: list[dict[str, object]] = [
        {"a": SMALLEST, "b": 0},
        {"a": -1, "b": -1},
        {"a": "true", "b": "x"},
        {},
    ]
    with new_server() as server, httpx.Client(base_url=f"{server.url}/api/v1", timeout=60) as http:
        http.post("/b/bucket").raise_for_status()
        for timestamp, named in enumerate(labels):
            headers = {f"x-reduct-label-{name}": str(value) for name, value in named.items()}
            answer = http.post("/b/bucket/e", params={"ts": timestamp}, headers=headers)
            answer.raise_for_status()
        for when in HARMLESS:
            query = {"query_type": "QUERY", "when": when, "start": 0, "stop": 9}
            started = http.post("/b/bucket/e/q", json=query)
            assert started.status_code in (200, 422), when
            if started.status_code == 200:
                answer = http.get("/b/bucket/e/batch", params={"q": started.json()["id"]})
                assert answer.status_code in (200, 204), when
            assert server.alive(), when


# --- attachments ---------------------------------------------------------------------------

META = ["entry/$meta"]


@pytest.mark.parametrize("when", [True, False, 1, "&key"])
def test_attachments_need_an_object(when: Any) -> None:
    check(when, ["entry", "$metas", "a/$meta/b"])
    for entries in (META, ["entry", *META], ["$meta"]):
        with pytest.raises(ValueError, match="when must be a dict for attachments"):
            check(when, entries)


@pytest.mark.parametrize("operand", ["&key", True, {"&key": {"$eq": 1}}, 5])
def test_attachments_need_a_list_after_not(operand: Any) -> None:
    check({"$not": operand}, ["entry"])
    check({"$not": [operand]}, META)
    check({"$none_of": operand}, META)
    with pytest.raises(ValueError, match=r"\$not takes a list for attachments"):
        check({"$not": operand}, META)


# --- what is no condition ------------------------------------------------------------------


@pytest.mark.parametrize("when", [["&a"], b"&a", object(), ("&a",), {"$eq"}])
def test_other_types_are_refused(when: Any) -> None:
    with pytest.raises(TypeError, match=r"^when must be a dict, not "):
        check(when, ["entry"])


@pytest.mark.parametrize("value", [b"x", pytest.param(object(), id="object"), {1, 2}, 1j], ids=repr)
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^when must hold JSON values: "):
        check({"&a": {"$eq": value}}, ["entry"])
    with pytest.raises(TypeError, match=r"^ext must hold JSON values: "):
        check_ext({"x": {"y": value}})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_has_not_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"^when must hold JSON values: "):
        check({"&a": {"$eq": value}}, ["entry"])
    with pytest.raises(ValueError, match=r"^when must hold JSON values: "):
        check(value, ["entry"])


@pytest.mark.parametrize("depth", [50, 200, 450, 600, 1_000, 3_000, 9_000, 100_000])
def test_deep_conditions_pass_or_are_value_errors(depth: int) -> None:
    when: Any = "&a"
    for _ in range(depth):
        when = {"$not": [when]}
    if depth <= 50:
        check(when, META)
    with suppress(ValueError):
        check(when, META)


def test_a_condition_that_contains_itself_is_a_value_error() -> None:
    when: dict[str, Any] = {}
    when["$not"] = [when]
    with pytest.raises(ValueError, match=r"^when must hold JSON values"):
        check(when, ["entry"])


@pytest.mark.parametrize("when", ["", "text", '{"&a": {"$eq": 1}}', "&", "$", "$$a", "#ext", "5s"])
def test_constant_texts_are_refused(when: str) -> None:
    """They are true for every record, so that a slip in a removal would remove all."""
    with pytest.raises(ValueError, match=r"^when=.* is a constant text"):
        check(when, ["entry"])


@pytest.mark.parametrize("when", ["&a", "@a", "$timestamp", "&a b"])
def test_references_pass(when: str) -> None:
    check(when, ["entry"])


def test_no_condition_is_no_error() -> None:
    check(None, META)
    check_ext(None)
    check_stateless(None)


# --- extensions ----------------------------------------------------------------------------


@pytest.mark.parametrize("when", DEADLY, ids=str)
def test_conditions_of_extensions_are_checked(when: Any) -> None:
    """The server reads them before it looks whether it has the extension."""
    for ext in ({"x": {}, "when": when}, [{"x": {}}, {"y": {}, "when": when}]):
        with pytest.raises(ValueError, match=r"too large|end the server"):
            check_ext(ext)


@pytest.mark.parametrize("when", HARMLESS, ids=str)
def test_harmless_conditions_of_extensions_pass(when: Any) -> None:
    check_ext({"x": {}, "when": when})
    check_ext([{"x": {"a": 2**63}}, {"y": {"when": "$rem"}, "when": when}])


@pytest.mark.parametrize("ext", ["x", 5, True, ("x",), {"x"}])
def test_extensions_are_dicts(ext: Any) -> None:
    with pytest.raises(TypeError, match=r"^ext must be a dict or a list of dicts, not "):
        check_ext(ext)


# --- memory --------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", sorted(STATEFUL))
def test_conditions_with_a_memory_are_refused_in_subscriptions(operator: str) -> None:
    check({operator: 2}, ["entry"])
    for when in ({operator: 2}, {"$and": [True, {"$or": [{operator: [2]}]}]}):
        with pytest.raises(ValueError, match=rf"^when: \{operator} forgets its state"):
            check_stateless(when)


def test_every_operator_with_a_memory_is_known() -> None:
    assert {"$limit", "$each_n", "$each_t", "$gate", "#ctx_before", "#ctx_after"} == STATEFUL


@pytest.mark.parametrize("when", [True, "&a", {}, {"&limit": {"$eq": "$limit"}}, {"$has": "$gate"}])
def test_conditions_without_a_memory_pass(when: Any) -> None:
    check_stateless(when)


# --- removals ------------------------------------------------------------------------------


@pytest.mark.parametrize("when", [None, {}, {"#batch_records": 1}, True, False, 1, 0.5])
def test_constants_and_directives_restrict_nothing(when: Any) -> None:
    assert not restricts(when)


@pytest.mark.parametrize("when", ["&a", {"&a": {"$eq": 1}}, {"#batch_records": 1, "$has": "a"}])
def test_conditions_restrict(when: Any) -> None:
    assert restricts(when)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$rem", "$div_num", "$not", "&a"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["$rem", "$div_num", "$eq", "&a"]), JSON, max_size=3))
def test_any_json_is_checked_to_its_end(when: Any) -> None:
    """No number that ends the server is overlooked, whatever surrounds it."""
    text = str(when)
    try:
        check(when, ["entry"])
    except ValueError:
        return
    assert not any(2**63 <= int(digits) < 2**64 for digits in numbers(text))


def numbers(text: str) -> list[str]:
    """Return the integers that stand outside of quotes in the text of a dict."""
    return re.findall(r"-?[0-9]+", re.sub(r"'[^']*'|\"[^\"]*\"", "", text))
