from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import parse_bool, parse_int, parse_object, parse_str, without_none
from .status import Status


@define(kw_only=True)
class BucketInfo:
    """The state of a bucket."""

    name: str
    """Name of the bucket."""
    entry_count: int
    """Number of entries, attachments not counted."""
    size: int
    """Size in bytes, metadata and attachments included."""
    oldest_record: int
    """Timestamp of the oldest record in microseconds, 0 if the bucket is empty."""
    latest_record: int
    """Timestamp of the latest record in microseconds, 0 if the bucket is empty."""
    is_provisioned: bool
    """Whether the server's configuration made the bucket, so that it cannot be changed or
    removed.
    """
    status: Status = field(converter=Status)
    """READY, or DELETING while it is being removed."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {
                "name": self.name,
                "entry_count": self.entry_count,
                "size": self.size,
                "oldest_record": self.oldest_record,
                "latest_record": self.latest_record,
                "is_provisioned": self.is_provisioned,
                "status": self.status.value,
            }
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            name=parse_str(fields.pop("name")),
            entry_count=parse_int(fields.pop("entry_count")),
            size=parse_int(fields.pop("size")),
            oldest_record=parse_int(fields.pop("oldest_record")),
            latest_record=parse_int(fields.pop("latest_record")),
            is_provisioned=parse_bool(fields.pop("is_provisioned")),
            status=Status(fields.pop("status")),
        )
        result.additional_properties = fields
        return result
