"""Tokens of a server: who calls, what the caller may do, and their management."""

import asyncio
import dataclasses
import hashlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from reduct_local import hashes
from reduct_local.clock import Clock
from reduct_local.engine import Engine
from reduct_local.errors import ApiError
from reduct_local.permission import Permission
from reduct_local.token_model import (
    Permissions,
    Token,
    TokenRequest,
    check_permissions,
)

INIT_TOKEN = "init-token"
"""The name of the token that comes with the start of the server."""

DISABLED = "AUTHENTICATION-DISABLED"

_FULL = Permissions(full_access=True)

_ANYBODY = Token(name=DISABLED, secret="", created_at=0, permissions=_FULL)
"""Who calls a server without authentication."""

_KIND = "token"
"""The kind of the engine's documents that hold tokens."""

_VERIFIED_MAX = 1024

_ACCESS_STEP = 10_000_000
"""Microseconds by which the stored and the shown time of the last use may be behind."""


@dataclass(frozen=True, slots=True)
class GivenToken:
    """A token that the configuration asks for."""

    name: str
    value: str = field(repr=False)
    permissions: Permissions = _FULL
    expires_at: int | None = None
    is_provisioned: bool = True
    """False for one that is made once and is an ordinary token from then on."""


class Auth:
    """The tokens of one server. Without any given token everybody may do everything.

    Args:
        engine: keeps the tokens, their values as hashes only.
        clock: decides on expiry.
        given: the tokens of the configuration; None switches authentication off.
    """

    def __init__(self, engine: Engine, clock: Clock, given: Iterable[GivenToken] | None) -> None:
        self.enabled = given is not None
        self._engine = engine
        self._clock = clock
        self._tokens: dict[str, Token] = {}
        self._last_access: dict[str, int] = {}
        self._shown_access: dict[str, int] = {}
        self._shown_since = clock.now_us()
        # Values that were held against a slow hash, as digests: a lookup by digest tells nothing.
        self._verified: dict[bytes, str] = {}
        self._verifying = asyncio.Lock()
        if given is not None:
            self._load()
            self._provide(given)

    def _load(self) -> None:
        for name, document in self._engine.documents(_KIND).items():
            fields = dict(document)
            access = fields.pop("last_access", None)
            self._tokens[name] = Token.from_document(name, fields)
            if isinstance(access, int):
                self._last_access[name] = access

    def _provide(self, given: Iterable[GivenToken]) -> None:
        wanted = {token.name: token for token in given}
        for name, token in list(self._tokens.items()):
            if token.is_provisioned and name not in wanted:
                self._put(dataclasses.replace(token, is_provisioned=False))
        for token_given in wanted.values():
            old = self._tokens.get(token_given.name)
            if old is not None and not token_given.is_provisioned:
                continue
            secret = old.secret if old and hashes.matches(old.secret, token_given.value) else None
            self._put(
                Token(
                    name=token_given.name,
                    secret=secret or hashes.hash_chosen(token_given.value),
                    created_at=old.created_at if old else self._clock.now_us(),
                    permissions=token_given.permissions,
                    expires_at=token_given.expires_at,
                    is_provisioned=token_given.is_provisioned,
                )
            )
            self._remember(token_given.value, token_given.name)

    # -- Requests -------------------------------------------------------------

    async def identify(self, header: str | None, address: Callable[[], str]) -> Token:
        """Return the token of an `Authorization` header; 401 without a usable one.

        `address` returns the client's; it is called only for tokens with an allow list.
        """
        if not self.enabled:
            return _ANYBODY
        if header is None or not header.isascii() or not header.startswith("Bearer "):
            raise ApiError(401, "No bearer token in request header")
        value = header[len("Bearer ") :]
        name = self._verified.get(_digest(value)) or await self._verify(value)
        token = self._tokens[name]
        self.check_usable(token, address)
        self._used(token)
        return token

    def check(self, token: Token, permission: Permission, bucket: str | None = None) -> None:
        """Raise 403 unless the token may do this; READ and WRITE need the bucket."""
        granted = token.permissions
        if granted.full_access or permission is Permission.ANY:
            return
        if permission is Permission.READ and not granted.may_read(bucket or ""):
            raise ApiError(
                403, f"Token '{token.name}' doesn't have read access to bucket '{bucket}'"
            )
        if permission is Permission.WRITE and not granted.may_write(bucket or ""):
            raise ApiError(
                403, f"Token '{token.name}' doesn't have write access to bucket '{bucket}'"
            )
        if permission is Permission.FULL:
            raise ApiError(403, f"Token '{token.name}' doesn't have full access")

    def check_usable(self, token: Token, address: Callable[[], str] | None = None) -> None:
        """Raise 401 for a token that expired or may not be used from the client's address."""
        last_access = self._last_access.get(token.name)
        if token.may_expire and token.is_expired(self._clock.now_us(), last_access):
            raise ApiError(401, f"Token '{token.name}' has expired")
        if token.ip_allowlist and address is not None and not token.allows_address(address()):
            raise ApiError(401, f"Token '{token.name}' is not allowed from this address")

    async def _verify(self, value: str) -> str:
        """Return the name of the token with this value; 401 if there is none."""
        for token in self._tokens.values():
            if not hashes.is_slow(token.secret) and hashes.matches(token.secret, value):
                self._remember(value, token.name)
                return token.name
        # One at a time and in a thread: guesses cannot stop the server for everybody else.
        async with self._verifying:
            for token in list(self._tokens.values()):
                if hashes.is_slow(token.secret) and await asyncio.to_thread(
                    hashes.matches, token.secret, value
                ):
                    if self._tokens.get(token.name) is not token:
                        break
                    self._remember(value, token.name)
                    return token.name
        raise ApiError(401, "Invalid token")

    def _remember(self, value: str, name: str) -> None:
        if len(self._verified) >= _VERIFIED_MAX:
            self._verified.clear()
        self._verified[_digest(value)] = name

    def _used(self, token: Token) -> None:
        now = self._clock.now_us()
        before = self._last_access.get(token.name, 0)
        self._last_access[token.name] = now
        if token.ttl is not None and now - before > _ACCESS_STEP:
            self._put(token)

    # -- Links ----------------------------------------------------------------

    def token(self, name: str) -> Token:
        """Return the token with this name, its hash in `secret`; 404 if there is none.

        Without authentication every name is the one token with an empty secret.
        """
        if not self.enabled:
            return _ANYBODY
        try:
            return self._tokens[name]
        except KeyError:
            raise ApiError(404, f"Token '{name}' doesn't exist") from None

    # -- Management -----------------------------------------------------------

    def describe(self, token: Token) -> dict[str, object]:
        """Return what the API shows of a token."""
        now = self._clock.now_us()
        if token is _ANYBODY:
            token = dataclasses.replace(token, created_at=now)
        # The real server learns it from records that it looks up from time to time.
        if now - self._shown_since >= _ACCESS_STEP:
            self._shown_since = now
            self._shown_access = dict(self._last_access)
        return token.describe(
            self._shown_access.get(token.name),
            is_expired=token.is_expired(now, self._last_access.get(token.name)),
        )

    def describe_all(self) -> list[dict[str, object]]:
        """Return what the API shows of all tokens, by name."""
        return [self.describe(self._tokens[name]) for name in sorted(self._tokens)]

    def get(self, name: str) -> dict[str, object]:
        """Return what the API shows of one token; 404, 400 without authentication."""
        self._check_enabled()
        return self.describe(self.token(name))

    def create(self, name: str, request: TokenRequest) -> tuple[str, int]:
        """Create a token; return its value and when it was made (us).

        409 if the name exists, 422, 400 without authentication.
        """
        self._check_enabled()
        if name in self._tokens:
            raise ApiError(409, f"Token '{name}' already exists")
        check_permissions(request.permissions)
        if request.ttl == 0:
            raise ApiError(422, "Token TTL must be greater than zero")
        now = self._clock.now_us()
        if request.expires_at is not None and request.expires_at < now:
            raise ApiError(422, "Token expiration date must not be in the past")
        value = _random_value(name)
        self._put(
            Token(
                name=name,
                secret=hashes.hash_random(value),
                created_at=now,
                permissions=request.permissions,
                expires_at=request.expires_at,
                ttl=request.ttl,
                ip_allowlist=request.ip_allowlist,
            )
        )
        return value, now

    def rotate(self, name: str) -> tuple[str, int]:
        """Give a token a new value; return it and when it was made (us). The old one is dead.

        404, 409 provisioned, 422 expired, 400 without authentication.
        """
        self._check_enabled()
        token = self.token(name)
        if token.is_provisioned:
            raise ApiError(409, f"Can't rotate provisioned token '{name}'")
        now = self._clock.now_us()
        if token.expires_at is not None and now >= token.expires_at:
            raise ApiError(422, f"Can't rotate expired token '{name}'")
        value = _random_value(name)
        self._last_access.pop(name, None)
        self._put(dataclasses.replace(token, secret=hashes.hash_random(value), created_at=now))
        return value, now

    def remove(self, name: str) -> None:
        """Remove a token; 404, 409 provisioned or the last one with full access."""
        if not self.enabled:
            return
        token = self.token(name)
        if token.is_provisioned:
            raise ApiError(409, f"Can't remove provisioned token '{name}'")
        full = [other for other in self._tokens.values() if other.permissions.full_access]
        if full == [token]:
            raise ApiError(409, f"Can't remove the last token with full access '{name}'")
        self._engine.delete_document(_KIND, name)
        del self._tokens[name]
        self._last_access.pop(name, None)
        self._verified.clear()

    def forget_bucket(self, bucket: str, new_name: str | None = None) -> None:
        """Take the exact name of a bucket out of all permissions, or put its new name there."""

        def changed(items: tuple[str, ...]) -> tuple[str, ...]:
            replaced = (new_name if item == bucket else item for item in items)
            return tuple(item for item in replaced if item is not None)

        for token in list(self._tokens.values()):
            old = token.permissions
            new = Permissions(old.full_access, changed(old.read), changed(old.write))
            if new != old:
                self._put(dataclasses.replace(token, permissions=new))

    def _put(self, token: Token) -> None:
        document = token.to_document()
        document["last_access"] = self._last_access.get(token.name)
        self._engine.put_document(_KIND, token.name, document)
        known = self._tokens.get(token.name)
        self._tokens[token.name] = token
        if known is not None and known.secret != token.secret:
            self._verified.clear()

    def _check_enabled(self) -> None:
        if not self.enabled:
            raise ApiError(400, "Authentication is disabled")


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).digest()


def _random_value(name: str) -> str:
    return f"{name}-{secrets.token_hex(16)}"
