from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import nullable, parse_int, parse_object, parse_str, without_none
from .defaults import Defaults
from .license_info import LicenseInfo


@define(kw_only=True)
class ServerInfo:
    """The state of a server."""

    version: str
    """Full version of the server."""
    bucket_count: int
    """Number of buckets, those of the system and those being removed included."""
    usage: int
    """Size of all buckets in bytes."""
    uptime: int
    """Seconds since the start of the server."""
    oldest_record: int
    """Timestamp of the oldest record in microseconds; 0 if any bucket is empty,
    18446744073709551615 if there is no bucket.
    """
    latest_record: int
    """Timestamp of the latest record in microseconds; 0 if there is none."""
    defaults: Defaults
    """What new resources get."""
    license: LicenseInfo | None = None
    """The licence; null means Apache-2.0."""
    instance_name: str | None = None
    """Name of the instance (since 1.21)."""
    instance_role: str | None = None
    """STANDALONE, PRIMARY, SECONDARY or REPLICA (since 1.21)."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {
                "version": self.version,
                "bucket_count": self.bucket_count,
                "usage": self.usage,
                "uptime": self.uptime,
                "oldest_record": self.oldest_record,
                "latest_record": self.latest_record,
                "defaults": self.defaults.to_dict(),
                "license": None if self.license is None else self.license.to_dict(),
                "instance_name": self.instance_name,
                "instance_role": self.instance_role,
            }
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            version=parse_str(fields.pop("version")),
            bucket_count=parse_int(fields.pop("bucket_count")),
            usage=parse_int(fields.pop("usage")),
            uptime=parse_int(fields.pop("uptime")),
            oldest_record=parse_int(fields.pop("oldest_record")),
            latest_record=parse_int(fields.pop("latest_record")),
            defaults=Defaults.from_dict(fields.pop("defaults")),
            license=nullable(LicenseInfo.from_dict)(fields.pop("license", None)),
            instance_name=nullable(parse_str)(fields.pop("instance_name", None)),
            instance_role=nullable(parse_str)(fields.pop("instance_role", None)),
        )
        result.additional_properties = fields
        return result
