from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field
from attrs.converters import optional

from ..types import list_of, nullable, parse_object, parse_str, without_none
from .lifecycle_mode import LifecycleMode
from .lifecycle_type import LifecycleType


@define(kw_only=True)
class LifecycleSettings:
    """Which records are old, and what happens to them.

    A duration is written with the units us, ms, s, m, h, d, such as `30d` or `1h 30m`, without
    fractions.
    """

    type: LifecycleType = field(default=LifecycleType.DELETE, converter=LifecycleType)
    """What happens to old records; clients fill in `delete`."""
    bucket: str
    """Name of the bucket."""
    older_than: str
    """Age from which a record is old, a duration of at least 1h."""
    entries: list[str] = field(factory=list)
    """Names and patterns of entries, as in queries (patterns since 1.21); empty means all.
    Never attachments.
    """
    interval: str | None = None
    """Time between two runs, a duration of at least 10m; 3600s by default."""
    processing_interval: str | None = None
    """Span of records' time handled by one run, a duration; 24 intervals by default (since
    1.21).
    """
    when: Any = None
    """A condition on labels, as in queries but without `#ext`; not for compress. Null selects
    everything.
    """
    mode: LifecycleMode | None = field(default=None, converter=optional(LifecycleMode))
    """Whether the policy acts; enabled by default, also when settings that are replaced do not
    name it.
    """
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {
                "type": self.type.value,
                "bucket": self.bucket,
                "older_than": self.older_than,
                "entries": self.entries,
                "interval": self.interval,
                "processing_interval": self.processing_interval,
                "when": self.when,
                "mode": None if self.mode is None else self.mode.value,
            }
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            type=LifecycleType(fields.pop("type")),
            bucket=parse_str(fields.pop("bucket")),
            older_than=parse_str(fields.pop("older_than")),
            entries=list_of(parse_str)(fields.pop("entries", [])),
            interval=nullable(parse_str)(fields.pop("interval", None)),
            processing_interval=nullable(parse_str)(fields.pop("processing_interval", None)),
            when=fields.pop("when", None),
            mode=nullable(LifecycleMode)(fields.pop("mode", None)),
        )
        result.additional_properties = fields
        return result
