from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import parse_object, without_none
from .replication_mode import ReplicationMode


@define(kw_only=True)
class ReplicationModeRequest:
    """The new mode of a replication."""

    mode: ReplicationMode = field(converter=ReplicationMode)
    """The new mode."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none({"mode": self.mode.value})

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(mode=ReplicationMode(fields.pop("mode")))
        result.additional_properties = fields
        return result
