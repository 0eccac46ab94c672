from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import parse_int, parse_object, without_none
from .replication_diagnostics_errors import ReplicationDiagnosticsErrors


@define(kw_only=True)
class ReplicationDiagnosticsDetail:
    """How a replication went in some span of time."""

    ok: int
    """Number of records copied, estimated from the minutes observed."""
    errored: int
    """Number of records that failed, estimated from the minutes observed."""
    errors: ReplicationDiagnosticsErrors
    """Errors by status."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {"ok": self.ok, "errored": self.errored, "errors": self.errors.to_dict()}
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            ok=parse_int(fields.pop("ok")),
            errored=parse_int(fields.pop("errored")),
            errors=ReplicationDiagnosticsErrors.from_dict(fields.pop("errors")),
        )
        result.additional_properties = fields
        return result
