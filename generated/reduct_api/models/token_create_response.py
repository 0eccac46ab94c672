import datetime
from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import format_datetime, parse_datetime, parse_object, parse_str, without_none


@define(kw_only=True)
class TokenCreateResponse:
    """The value of a token, which is shown only here."""

    value: str = field(repr=False)
    """The value, to be sent as bearer token."""
    created_at: datetime.datetime
    """When the token got this value, UTC."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {"value": self.value, "created_at": format_datetime(self.created_at)}
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            value=parse_str(fields.pop("value")),
            created_at=parse_datetime(fields.pop("created_at")),
        )
        result.additional_properties = fields
        return result
