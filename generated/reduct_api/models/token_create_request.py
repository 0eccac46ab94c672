import datetime
from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import (
    format_datetime,
    list_of,
    nullable,
    parse_datetime,
    parse_int,
    parse_object,
    parse_str,
    without_none,
)
from .permissions import Permissions


@define(kw_only=True)
class TokenCreateRequest:
    """What a new token may do, and how long."""

    permissions: Permissions
    """What the token may do."""
    expires_at: datetime.datetime | None = None
    """When the token expires, UTC; must lie in the future (422). Null means never."""
    ttl: int | None = None
    """Seconds without use after which the token expires, or seconds since its creation if the
    server does not record events; null means never.
    """
    ip_allowlist: list[str] = field(factory=list)
    """Addresses and networks (CIDR) from which the token may be used; empty means any. Items
    that are neither are accepted and never match. For connections from private networks the
    address in `Forwarded` or `X-Forwarded-For` counts.
    """
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {
                "permissions": self.permissions.to_dict(),
                "expires_at": None if self.expires_at is None else format_datetime(self.expires_at),
                "ttl": self.ttl,
                "ip_allowlist": self.ip_allowlist,
            }
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            permissions=Permissions.from_dict(fields.pop("permissions")),
            expires_at=nullable(parse_datetime)(fields.pop("expires_at", None)),
            ttl=nullable(parse_int)(fields.pop("ttl", None)),
            ip_allowlist=list_of(parse_str)(fields.pop("ip_allowlist", [])),
        )
        result.additional_properties = fields
        return result
