from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field
from attrs.converters import optional

from ..types import nullable, parse_int, parse_object, without_none
from .quota_type import QuotaType


@define(kw_only=True)
class BucketSettings:
    """Settings of a bucket.

    In a request those that are absent or null stay as they are, or take the default of the
    server in a new bucket; answers hold all of them.
    """

    quota_type: QuotaType | None = field(default=None, converter=optional(QuotaType))
    """What happens when the bucket outgrows its quota; NONE by default."""
    quota_size: int | None = None
    """Quota in bytes, 0 by default; FIFO and HARD with 0 refuse every write with content."""
    max_block_size: int | None = None
    """Size in bytes at which a new block begins; 64000000 by default."""
    max_block_records: int | None = None
    """Number of records at which a new block begins; 1024 by default."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {
                "quota_type": None if self.quota_type is None else self.quota_type.value,
                "quota_size": self.quota_size,
                "max_block_size": self.max_block_size,
                "max_block_records": self.max_block_records,
            }
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            quota_type=nullable(QuotaType)(fields.pop("quota_type", None)),
            quota_size=nullable(parse_int)(fields.pop("quota_size", None)),
            max_block_size=nullable(parse_int)(fields.pop("max_block_size", None)),
            max_block_records=nullable(parse_int)(fields.pop("max_block_records", None)),
        )
        result.additional_properties = fields
        return result
