from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import parse_int, parse_object, parse_str, without_none
from .status import Status


@define(kw_only=True)
class EntryInfo:
    """The state of an entry."""

    name: str
    """Name of the entry, with its slashes."""
    size: int
    """Size in bytes, metadata included."""
    record_count: int
    """Number of records."""
    block_count: int
    """Number of blocks."""
    oldest_record: int
    """Timestamp of the oldest record in microseconds, 0 if the entry is empty; after removals
    perhaps older than the oldest record that remains.
    """
    latest_record: int
    """Timestamp of the latest record in microseconds, 0 if the entry is empty."""
    status: Status = field(converter=Status)
    """READY, or DELETING while it is being removed."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {
                "name": self.name,
                "size": self.size,
                "record_count": self.record_count,
                "block_count": self.block_count,
                "oldest_record": self.oldest_record,
                "latest_record": self.latest_record,
                "status": self.status.value,
            }
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            name=parse_str(fields.pop("name")),
            size=parse_int(fields.pop("size")),
            record_count=parse_int(fields.pop("record_count")),
            block_count=parse_int(fields.pop("block_count")),
            oldest_record=parse_int(fields.pop("oldest_record")),
            latest_record=parse_int(fields.pop("latest_record")),
            status=Status(fields.pop("status")),
        )
        result.additional_properties = fields
        return result
