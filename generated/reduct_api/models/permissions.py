from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import list_of, parse_bool, parse_object, parse_str, without_none


@define(kw_only=True)
class Permissions:
    """What a token may do.

    An item is the name of a bucket, or a beginning of names followed by `*`; buckets of the
    system, whose names begin with `$`, need their full name.
    """

    full_access: bool = False
    """Whether everything is allowed, settings and tokens included."""
    read: list[str] = field(factory=list)
    """Buckets that may be read."""
    write: list[str] = field(factory=list)
    """Buckets that may be written; does not imply reading."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {"full_access": self.full_access, "read": self.read, "write": self.write}
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            full_access=parse_bool(fields.pop("full_access", False)),
            read=list_of(parse_str)(fields.pop("read", [])),
            write=list_of(parse_str)(fields.pop("write", [])),
        )
        result.additional_properties = fields
        return result
