"""What a lifecycle policy is told to do, and the checks of it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from reduct_local.conditions import Condition, parse_condition
from reduct_local.durations import parse_duration
from reduct_local.errors import ApiError
from reduct_local.fields import choice, optional_text, text, texts

ENABLED = "enabled"
DISABLED = "disabled"
DRY_RUN = "dry_run"
MODES = (ENABLED, DISABLED, DRY_RUN)

DELETE = "delete"
COMPRESS = "compress"
TYPES = (DELETE, COMPRESS)

MIN_OLDER_THAN_US = 3_600_000_000

MIN_INTERVAL_US = 600_000_000

DEFAULT_INTERVAL = "3600s"

DEFAULT_INTERVALS_PER_RUN = 24
"""How many intervals of data one run handles unless the policy says otherwise."""


@dataclass(frozen=True, slots=True)
class LifecycleSettings:
    """The settings of a policy as given; durations are texts, `entries` empty is all."""

    type: str
    bucket: str
    entries: tuple[str, ...]
    older_than: str
    interval: str
    when: object
    processing_interval: str | None
    mode: str

    @classmethod
    def parse(cls, document: Mapping[str, object]) -> Self:
        """Return the settings of a JSON object; 422 for missing members and wrong types."""
        return cls(
            type=choice(document, "type", TYPES),
            bucket=text(document, "bucket"),
            entries=texts(document, "entries"),
            older_than=text(document, "older_than"),
            interval=text(document, "interval", DEFAULT_INTERVAL),
            when=document.get("when"),
            processing_interval=optional_text(document, "processing_interval"),
            mode=choice(document, "mode", MODES, ENABLED),
        )

    def check(self) -> None:
        """Refuse durations that are too short or none, and conditions that make no sense (422)."""
        self._check_at_least("older_than", self.older_than_us, MIN_OLDER_THAN_US, "1h")
        self._check_at_least("interval", self.interval_us, MIN_INTERVAL_US, "10m")
        if self.processing_interval is not None and self.data_per_run_us <= 0:
            raise ApiError(
                422,
                f"Lifecycle processing_interval '{self.processing_interval}' must be positive",
            )
        if self.type == COMPRESS and self.when is not None:
            raise ApiError(422, "Lifecycle type 'compress' does not support 'when' condition")
        condition = self.condition()
        if condition is not None and condition.has_ext:
            raise ApiError(422, "Lifecycle condition cannot use '#ext' directive")

    def _check_at_least(self, name: str, value_us: int, least_us: int, least: str) -> None:
        if value_us < least_us:
            given = getattr(self, name)
            raise ApiError(
                422,
                f"Lifecycle {name} '{given}' is shorter than minimum allowed value of {least}",
            )

    @property
    def older_than_us(self) -> int:
        """The age from which on records are handled, in microseconds; 422 where it is none."""
        return _duration("older_than", self.older_than)

    @property
    def interval_us(self) -> int:
        """The microseconds from one run to the next; 422 where it is none."""
        return _duration("interval", self.interval)

    @property
    def data_per_run_us(self) -> int:
        """How much time of data, in microseconds, one run handles; 422 where it is none."""
        if self.processing_interval is None:
            return self.interval_us * DEFAULT_INTERVALS_PER_RUN
        return _duration("processing_interval", self.processing_interval)

    def condition(self) -> Condition | None:
        """Return the parsed `when`, None without one; 422."""
        if self.when is None:
            return None
        try:
            return parse_condition(self.when)
        except ApiError as error:
            raise ApiError(error.status, f"Invalid lifecycle condition: {error.message}") from None

    def with_mode(self, mode: str) -> Self:
        """Return these settings in another mode."""
        return dataclasses.replace(self, mode=mode)

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form, which `parse` reads."""
        return dataclasses.asdict(self) | {"entries": list(self.entries)}


def _duration(name: str, value: str) -> int:
    duration = parse_duration(value)
    if duration is None:
        raise ApiError(422, f"Invalid lifecycle {name} '{value}': Invalid duration value: {value}")
    return duration
