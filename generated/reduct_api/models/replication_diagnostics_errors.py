from collections.abc import Mapping
from typing import Any, Self

from ..types import parse_object
from .replication_diagnostics_error import ReplicationDiagnosticsError


class ReplicationDiagnosticsErrors(dict[int, ReplicationDiagnosticsError]):
    """Errors by status, written as decimal number; negative for those without an answer, such as
    -1 unknown, -2 timeout, -3 connection.
    """

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {str(key): value.to_dict() for key, value in self.items()}

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        decode = ReplicationDiagnosticsError.from_dict
        return cls({int(key): decode(value) for key, value in parse_object(source).items()})
