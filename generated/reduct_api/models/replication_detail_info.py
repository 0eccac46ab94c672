from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import parse_object, without_none
from .replication_diagnostics import ReplicationDiagnostics
from .replication_info import ReplicationInfo
from .replication_settings import ReplicationSettings


@define(kw_only=True)
class ReplicationDetailInfo:
    """A replication with its settings and how it went."""

    info: ReplicationInfo
    """State of the replication."""
    settings: ReplicationSettings
    """Settings of the replication, without the token."""
    diagnostics: ReplicationDiagnostics
    """How it went."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {
                "info": self.info.to_dict(),
                "settings": self.settings.to_dict(),
                "diagnostics": self.diagnostics.to_dict(),
            }
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            info=ReplicationInfo.from_dict(fields.pop("info")),
            settings=ReplicationSettings.from_dict(fields.pop("settings")),
            diagnostics=ReplicationDiagnostics.from_dict(fields.pop("diagnostics")),
        )
        result.additional_properties = fields
        return result
