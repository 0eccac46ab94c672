from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import parse_int, parse_object, parse_str, without_none


@define(kw_only=True)
class ReplicationDiagnosticsError:
    """One kind of error of a replication."""

    count: int
    """How often it happened in the last hour."""
    last_message: str
    """The latest message."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {"count": self.count, "last_message": self.last_message}
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            count=parse_int(fields.pop("count")), last_message=parse_str(fields.pop("last_message"))
        )
        result.additional_properties = fields
        return result
