from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import parse_object, without_none
from .lifecycle_info import LifecycleInfo
from .lifecycle_settings import LifecycleSettings


@define(kw_only=True)
class LifecycleDetailInfo:
    """A lifecycle policy with its settings."""

    info: LifecycleInfo
    """State of the policy."""
    settings: LifecycleSettings
    """Settings of the policy."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {"info": self.info.to_dict(), "settings": self.settings.to_dict()}
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            info=LifecycleInfo.from_dict(fields.pop("info")),
            settings=LifecycleSettings.from_dict(fields.pop("settings")),
        )
        result.additional_properties = fields
        return result
