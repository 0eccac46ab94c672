from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import parse_object, parse_str, without_none


@define(kw_only=True)
class ErrorDetail:
    """The body of an error."""

    detail: str
    """The message, in which single quotes stand for double ones."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none({"detail": self.detail})

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(detail=parse_str(fields.pop("detail")))
        result.additional_properties = fields
        return result
