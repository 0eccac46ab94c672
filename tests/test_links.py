"""Query links: which record they lead to, how long they live, and that they can be used."""

import time
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from reduct_core import links
from reduct_core.errors import NotFoundError
from reduct_core.query import Plan, make_plan
from reduct_core.times import MAX_US


def plan(entries: Any = "e", *, when: Any = None, ext: Any = None, strict: Any = None) -> Plan:
    return make_plan("b", entries, None, None, None, when, strict=strict, ext=ext)


@pytest.mark.parametrize(
    ("entries", "given", "chosen"),
    [
        ("e", (None, None, None), 0),
        (["e", "f*"], (3, None, None), 3),
        ("e", (None, None, 7), ("e", 7)),
        ("e", (None, "other", 0), ("other", 0)),
        (["e", "f*"], (None, "other", 1.5), ("other", 1_500_000)),
    ],
)
def test_the_record_of_a_link(entries: Any, given: Any, chosen: Any) -> None:
    assert links.check_selector(plan(entries), *given) == chosen


@pytest.mark.parametrize(
    ("entries", "given", "match"),
    [
        ("e", (1, None, 7), "record_index cannot be used with record_timestamp"),
        ("e*", (None, None, 7), "record_entry must be given with record_timestamp"),
        ("e", (None, "other", None), "record_timestamp must be given with record_entry"),
        ("e", (-1, None, None), "record_index=-1 must be an int"),
        ("e", (True, None, None), "record_index=True must be an int"),
        ("e", (1.0, None, None), "record_index=1.0 must be an int"),
        ("e", (None, "a/../b", 7), "entry name"),
        ("e", (None, None, MAX_US), "record_timestamp"),
        ([], (None, None, None), "entries"),
        ([], (None, "other", 7), "entries"),
    ],
)
def test_a_choice_that_is_none_is_refused(entries: Any, given: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        links.check_selector(plan(entries), *given)


def test_links_expire() -> None:
    now = time.time()
    assert abs(links.check_expiry(None) - (now + 24 * 3600)) < 5
    assert links.check_expiry(now + 100.7) == int(now + 100.7)
    assert links.check_expiry(datetime(2100, 1, 1, tzinfo=UTC)) == 4_102_444_800
    assert links.check_expiry(4_102_444_800_000_000) == 4_102_444_800
    for over in (now - 1, int(now) + 3600, datetime(2020, 1, 1, tzinfo=UTC), "2020-01-01"):
        with pytest.raises(ValueError, match=r"^expire_at=.* is over"):
            links.check_expiry(over)
    with pytest.raises(TypeError, match=r"^expire_at\b"):
        links.check_expiry(True)


def test_base_of_links() -> None:
    for base in (None, "http://host", "https://host:1/base/"):
        assert links.check_base_url(base) == base
    wrong: Any
    for wrong in ("host", "ftp://host", "http://", "", 5, "http://\n"):
        with pytest.raises(ValueError, match=r"^base_url="):
            links.check_base_url(wrong)


def test_file_names_of_links() -> None:
    assert links.file_name(None, "a/b", 7) == "a/b_7.bin"
    assert links.file_name("my file.png", "a", 7) == "my file.png"
    for wrong in ("", "..", "a//b", "/a"):
        with pytest.raises(ValueError, match="file_name"):
            links.file_name(wrong, "a", 7)


def test_b31_the_request_of_a_link() -> None:
    asked = plan("e", when={"$has": "a"}, ext={"x": {}}, strict=True)
    spec = links.request(asked, ("e", 7), 99, "a b.bin", "http://host")
    assert (spec.method, spec.url) == ("POST", "/links/a%20b.bin")
    sent = spec.json
    assert (sent["bucket"], sent["entry"], sent["record_entry"]) == ("b", "e", "e")
    assert (sent["record_timestamp"], sent["expire_at"]) == (7, 99)
    assert sent["base_url"] == "http://host"
    assert sent["query"]["when"] == {"$has": "a"}
    assert sent["query"]["ext"] == {"x": {}}
    assert sent["query"]["strict"] is True
    several = links.request(plan(["a", "b*"]), ("a", 0), 99, "x", None)
    assert (several.json["entry"], several.json["query"]["entries"]) == ("", ["a", "b*"])
    assert several.json["record_timestamp"] == 0


@pytest.mark.parametrize(
    ("link", "name", "usable"),
    [
        ("http://host/api/v1/links/x?ct=1&n=2", "x", "http://host/api/v1/links/x?ct=1&n=2"),
        ("http://host/api/v1/links/a b?ct=1", "a b", "http://host/api/v1/links/a%20b?ct=1"),
        ("http://host/api/v1/links/a?b?ct=1", "a?b", "http://host/api/v1/links/a%3Fb?ct=1"),
        ("http://host/api/v1/links/a#b?ct=1", "a#b", "http://host/api/v1/links/a%23b?ct=1"),
        ("http://host/base/api/v1/links/a/b?c=1", "a/b", "http://host/base/api/v1/links/a/b?c=1"),
        ("http://0.0.0.0:8383/api/v1/links/x?c=1", "x", "http://my:9/base/api/v1/links/x?c=1"),
        ("http://[::]:8383/api/v1/links/x?c=1", "x", "http://my:9/base/api/v1/links/x?c=1"),
        ("http://host/elsewhere/x?c=1", "x", "http://host/elsewhere/x?c=1"),
    ],
)
def test_t30_links_can_be_used(link: str, name: str, usable: str) -> None:
    assert links.usable(link, name, httpx.URL("http://my:9/base")) == usable


def test_no_record_at_that_position() -> None:
    error = links.no_record(plan(["a", "b"]), 5, 3)
    assert isinstance(error, NotFoundError)
    assert "has 3 records, none at position 5" in error.message
