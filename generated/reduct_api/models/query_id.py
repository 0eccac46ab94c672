from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import parse_int, parse_object, without_none


@define(kw_only=True)
class QueryId:
    """The id of a query that was started."""

    id: int
    """The id, to be given when reading."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none({"id": self.id})

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(id=parse_int(fields.pop("id")))
        result.additional_properties = fields
        return result
