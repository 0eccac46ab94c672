from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import parse_bool, parse_int, parse_object, parse_str, without_none
from .replication_mode import ReplicationMode


@define(kw_only=True)
class ReplicationInfo:
    """The state of a replication."""

    name: str
    """Name of the replication."""
    mode: ReplicationMode = field(converter=ReplicationMode)
    """Whether records are sent."""
    is_active: bool
    """Whether the destination can be reached and the replication is not disabled."""
    is_provisioned: bool
    """Whether the server's configuration made the replication, so that only its mode can be
    changed.
    """
    pending_records: int
    """Number of records that wait."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {
                "name": self.name,
                "mode": self.mode.value,
                "is_active": self.is_active,
                "is_provisioned": self.is_provisioned,
                "pending_records": self.pending_records,
            }
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            name=parse_str(fields.pop("name")),
            mode=ReplicationMode(fields.pop("mode")),
            is_active=parse_bool(fields.pop("is_active")),
            is_provisioned=parse_bool(fields.pop("is_provisioned")),
            pending_records=parse_int(fields.pop("pending_records")),
        )
        result.additional_properties = fields
        return result
