from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import parse_int, parse_object, without_none


@define(kw_only=True)
class RemovedRecords:
    """What a removing query did."""

    removed_records: int
    """Number of records removed."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none({"removed_records": self.removed_records})

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(removed_records=parse_int(fields.pop("removed_records")))
        result.additional_properties = fields
        return result
