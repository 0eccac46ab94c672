from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import parse_object, parse_str, without_none


@define(kw_only=True)
class RenameBucketRequest:
    """The new name of a bucket."""

    new_name: str
    """The new name."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none({"new_name": self.new_name})

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(new_name=parse_str(fields.pop("new_name")))
        result.additional_properties = fields
        return result
