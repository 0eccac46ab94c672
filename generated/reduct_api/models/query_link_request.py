from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import nullable, parse_int, parse_object, parse_str, without_none
from .query_entry import QueryEntry


@define(kw_only=True)
class QueryLinkRequest:
    """Which record a link leads to, and until when."""

    bucket: str
    """Name of the bucket."""
    entry: str
    """Name of the entry, used when the query names no entries."""
    record_entry: str
    """Entry of the record."""
    record_timestamp: int
    """Timestamp of the record in microseconds."""
    query: QueryEntry
    """A query, not a removal, that selects the record."""
    expire_at: int
    """End of the link in seconds since 1970-01-01 UTC; a past time makes a dead link."""
    base_url: str | None = None
    """Address that the link begins with, scheme and host included; must contain the base path
    of the server. By default the server's public URL.
    """
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {
                "bucket": self.bucket,
                "entry": self.entry,
                "record_entry": self.record_entry,
                "record_timestamp": self.record_timestamp,
                "query": self.query.to_dict(),
                "expire_at": self.expire_at,
                "base_url": self.base_url,
            }
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            bucket=parse_str(fields.pop("bucket")),
            entry=parse_str(fields.pop("entry")),
            record_entry=parse_str(fields.pop("record_entry")),
            record_timestamp=parse_int(fields.pop("record_timestamp")),
            query=QueryEntry.from_dict(fields.pop("query")),
            expire_at=parse_int(fields.pop("expire_at")),
            base_url=nullable(parse_str)(fields.pop("base_url", None)),
        )
        result.additional_properties = fields
        return result
