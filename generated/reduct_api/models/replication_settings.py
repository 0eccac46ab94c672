from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field
from attrs.converters import optional

from ..types import list_of, nullable, parse_object, parse_str, without_none
from .replication_compression import ReplicationCompression
from .replication_mode import ReplicationMode


@define(kw_only=True)
class ReplicationSettings:
    """From where to where records are copied, and which."""

    src_bucket: str
    """Name of the source bucket."""
    dst_bucket: str
    """Name of the destination bucket; created there if missing (since 1.21)."""
    dst_host: str
    """URL of the destination server."""
    dst_token: str | None = field(default=None, repr=False)
    """Token for the destination server; never part of an answer."""
    entries: list[str] = field(factory=list)
    """Names and patterns of entries, as in queries; empty means all. Attachments follow their
    entry.
    """
    dst_prefix: str = ""
    """Put before the names of entries at the destination, joined by `/` (since 1.21)."""
    when: Any = None
    """A condition on labels, as in queries, always strict; null selects everything."""
    mode: ReplicationMode | None = field(default=None, converter=optional(ReplicationMode))
    """Whether records are sent; enabled by default, also when settings that are replaced do
    not name it.
    """
    compression: ReplicationCompression | None = field(
        default=None, converter=optional(ReplicationCompression)
    )
    """How contents are compressed on the way; none by default (since 1.21)."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {
                "src_bucket": self.src_bucket,
                "dst_bucket": self.dst_bucket,
                "dst_host": self.dst_host,
                "dst_token": self.dst_token,
                "entries": self.entries,
                "dst_prefix": self.dst_prefix,
                "when": self.when,
                "mode": None if self.mode is None else self.mode.value,
                "compression": None if self.compression is None else self.compression.value,
            }
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            src_bucket=parse_str(fields.pop("src_bucket")),
            dst_bucket=parse_str(fields.pop("dst_bucket")),
            dst_host=parse_str(fields.pop("dst_host")),
            dst_token=nullable(parse_str)(fields.pop("dst_token", None)),
            entries=list_of(parse_str)(fields.pop("entries", [])),
            dst_prefix=parse_str(fields.pop("dst_prefix", "")),
            when=fields.pop("when", None),
            mode=nullable(ReplicationMode)(fields.pop("mode", None)),
            compression=nullable(ReplicationCompression)(fields.pop("compression", None)),
        )
        result.additional_properties = fields
        return result
