from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import list_of, parse_object, without_none
from .bucket_info import BucketInfo


@define(kw_only=True)
class BucketList:
    """The buckets that a token may read."""

    buckets: list[BucketInfo]
    """The buckets, sorted by name."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {"buckets": [item.to_dict() for item in self.buckets]}
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(buckets=list_of(BucketInfo.from_dict)(fields.pop("buckets")))
        result.additional_properties = fields
        return result
