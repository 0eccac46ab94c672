"""Tokens: identification, permissions, expiry, allow lists, what is stored."""

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_local import ManualClock, hashes
from reduct_local.addresses import client_address
from reduct_local.auth import Auth, GivenToken
from reduct_local.engine import Engine
from reduct_local.errors import ApiError
from reduct_local.permission import Permission
from reduct_local.token_model import (
    Permissions,
    Token,
    TokenRequest,
    format_time,
    parse_time,
    parse_token_request,
)

START = 1_700_000_000_000_000
FULL = GivenToken("init-token", "top secret")


class World:
    """An `Auth` with its engine and clock."""

    def __init__(self, *given_tokens: GivenToken, path: Path | None = None) -> None:
        self.clock = ManualClock(START)
        self.engine = Engine(path, clock=self.clock)
        self.auth = Auth(self.engine, self.clock, given_tokens or (FULL,))

    def identify(self, value: str, address: str = "127.0.0.1") -> Token:
        return asyncio.run(self.auth.identify(f"Bearer {value}", lambda: address))

    def create(self, name: str = "t", **body: object) -> str:
        return self.auth.create(name, parse_token_request({"permissions": {}, **body}))[0]


def refused(status: int, call: Callable[[], object]) -> str:
    with pytest.raises(ApiError) as caught:
        call()
    assert caught.value.status == status
    return caught.value.message


def test_values_are_stored_as_hashes_only(tmp_path: Path) -> None:
    file = tmp_path / "tokens.sqlite"
    chosen = GivenToken("chosen", "chosen by a person")
    world = World(FULL, chosen, path=file)
    value = world.create()
    assert world.identify(value).name == "t"
    world.engine.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"chosen" in stored
    for secret in (value, value[-32:], chosen.value, FULL.value):
        assert secret.encode() not in stored
        assert secret not in repr(vars(world.auth))


def test_tokens_survive_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "tokens.sqlite"
    world = World(FULL, path=file)
    value = world.create(
        permissions={"read": ["a"]},
        ttl=100,
        expires_at="2090-01-01T00:00:00Z",
        ip_allowlist=["::1"],
    )
    before = world.auth.describe_all()
    world.engine.close()
    again = World(FULL, path=file)
    assert again.auth.describe_all() == before
    assert again.identify(value, "::1").name == "t"
    assert again.identify(FULL.value).name == "init-token"


def test_provisioned_token_follows_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "tokens.sqlite"
    extra = GivenToken("extra", "old value", Permissions(read=("a",)))
    World(FULL, extra, path=file).engine.close()
    changed = World(
        GivenToken("init-token", "new secret"),
        GivenToken("extra", "new value", Permissions(write=("b",))),
        path=file,
    )
    refused(401, lambda: changed.identify("old value"))
    refused(401, lambda: changed.identify(FULL.value))
    assert changed.identify("new value").permissions == Permissions(write=("b",))
    changed.engine.close()
    without = World(FULL, path=file)
    assert without.auth.get("extra")["is_provisioned"] is False
    assert without.identify("new value").name == "extra"
    without.auth.remove("extra")


def test_initial_token_is_an_ordinary_one(tmp_path: Path) -> None:
    file = tmp_path / "tokens.sqlite"
    first = GivenToken("init-token", "first", is_provisioned=False)
    world = World(first, path=file)
    value, _created = world.auth.rotate("init-token")
    world.engine.close()
    again = World(first, path=file)
    refused(401, lambda: again.identify("first"))
    assert again.identify(value).permissions.full_access


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "bearer top secret",
        "Basic top secret",
        "Bearer\ttop secret",
        "Bearer \xe4",
    ],
)
def test_no_bearer_token(header: str | None) -> None:
    world = World()
    call = world.auth.identify(header, lambda: "127.0.0.1")
    assert refused(401, lambda: asyncio.run(call)) == "No bearer token in request header"


@pytest.mark.parametrize("value", ["", " top secret", "top secret ", "TOP SECRET", "x" * 10_000])
def test_wrong_values(value: str) -> None:
    world = World()
    world.identify(FULL.value)
    assert refused(401, lambda: world.identify(value)) == "Invalid token"


