"""Names: none changes the path it is put into, and new ones follow the server's rule."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reduct_api.types import segment, segments
from reduct_core import names

ENTRY_SEGMENT = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
ENTRIES = st.lists(ENTRY_SEGMENT, min_size=1, max_size=4).map("/".join)

ADDRESSING: list[Callable[[Any], str]] = [
    names.bucket,
    names.entry,
    names.file_name,
    names.new_bucket,
    names.new_entry,
    lambda name: names.segment(name, "token name"),
]


@pytest.mark.parametrize("check", ADDRESSING)
@given(name=st.text())
def test_what_passes_stays_one_path(check: Callable[[Any], str], name: str) -> None:
    """B5: no name reaches another bucket, entry or operation, whatever resolves dots on the way."""
    try:
        assert check(name) == name
    except ValueError:
        return
    path = segments(name)
    assert unquote(path) == name
    assert not {"", ".", ".."} & set(path.split("/"))
    assert re.fullmatch(r"[A-Za-z0-9._~%/-]+", path)


@pytest.mark.parametrize("check", ADDRESSING)
@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "a//b", "../other", "a/..", "a/./b", "/a", "a/", "a\n", "a\x00b"]
)
def test_b05_names_that_change_the_path_are_refused(check: Callable[[Any], str], name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        check(name)


@pytest.mark.parametrize("check", ADDRESSING)
@pytest.mark.parametrize("name", ["\x7f", "\x1f", "\r", "\ud800"])
def test_control_characters_and_broken_text_are_refused(
    check: Callable[[Any], str], name: str
) -> None:
    with pytest.raises(ValueError, match="name"):
        check(f"a{name}b")


@pytest.mark.parametrize("check", ADDRESSING)
@pytest.mark.parametrize("name", [None, 5, b"bytes", ["a"]])
def test_other_types_are_refused(check: Callable[[Any], str], name: Any) -> None:
    with pytest.raises(TypeError, match=f"must be a str, not {type(name).__name__}"):
        check(name)


@given(st.text(), st.text())
def test_buckets_and_tokens_are_one_segment(before: str, after: str) -> None:
    name = f"{before}/{after}"
    for check in (names.bucket, names.new_bucket, lambda text: names.segment(text, "token")):
        with pytest.raises(ValueError, match=r"bucket name|token"):
            check(name)


@pytest.mark.parametrize("name", ["$system", "a b", "a?b#c", "a%2Fb", "ü", "a.b", "...", "a:b"])
def test_odd_names_of_others_can_be_addressed(name: str) -> None:
    assert names.bucket(name) == name
    assert names.entry(f"x/{name}") == f"x/{name}"
    assert unquote(segment(name)) == name


@given(st.text(st.characters(max_codepoint=127)))
def test_new_buckets_follow_the_servers_rule(name: str) -> None:
    allowed = re.fullmatch("[A-Za-z0-9_-]{1,255}", name) is not None
    try:
        assert names.new_bucket(name) == name
        assert allowed
    except ValueError:
        assert not allowed


@given(ENTRIES, st.sampled_from(["", "/$meta"]))
def test_new_entries_may_be_nested_and_hold_attachments(name: str, meta: str) -> None:
    assert names.new_entry(name + meta) == name + meta
    assert names.new_entry("$meta") == "$meta"


@given(ENTRIES, ENTRIES, st.characters(exclude_characters="_-/"))
def test_other_letters_are_refused_in_new_names(before: str, after: str, letter: str) -> None:
    assume(not (letter.isascii() and letter.isalnum()))
    for name in (before + letter + after, letter + after, before + letter):
        with pytest.raises(ValueError, match="entry name"):
            names.new_entry(name)


@pytest.mark.parametrize("name", ["a/$meta/b", "$meta/a", "$metas", "a/$", "$system", "a/$meta/"])
def test_meta_is_allowed_at_the_end_alone(name: str) -> None:
    with pytest.raises(ValueError, match="entry name"):
        names.new_entry(name)


def test_length_of_new_names_is_that_of_the_file_system() -> None:
    longest = "a" * names.MAX_SEGMENT_BYTES
    assert names.new_bucket(longest) == longest
    assert names.new_entry(f"{longest}/{longest}") == f"{longest}/{longest}"
    with pytest.raises(ValueError, match="256 characters, 255 are allowed"):
        names.new_bucket(longest + "a")
    with pytest.raises(ValueError, match="256 characters, 255 are allowed"):
        names.new_entry(f"b/{longest}a/c")


# --- lists of entries ----------------------------------------------------------------------


def test_one_name_is_a_list_of_one() -> None:
    assert names.entry_list("a/b") == ["a/b"]
    assert names.entry_list(["a", "b*"]) == ["a", "b*"]
    assert names.entry_list(("a",)) == ["a"]
    assert names.entry_list([]) == []


@pytest.mark.parametrize("entries", [None, 5, b"a", bytearray(b"a"), {"a"}, iter("a"), {"a": 1}])
def test_what_is_no_list_of_names_is_refused(entries: Any) -> None:
    with pytest.raises(TypeError, match=r"^entries must be a str or a list of str"):
        names.entry_list(entries)


@pytest.mark.parametrize("entry", [None, 5, b"a", ["a"]])
def test_items_must_be_str(entry: Any) -> None:
    with pytest.raises(TypeError, match=r"^entry name must be a str"):
        names.entry_list(["a", entry])


@pytest.mark.parametrize("entry", ["", "..", "a//b", "a/../b", "a\n", "\ud800", "a\n*", "!\x00"])
def test_lists_hold_no_names_that_change_the_path(entry: str) -> None:
    with pytest.raises(ValueError, match=r"^entry name"):
        names.entry_list(["a", entry])


@pytest.mark.parametrize("name", ["*", "a*", "a/*/b", "!a", "/a", "**", "!a/**", "!", "/"])
def test_patterns_are_known(name: str) -> None:
    assert names.is_pattern(name)
    assert names.entry_list([name]) == [name]


@given(ENTRIES, st.sampled_from(["", "/$meta"]))
def test_names_are_no_patterns(name: str, meta: str) -> None:
    assert not names.is_pattern(name + meta)


@given(ENTRIES)
def test_meta_is_the_last_segment(name: str) -> None:
    assert names.is_meta(f"{name}/$meta")
    assert names.is_meta("$meta")
    assert not names.is_meta(name)
    assert not names.is_meta(f"$meta/{name}")
    assert not names.is_meta(f"{name}$meta")


@pytest.mark.parametrize("name", ["rename", "a/batch", "a/q", "a/b/batch", "a/batch/q"])
def test_b38_names_that_the_routes_claim(name: str) -> None:
    assert names.is_claimed(name)


@pytest.mark.parametrize("name", ["batch", "q", "a/rename", "abatch", "a/qq", "batch/a", "a/$meta"])
def test_b38_names_that_only_look_like_those(name: str) -> None:
    assert not names.is_claimed(name)
