"""What paths below a bucket mean, by the rule and on servers."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_local.api.paths import Action, resolve
from tests.local.raw_calls import Raw

RECORD, BATCH, QUERY, RENAME = Action.RECORD, Action.BATCH, Action.QUERY, Action.RENAME


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "e", (RECORD, "e")),
        ("POST", "e/batch", (BATCH, "e")),
        ("POST", "e/q", (QUERY, "e")),
        ("POST", "e/rename", (RECORD, "e/rename")),
        ("POST", "e/batch/q", (QUERY, "e/batch")),
        ("POST", "e/q/batch", (BATCH, "e/q")),
        ("POST", "e/batch/batch", (BATCH, "e/batch")),
        ("POST", "batch", (RECORD, "batch")),
        ("POST", "/batch", (RECORD, "/batch")),
        ("POST", "q", (RECORD, "q")),
        ("POST", "ebatch", (RECORD, "ebatch")),
        ("POST", "e/batch/", (RECORD, "e/batch/")),
        ("POST", "e/Batch", (RECORD, "e/Batch")),
        ("GET", "e", (RECORD, "e")),
        ("GET", "e/batch", (BATCH, "e")),
        ("GET", "e/q", (QUERY, "e")),
        ("HEAD", "e/q", (QUERY, "e")),
        ("PATCH", "e/batch", (BATCH, "e")),
        ("PATCH", "e/q", (RECORD, "e/q")),
        ("DELETE", "e", (RECORD, "e")),
        ("DELETE", "e/batch", (BATCH, "e")),
        ("DELETE", "e/q", (QUERY, "e")),
        ("DELETE", "e/rename", (RECORD, "e/rename")),
        ("PUT", "e/rename", (RENAME, "e")),
        ("PUT", "e/rename/rename", (RENAME, "e/rename")),
        ("PUT", "rename", None),
        ("PUT", "e", None),
        ("PUT", "e/batch", None),
        ("PUT", "e/q", None),
    ],
)
def test_resolve(method: str, path: str, expected: tuple[Action, str] | None) -> None:
    assert resolve(method, path) == expected


@given(
    method=st.sampled_from(["POST", "GET", "PATCH", "DELETE", "PUT"]),
    path=st.lists(st.sampled_from(["a", "batch", "q", "rename", ""]), min_size=1).map("/".join),
)
def test_one_suffix_is_taken_off(method: str, path: str) -> None:
    resolved = resolve(method, path)
    if resolved is not None:
        action, entry = resolved
        assert entry + action.value == path


def test_entries_named_like_suffixes(raw: Raw, store: str) -> None:
    for entry in ("batch", "q", "x/rename"):
        assert raw("POST", f"/b/{store}/{entry}?ts=1", body=entry.encode()).status == 200
        assert raw("GET", f"/b/{store}/{entry}?ts=1").body == entry.encode()


def test_nested_entry_named_batch_is_reached_by_a_second_suffix(raw: Raw, store: str) -> None:
    written = raw("POST", f"/b/{store}/x/batch/batch", {"x-reduct-time-1": "1,"}, b"a")
    assert written.status == 200
    assert raw("GET", f"/b/{store}/x/batch?ts=1").status == 422
    assert b'"name":"x/batch"' in raw("GET", f"/b/{store}").body


def test_escaped_slash_is_a_slash(raw: Raw, store: str) -> None:
    assert raw("POST", f"/b/{store}/x%2Fy?ts=1", body=b"1").status == 200
    assert raw("GET", f"/b/{store}/x/y?ts=1").body == b"1"
    assert raw("POST", f"/b/{store}/x%2Fy%2Fbatch", {"x-reduct-time-2": "1,"}, b"2").status == 200
    assert raw("GET", f"/b/{store}/x/y?ts=2").body == b"2"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("HEAD", "/", 404),
        ("POST", "/", 405),
        ("DELETE", "/", 405),
        ("PUT", "/e", 404),
        ("PUT", "/e/batch", 404),
        ("GET", "//e", 404),
        ("GET", "/rename", 405),
        ("POST", "/e%FF?ts=1", 400),
        ("GET", "/e%FF/batch", 400),
    ],
)
def test_paths_without_an_entry(raw: Raw, store: str, method: str, path: str, status: int) -> None:
    assert raw(method, f"/b/{store}{path}").status == status


def test_bucket_may_be_empty_for_the_router(raw: Raw) -> None:
    answer = raw("POST", f"/b//{uuid.uuid4().hex}?ts=1", body=b"x")
    assert answer.status == 404
    assert answer.header("x-reduct-error") == "Bucket '' is not found"


def test_batch_removal_never_removes_an_entry(raw: Raw, store: str) -> None:
    assert raw("POST", f"/b/{store}/x/y?ts=1", body=b"1").status == 200
    assert raw("DELETE", f"/b/{store}/x/batch").status == 200
    assert raw("GET", f"/b/{store}/x/y?ts=1").status == 200
