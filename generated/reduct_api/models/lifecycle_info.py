import datetime
from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import (
    format_datetime,
    nullable,
    parse_bool,
    parse_datetime,
    parse_object,
    parse_str,
    without_none,
)
from .lifecycle_mode import LifecycleMode
from .lifecycle_type import LifecycleType


@define(kw_only=True)
class LifecycleInfo:
    """The state of a lifecycle policy."""

    name: str
    """Name of the policy."""
    is_provisioned: bool
    """Whether the server's configuration made the policy, so that only its mode can be changed."""
    is_running: bool
    """Whether its worker is running."""
    type: LifecycleType = field(converter=LifecycleType)
    """What happens to old records."""
    mode: LifecycleMode = field(converter=LifecycleMode)
    """Whether the policy acts."""
    last_run: datetime.datetime | None = None
    """When it last ran, UTC; null after a restart or a change of settings."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {
                "name": self.name,
                "is_provisioned": self.is_provisioned,
                "is_running": self.is_running,
                "type": self.type.value,
                "mode": self.mode.value,
                "last_run": None if self.last_run is None else format_datetime(self.last_run),
            }
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            name=parse_str(fields.pop("name")),
            is_provisioned=parse_bool(fields.pop("is_provisioned")),
            is_running=parse_bool(fields.pop("is_running")),
            type=LifecycleType(fields.pop("type")),
            mode=LifecycleMode(fields.pop("mode")),
            last_run=nullable(parse_datetime)(fields.pop("last_run", None)),
        )
        result.additional_properties = fields
        return result
