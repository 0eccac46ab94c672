import datetime
from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import (
    format_datetime,
    list_of,
    nullable,
    parse_bool,
    parse_datetime,
    parse_int,
    parse_object,
    parse_str,
    without_none,
)
from .permissions import Permissions


@define(kw_only=True)
class Token:
    """A token, without its value."""

    name: str
    """Name of the token."""
    value: str = field(repr=False)
    """Always empty; the value is shown only when the token is made."""
    created_at: datetime.datetime
    """When the token got its value, UTC."""
    permissions: Permissions
    """What the token may do."""
    is_provisioned: bool
    """Whether the server's configuration made the token, so that it cannot be changed or
    removed.
    """
    expires_at: datetime.datetime | None = None
    """When the token expires, UTC; null means never."""
    ttl: int | None = None
    """Seconds without use after which the token expires; null means never."""
    last_access: datetime.datetime | None = None
    """When the token was last used, UTC, up to 10 s late; null if unknown or if the server
    does not record events.
    """
    ip_allowlist: list[str]
    """Addresses and networks (CIDR) from which the token may be used; empty means any."""
    is_expired: bool
    """Whether the token has expired."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {
                "name": self.name,
                "value": self.value,
                "created_at": format_datetime(self.created_at),
                "permissions": self.permissions.to_dict(),
                "is_provisioned": self.is_provisioned,
                "expires_at": None if self.expires_at is None else format_datetime(self.expires_at),
                "ttl": self.ttl,
                "last_access": None
                if self.last_access is None
                else format_datetime(self.last_access),
                "ip_allowlist": self.ip_allowlist,
                "is_expired": self.is_expired,
            }
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            name=parse_str(fields.pop("name")),
            value=parse_str(fields.pop("value")),
            created_at=parse_datetime(fields.pop("created_at")),
            permissions=Permissions.from_dict(fields.pop("permissions")),
            is_provisioned=parse_bool(fields.pop("is_provisioned")),
            expires_at=nullable(parse_datetime)(fields.pop("expires_at", None)),
            ttl=nullable(parse_int)(fields.pop("ttl", None)),
            last_access=nullable(parse_datetime)(fields.pop("last_access", None)),
            ip_allowlist=list_of(parse_str)(fields.pop("ip_allowlist")),
            is_expired=parse_bool(fields.pop("is_expired")),
        )
        result.additional_properties = fields
        return result
