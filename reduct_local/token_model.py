"""Tokens as values: their permissions, their JSON forms, their lifetime."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reduct_local.errors import ApiError
from reduct_local.integers import U64_MAX

_SECOND = 1_000_000
_PERMISSION_ITEM = re.compile(r"[*a-zA-Z0-9_\-]+")
_DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_PERMISSION_FIELDS = {"full_access", "read", "write"}
_REQUEST_FIELDS = {"permissions", "expires_at", "ttl", "ip_allowlist"}


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a token may do: everything, or reading and writing of some buckets."""

    full_access: bool = False
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()

    def may_read(self, bucket: str) -> bool:
        """Tell whether reading this bucket is allowed."""
        return self.full_access or _matches(self.read, bucket)

    def may_write(self, bucket: str) -> bool:
        """Tell whether writing to this bucket is allowed."""
        return self.full_access or _matches(self.write, bucket)

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "full_access": self.full_access,
            "read": list(self.read),
            "write": list(self.write),
        }


def _matches(items: Iterable[str], bucket: str) -> bool:
    for item in items:
        if item == bucket:
            return True
        # Wildcards never reach system buckets.
        if item.endswith("*") and bucket.startswith(item[:-1]) and not bucket.startswith("$"):
            return True
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token without its value; `secret` is the hash of it. Times are Unix microseconds."""

    name: str
    secret: str = field(repr=False)
    created_at: int
    permissions: Permissions
    is_provisioned: bool = False
    expires_at: int | None = None
    ttl: int | None = None
    """Seconds without use after which the token dies; None is never."""
    ip_allowlist: tuple[str, ...] = ()

    @property
    def may_expire(self) -> bool:
        """Whether it dies at some time."""
        return self.expires_at is not None or self.ttl is not None

    def is_expired(self, now_us: int, last_access: int | None) -> bool:
        """Tell whether the token is dead at a time, when last used at `last_access`."""
        if self.expires_at is not None and now_us >= self.expires_at:
            return True
        if self.ttl is None:
            return False
        # Whole seconds are compared, as the real server does: up to a second longer.
        used = max(self.created_at, last_access or 0)
        return (now_us - used) // _SECOND > self.ttl

    def allows_address(self, address: str | None) -> bool:
        """Tell whether a client with this address may use the token."""
        if not self.ip_allowlist:
            return True
        try:
            client = ipaddress.ip_address(address or "")
        except ValueError:
            return False
        return any(_contains(item, client) for item in self.ip_allowlist)

    def describe(self, last_access: int | None, *, is_expired: bool) -> dict[str, object]:
        """Return what the API shows of a token."""
        return {
            "name": self.name,
            "value": "",
            "created_at": format_time(self.created_at),
            "permissions": self.permissions.to_dict(),
            "is_provisioned": self.is_provisioned,
            "expires_at": None if self.expires_at is None else format_time(self.expires_at),
            "ttl": self.ttl,
            "last_access": None if last_access is None else format_time(last_access),
            "ip_allowlist": list(self.ip_allowlist),
            "is_expired": is_expired,
        }

    def to_document(self) -> dict[str, object]:
        """Return what is stored; the value is in it as a hash only."""
        return {
            "secret": self.secret,
            "created_at": self.created_at,
            "permissions": self.permissions.to_dict(),
            "is_provisioned": self.is_provisioned,
            "expires_at": self.expires_at,
            "ttl": self.ttl,
            "ip_allowlist": list(self.ip_allowlist),
        }

    @staticmethod
    def from_document(name: str, document: Mapping[str, Any]) -> "Token":
        """Return the token that `to_document` described."""
        fields = dict(document)
        permissions = fields.pop("permissions")
        addresses = fields.pop("ip_allowlist")
        return Token(
            name=name,
            permissions=Permissions(
                permissions["full_access"], tuple(permissions["read"]), tuple(permissions["write"])
            ),
            ip_allowlist=tuple(addresses),
            **fields,
        )


def _contains(item: str, client: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return client in ipaddress.ip_network(item, strict=False)
    except ValueError:
        # Invalid items are accepted and never match, as on the real server.
        return False


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """The body of a token creation."""

    permissions: Permissions
    expires_at: int | None
    ttl: int | None
    ip_allowlist: tuple[str, ...]


def parse_token_request(body: Mapping[str, object]) -> TokenRequest:
    """Return the request of a JSON object in its current or its legacy form; 422 otherwise."""
    addresses = _texts(body.get("ip_allowlist", []))
    if "permissions" in body and not body.keys() - _REQUEST_FIELDS:
        return TokenRequest(
            _permissions(body["permissions"]),
            _expiry(body.get("expires_at")),
            _ttl(body.get("ttl")),
            addresses,
        )
    if not body.keys() - _PERMISSION_FIELDS - {"ip_allowlist"}:
        return TokenRequest(_permissions(body), None, None, addresses)
    raise invalid_body()


def invalid_body() -> ApiError:
    """Return the error for a token creation that cannot be understood."""
    return ApiError(422, "Invalid body")


def check_permissions(permissions: Permissions) -> None:
    """Raise 422 for an item that is neither a bucket name nor one with wildcards."""
    for item in (*permissions.read, *permissions.write):
        if not item.startswith("$") and not _PERMISSION_ITEM.fullmatch(item):
            raise ApiError(
                422,
                "Permission can contain only bucket names or wildcard '*', got '" + item + "'",
            )


def _permissions(value: object) -> Permissions:
    if not isinstance(value, dict):
        raise invalid_body()
    full_access = value.get("full_access", False)
    if not isinstance(full_access, bool):
        raise invalid_body()
    return Permissions(full_access, _texts(value.get("read", [])), _texts(value.get("write", [])))


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise invalid_body()
    return tuple(value)


def _ttl(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= U64_MAX:
        raise invalid_body()
    return value


def _expiry(value: object) -> int | None:
    if value is None:
        return None
    time = parse_time(value) if isinstance(value, str) else None
    if time is None:
        raise invalid_body()
    return time


def parse_time(text: str) -> int | None:
    """Return the Unix microseconds of an RFC 3339 time, None if it is none."""
    found = _DATE_TIME.fullmatch(text)
    if not found:
        return None
    date, time, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{time}{zone.upper().replace('Z', '+00:00')}")
    except ValueError:
        return None
    micros = int((fraction or ".")[1:7].ljust(6, "0"))
    whole = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (whole.days * 86_400 + whole.seconds) * _SECOND + micros


def format_time(us: int) -> str:
    """Return Unix microseconds as RFC 3339 with 0, 3 or 6 digits of a second."""
    seconds, micros = divmod(us, _SECOND)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    if micros % 1000:
        text += f".{micros:06}"
    elif micros:
        text += f".{micros // 1000:03}"
    return text + "Z"