def test_slow_hashes_are_asked_once_for_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(FULL, GivenToken("other", "other value"))
    asked: list[str] = []
    matches = hashes.matches

    def counting(stored: str, value: str) -> bool:
        asked.append(value)
        return matches(stored, value)

    monkeypatch.setattr(hashes, "matches", counting)
    for _ in range(3):
        world.identify("other value")
    assert asked == []
    refused(401, lambda: world.identify("wrong"))
    assert asked == ["wrong", "wrong"]
    value = world.create()
    asked.clear()
    for _ in range(3):
        world.identify(value)
    assert asked == [value]


def test_change_of_a_token_forgets_verified_values() -> None:
    world = World()
    old = world.create()
    world.identify(old)
    new, _created = world.auth.rotate("t")
    refused(401, lambda: world.identify(old))
    world.identify(new)
    world.auth.remove("t")
    refused(401, lambda: world.identify(new))


def test_expiry() -> None:
    world = World()
    value = world.create(expires_at=format_time(START + 10_000_000))
    world.clock.advance(9.999999)
    world.identify(value)
    assert world.auth.get("t")["is_expired"] is False
    world.clock.advance(0.000001)
    refused(401, lambda: world.identify(value))
    assert world.auth.get("t")["is_expired"] is True
    assert refused(422, lambda: world.auth.rotate("t")) == "Can't rotate expired token 't'"


def test_ttl_counts_from_the_last_use() -> None:
    world = World()
    value = world.create(ttl=10)
    for _ in range(5):
        world.clock.advance(10.9)
        world.identify(value)
    world.clock.advance(11)
    refused(401, lambda: world.identify(value))


def test_last_use_survives_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "tokens.sqlite"
    world = World(FULL, path=file)
    value = world.create(ttl=60)
    world.clock.advance(50)
    world.identify(value)
    world.engine.close()
    again = World(FULL, path=file)
    again.clock.advance(100)
    assert again.identify(value).name == "t"


def test_allow_list() -> None:
    world = World()
    value = world.create(ip_allowlist=["nonsense", "10.0.0.0/8", "192.168.1.7", "fd00::/16"])
    for address in ("10.1.2.3", "192.168.1.7", "fd00::1"):
        world.identify(value, address)
    for address in ("11.1.2.3", "192.168.1.8", "::1", "", "nonsense"):
        refused(401, lambda address=address: world.identify(value, address))  # type: ignore[misc]


READ_A = Permissions(read=("a", "b*", "$x*"))


@pytest.mark.parametrize(
    ("permissions", "bucket", "may"),
    [
        (Permissions(full_access=True), "anything", True),
        (Permissions(full_access=True), "$system", True),
        (READ_A, "a", True),
        (READ_A, "ab", False),
        (READ_A, "b", True),
        (READ_A, "bcd", True),
        (READ_A, "xb", False),
        (READ_A, "$x", False),
        (READ_A, "$x*", True),
        (Permissions(read=("*",)), "a", True),
        (Permissions(read=("*",)), "$system", False),
        (Permissions(read=("$system",)), "$system", True),
        (Permissions(write=("a",)), "a", False),
        (Permissions(), "a", False),
    ],
)
def test_permission_of_a_bucket(permissions: Permissions, bucket: str, may: bool) -> None:
    assert permissions.may_read(bucket) is may
    swapped = Permissions(permissions.full_access, permissions.write, permissions.read)
    assert swapped.may_write(bucket) is may


def test_check_names_what_is_missing() -> None:
    auth = World().auth
    token = Token(name="t", secret="", created_at=0, permissions=READ_A)
    auth.check(token, Permission.ANY)
    auth.check(token, Permission.READ, "a")
    told = [
        refused(403, lambda: auth.check(token, Permission.READ, "c")),
        refused(403, lambda: auth.check(token, Permission.WRITE, "a")),
        refused(403, lambda: auth.check(token, Permission.FULL)),
    ]
    assert told == [
        "Token 't' doesn't have read access to bucket 'c'",
        "Token 't' doesn't have write access to bucket 'a'",
        "Token 't' doesn't have full access",
    ]


