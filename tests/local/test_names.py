"""Names and patterns: every expectation was seen on the real server."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reduct_local.errors import ApiError
from reduct_local.names import (
    check_bucket_name,
    check_entry_name,
    is_below,
    is_meta,
    parents,
    select,
)

ENTRIES = [
    "a",
    "a/$meta",
    "a/b",
    "a/b/c",
    "cam-1",
    "cam-1/left",
    "cam-2",
    "cam-2/left",
    "cam-2/left/$meta",
    "cam-2/right",
    "x",
    "$meta",
]

VISIBLE = sorted(name for name in ENTRIES if "$" not in name)

texts = st.text(alphabet="aZ9_-/$ .m\n\0äé", max_size=8)


@given(name=texts)
@example(name="")
@example(name="a\n")
def test_bucket_names(name: str) -> None:
    if name and set(name) <= set("aZ9_-m"):
        check_bucket_name(name)
    else:
        with pytest.raises(ApiError) as caught:
            check_bucket_name(name)
        assert caught.value.status == 422


@pytest.mark.parametrize(
    "name", ["a", "A-9_z", "a/b/c", "-", "$meta", "a/$meta", "a/b/$meta", "batch", "x" * 300]
)
def test_entry_names(name: str) -> None:
    check_entry_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "/", "a/", "/a", "a//b", "/$meta", "a b", "ä", "a.b", "$x", "a$meta", "$meta/a"),
        *("a/$meta/b", "a/$meta/$meta", "a\n", "a/\n"),
    ],
)
def test_refused_entry_names(name: str) -> None:
    with pytest.raises(ApiError) as caught:
        check_entry_name(name)
    assert caught.value.status == 422


@given(segments=st.lists(st.sampled_from(["a", "b-1", "$meta", "_"]), min_size=1, max_size=4))
def test_parents(segments: list[str]) -> None:
    name = "/".join(segments)
    above = parents(name)
    assert above == ["/".join(segments[:count]) for count in range(1, len(segments))]
    assert all(is_below(name, parent) and not is_below(parent, name) for parent in above)


def test_below_is_by_segments() -> None:
    assert is_below("a/b", "a")
    assert is_below("a", "a")
    assert not is_below("ab", "a")
    assert not is_below("a", "a/b")


@pytest.mark.parametrize(
    ("name", "meta"),
    [("$meta", True), ("a/$meta", True), ("meta", False), ("a", False), ("a/$meta/b", False)],
)
def test_meta(name: str, meta: bool) -> None:
    assert is_meta(name) is meta


@pytest.mark.parametrize(
    ("patterns", "selected"),
    [
        ([], VISIBLE),
        (["*"], VISIBLE),
        (["a"], ["a"]),
        (["missing"], []),
        (["a/$meta"], ["a/$meta"]),
        (["$meta", "x"], ["$meta", "x"]),
        # A star reaches no attachments, and takes the exact ones away.
        (["*", "a/$meta"], VISIBLE),
        (["a/*"], ["a/b"]),
        (["a/**"], ["a", "a/b", "a/b/c"]),
        (["**/left"], ["cam-1/left", "cam-2/left"]),
        (["a/**/c"], ["a/b/c"]),
        # Without a slash a last star is a prefix of the whole name.
        (["cam-*"], ["cam-1", "cam-1/left", "cam-2", "cam-2/left", "cam-2/right"]),
        (["c*-2"], ["cam-2"]),
        (["c*-2/l*t"], ["cam-2/left"]),
        (["*/l*"], ["cam-1/left", "cam-2/left"]),
        (["/a", "//x"], ["a", "x"]),
        (["**"], []),
        (["*am*"], []),
        (["/**"], []),
        (["a//b"], []),
        ([""], []),
        # A lone exclamation mark is an entry's name that none has.
        (["!"], []),
        (["!", "a"], ["a"]),
        (["!a/**", "!cam-*"], ["x"]),
        (["cam-*", "!*/left"], ["cam-1", "cam-2", "cam-2/right"]),
        (["!*"], []),
        (["a", "!a"], []),
        # Exclusions reach attachments.
        (["cam-2/left/$meta", "a/$meta", "!a/*"], ["cam-2/left/$meta"]),
    ],
)
def test_select(patterns: Sequence[str], selected: list[str]) -> None:
    assert select(ENTRIES, patterns) == selected


def as_expression(pattern: str) -> str:
    """Return the regular expression of a pattern with slashes."""
    text = ""
    for segment in pattern.split("/"):
        stars = "[^/]*".join(re.escape(part) for part in segment.split("*"))
        text += r"(?:/[^/]+)*" if segment == "**" else f"/{stars}"
    return text


@given(
    name=st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join),
    pattern=st.lists(st.text("ab*", max_size=4), min_size=2, max_size=4).map("/".join),
)
@example(name="ab", pattern="**/a*ab*")
def test_patterns_with_slashes_are_globs(name: str, pattern: str) -> None:
    pattern = "a/" + pattern.lstrip("/")
    found = bool(re.fullmatch(as_expression(pattern), f"/a/{name}"))
    assert select([f"a/{name}"], [pattern]) == ([f"a/{name}"] if found else [])


def test_many_stars_are_quick() -> None:
    assert select(["a" * 255], ["x/" + "*a" * 60 + "b", "a" + "*a" * 100 + "*b/**"]) == []
    assert select(["/".join("a" * 100)], ["/".join(["**", "a"] * 40) + "/b"]) == []
