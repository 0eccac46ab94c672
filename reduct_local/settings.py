"""The settings of a bucket: quota and block limits."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Self

from .errors import ApiError

QUOTA_TYPES = ("NONE", "FIFO", "HARD")

_MAX_INTEGER = 2**64 - 1


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """Quota and block limits of a bucket; the defaults are the real server's."""

    quota_type: str = "NONE"
    quota_size: int = 0
    max_block_size: int = 64_000_000
    max_block_records: int = 1024

    def changed(self, change: Mapping[str, object]) -> Self:
        """Return these settings with the fields of a JSON object put in.

        Absent and null fields keep their values, unknown ones are ignored.
        Raises ApiError 422 for a value of a wrong type or an unknown quota type.
        """
        given = {name: change[name] for name in _CHECKS if change.get(name) is not None}
        for name, value in given.items():
            _CHECKS[name](name, value)
        # The checks above are what makes the values right for the fields.
        return replace(self, **given)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return asdict(self)


REAL_DEFAULTS = BucketSettings()
"""What a new bucket gets unless the server is configured otherwise."""


def _check_quota_type(name: str, value: object) -> None:
    if value not in QUOTA_TYPES:
        raise ApiError(422, f"{name} must be one of {', '.join(QUOTA_TYPES)}, not {value!r}")


def _check_integer(name: str, value: object) -> None:
    # True is an int in Python, in JSON it is not.
    if type(value) is not int or not 0 <= value <= _MAX_INTEGER:
        raise ApiError(422, f"{name} must be an integer from 0 to {_MAX_INTEGER}, not {value!r}")


_CHECKS = {
    "quota_type": _check_quota_type,
    "quota_size": _check_integer,
    "max_block_size": _check_integer,
    "max_block_records": _check_integer,
}