def test_without_authentication_everybody_may_do_everything() -> None:
    engine = Engine(None, clock=ManualClock(START))
    auth = Auth(engine, ManualClock(START), None)
    token = asyncio.run(auth.identify(None, lambda: ""))
    for permission in Permission:
        auth.check(token, permission, "$system")
    assert auth.token("whoever").secret == ""
    refused(400, lambda: auth.create("t", TokenRequest(Permissions(), None, None, ())))


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [("x-forwarded-for", "9.9.9.9, 8.8.8.8")], "9.9.9.9"),
        ("10.0.0.1", [("x-forwarded-for", " 9.9.9.9 ")], "9.9.9.9"),
        ("10.0.0.1", [("x-forwarded-for", "9.9.9.9:80")], "10.0.0.1"),
        ("fd00::1", [("x-forwarded-for", "9.9.9.9")], "9.9.9.9"),
        ("169.254.0.1", [("x-forwarded-for", "9.9.9.9")], "9.9.9.9"),
        ("1.2.3.4", [("x-forwarded-for", "9.9.9.9")], "1.2.3.4"),
        ("127.0.0.1", [("x-forwarded-for", "unknown, 8.8.8.8")], "127.0.0.1"),
        ("127.0.0.1", [("forwarded", "for=unknown;by=3.3.3.3, for=7.7.7.7")], "7.7.7.7"),
        ("127.0.0.1", [("forwarded", 'proto=http;For="[2001:db8::1]"')], "2001:db8::1"),
        ("127.0.0.1", [("forwarded", 'for="[2001:db8::1]:80"')], "127.0.0.1"),
        ("127.0.0.1", [("forwarded", "by=3.3.3.3, for=7.7.7.7:80")], "7.7.7.7"),
        ("127.0.0.1", [("forwarded", "for=_x"), ("forwarded", "for=7.7.7.7")], "127.0.0.1"),
        ("127.0.0.1", [("x-forwarded-for", "9.9.9.9"), ("forwarded", "for=7.7.7.7")], "7.7.7.7"),
        ("127.0.0.1", [("forwarded", "for=_x"), ("x-forwarded-for", "9.9.9.9")], "9.9.9.9"),
        ("127.0.0.1", [("x-reduct-client-ip", "9.9.9.9")], "127.0.0.1"),
    ],
)
def test_client_address(peer: str, headers: list[tuple[str, str]], expected: str) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    assert client_address({"client": (peer, 5), "headers": raw}) == expected


@given(st.text(), st.text())
def test_hash_matches_its_value_only(value: str, other: str) -> None:
    stored = hashes.hash_random(value)
    assert hashes.matches(stored, value)
    assert hashes.matches(stored, other) is (value == other)
    assert stored != hashes.hash_random(value)


def test_chosen_values_are_hashed_slowly() -> None:
    stored = hashes.hash_chosen("värde")
    assert hashes.is_slow(stored)
    assert hashes.matches(stored, "värde")
    assert not hashes.matches(stored, "varde")
    assert not hashes.is_slow(hashes.hash_random("x"))


@given(st.integers(0, 253_402_300_799_999_999))
def test_times_survive_their_text(us: int) -> None:
    text = format_time(us)
    assert parse_time(text) == us
    assert parse_time(text.replace("Z", "+00:00")) == us


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t01:00:00.25+01:00", 250_000),
        ("1970-01-01 00:00:00.123456789z", 123_456),
        ("1970-01-01", None),
        ("1970-01-01T00:00:00", None),
        ("1970-13-01T00:00:00Z", None),
        ("19700101T000000Z", None),
        ("soon", None),
    ],
)
def test_texts_of_times(text: str, expected: int | None) -> None:
    assert parse_time(text) == expected


def test_values_differ() -> None:
    world = World()
    values = [world.create(f"t{number}").partition("-")[2] for number in range(20)]
    assert len(set(values)) == 20
    assert all(len(value) == 32 for value in values)
    assert set(itertools.chain(*values)) <= set("0123456789abcdef")
