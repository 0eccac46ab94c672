from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import list_of, parse_object, without_none
from .bucket_info import BucketInfo
from .bucket_settings import BucketSettings
from .entry_info import EntryInfo


@define(kw_only=True)
class BucketFullInfo:
    """A bucket with its settings and entries."""

    info: BucketInfo
    """State of the bucket."""
    settings: BucketSettings
    """Settings of the bucket."""
    entries: list[EntryInfo]
    """The entries, sorted by name."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {
                "info": self.info.to_dict(),
                "settings": self.settings.to_dict(),
                "entries": [item.to_dict() for item in self.entries],
            }
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            info=BucketInfo.from_dict(fields.pop("info")),
            settings=BucketSettings.from_dict(fields.pop("settings")),
            entries=list_of(EntryInfo.from_dict)(fields.pop("entries")),
        )
        result.additional_properties = fields
        return result
