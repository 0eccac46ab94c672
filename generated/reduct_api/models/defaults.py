from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import parse_object, without_none
from .bucket_settings import BucketSettings


@define(kw_only=True)
class Defaults:
    """What new resources get if nothing else is said."""

    bucket: BucketSettings
    """Settings of a new bucket."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none({"bucket": self.bucket.to_dict()})

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(bucket=BucketSettings.from_dict(fields.pop("bucket")))
        result.additional_properties = fields
        return result
