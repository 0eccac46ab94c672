import datetime
from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import (
    format_datetime,
    parse_datetime,
    parse_int,
    parse_object,
    parse_str,
    without_none,
)


@define(kw_only=True)
class LicenseInfo:
    """A commercial licence."""

    licensee: str
    """Who holds the licence, usually a company."""
    invoice: str
    """Number of the invoice."""
    expiry_date: datetime.datetime
    """End of the licence, UTC."""
    plan: str
    """Name of the plan."""
    device_number: int
    """Number of devices, 0 for any number."""
    disk_quota: int
    """Disk space in terabytes, 0 for any size."""
    fingerprint: str
    """Fingerprint of the licence."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {
                "licensee": self.licensee,
                "invoice": self.invoice,
                "expiry_date": format_datetime(self.expiry_date),
                "plan": self.plan,
                "device_number": self.device_number,
                "disk_quota": self.disk_quota,
                "fingerprint": self.fingerprint,
            }
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            licensee=parse_str(fields.pop("licensee")),
            invoice=parse_str(fields.pop("invoice")),
            expiry_date=parse_datetime(fields.pop("expiry_date")),
            plan=parse_str(fields.pop("plan")),
            device_number=parse_int(fields.pop("device_number")),
            disk_quota=parse_int(fields.pop("disk_quota")),
            fingerprint=parse_str(fields.pop("fingerprint")),
        )
        result.additional_properties = fields
        return result
