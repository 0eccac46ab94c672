"""Patterns of entries: `matches` decides as the real server does."""

import uuid
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduct_core.patterns import matches
from tests.servers import Server

NAMES = [
    "a",
    "aa",
    "ab",
    "b",
    "cam",
    "cam-1",
    "cam-1/left",
    "cam-1/right/raw",
    "cam-2/left",
    "left",
    "acam1",
    "x/y/z",
    "x/y/left",
    "x/batch",
    "-",
    "A/b",
    "a/b/a/b",
]
META = ["a/$meta", "x/y/$meta", "$meta"]

PIECES = ["*", "*", "**", "/", "/", "a", "b", "cam", "-1", "left", "x", "y", "!", "$meta", "."]
PATTERNS = st.one_of(
    st.sampled_from(NAMES + META),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join),
    st.lists(st.sampled_from(["*", "**", "a", "b", "cam*", "*left", "x", "y"]), min_size=1).map(
        "/".join
    ),
)
EXCLUSIONS = PATTERNS.map("!".__add__)


class Entries:
    """A bucket in which every entry has one record, whose payload is the entry's name."""

    def __init__(self, server: Server) -> None:
        self._http = httpx.Client(base_url=f"{server.url}/api/v1", timeout=60)
        self._bucket = f"patterns-{uuid.uuid4().hex}"
        self._http.post(f"/b/{self._bucket}").raise_for_status()
        for name in NAMES + META:
            url = f"/b/{self._bucket}/{name}"
            if name == "x/batch":
                url, headers = f"{url}/batch", {"x-reduct-time-1": f"{len(name) + 1},"}
            else:
                headers = {"x-reduct-label-key": "k"}
            body = f"{name}\n".encode()
            self._http.post(url, params={"ts": 1}, headers=headers, content=body).raise_for_status()

    def selected(self, patterns: list[str]) -> set[str]:
        """Return the entries that the server selects by `patterns`."""
        query = {"query_type": "QUERY", "entries": patterns, "start": 0, "stop": 2}
        started = self._http.post(f"/io/{self._bucket}/q", json=query).raise_for_status()
        found = b""
        while True:
            answer = self._http.get(
                f"/io/{self._bucket}/read",
                headers={"x-reduct-query-id": str(started.json()["id"])},
            ).raise_for_status()
            found += answer.content
            if answer.status_code == 204 or answer.headers["x-reduct-last"] == "true":
                return set(found.decode().split())

    def close(self) -> None:
        self._http.delete(f"/b/{self._bucket}").raise_for_status()
        self._http.close()


@pytest.fixture(scope="module")
def entries(server: Server) -> Iterator[Entries]:
    entries = Entries(server)
    yield entries
    entries.close()


def expected(patterns: list[str]) -> set[str]:
    return {name for name in NAMES + META if matches(patterns, name)}


def test_the_server_shows_what_it_selects(entries: Entries) -> None:
    """The control: what follows compares something."""
    assert entries.selected(["*"]) == set(NAMES)
    assert entries.selected(["a/$meta"]) == {"a/$meta"}
    assert entries.selected(["nothing"]) == set()


ODDITIES = [
    [],
    ["!"],
    ["!a"],
    ["!cam-1/**", "!x/*"],
    ["**"],
    ["/**"],
    ["*cam*"],
    ["cam-*-left"],
    ["cam*"],
    ["cam-1/**"],
    ["x/**"],
    ["x/**/z"],
    ["**/left"],
    ["*/left"],
    ["/a"],
    ["//a*"],
    ["a/**/b"],
    ["x/y/$meta", "!x/*"],
    ["x/y/$meta", "!x/**"],
    ["/a/$meta"],
    ["*/$meta"],
    ["$meta", "!*"],
    ["a/$meta", "*"],
    ["a/$meta", "a*"],
]
"""Among them T32."""


@pytest.mark.parametrize("patterns", [["a"], ["a", "cam-*"], ["*"], ["a/$meta"]], ids=str)
def test_names_and_prefixes(entries: Entries, patterns: list[str]) -> None:
    assert expected(patterns) == entries.selected(patterns)


@pytest.mark.since_1_21
@pytest.mark.parametrize("patterns", ODDITIES, ids=str)
def test_oddities(entries: Entries, patterns: list[str]) -> None:
    assert expected(patterns) == entries.selected(patterns)


def test_t32_the_documented_oddities() -> None:
    for name in NAMES:
        assert not matches(["**"], name)
        assert not matches(["*cam*"], name)
        assert matches(["*"], name)
    assert not matches(["*"], "a/$meta")


@pytest.mark.since_1_21
@settings(max_examples=200)
@given(st.lists(PATTERNS | EXCLUSIONS, max_size=4))
def test_matches_what_the_server_selects(entries: Entries, patterns: list[str]) -> None:
    assert expected(patterns) == entries.selected(patterns)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("x/" + "*a" * 40 + "b", "x/" + "a" * 255),
        ("**/" * 60 + "x", "/".join("abcdefghij" * 10)),
        ("**/*a*/" * 30 + "x", "/".join(["a" * 50] * 40)),
    ],
    ids=["stars", "segments", "both"],
)
def test_no_pattern_takes_for_ever(pattern: str, name: str) -> None:
    """Backtracking would take years; the time limit of all tests is the guard."""
    assert not matches([pattern], name)
    assert matches([pattern.replace("b", "a")[:-1] + "*"], name)
