"""Counts of forwarded and failed records over the last hour."""

from collections import deque
from dataclasses import dataclass, field

from reduct_local.clock import Clock
from reduct_local.errors import ApiError

FRAMES = 60

FRAME_US = 60_000_000
"""A frame is a minute."""


@dataclass(slots=True)
class _Frame:
    ok: int = 0
    errored: int = 0
    errors: dict[int, tuple[int, str]] = field(default_factory=dict)


class Diagnostics:
    """What became of the records of one replication, minute by minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._frames: deque[_Frame] = deque([_Frame()], maxlen=FRAMES)
        self._frame_started = clock.now_us()

    def count_ok(self, count: int) -> None:
        """Count forwarded records."""
        self._current().ok += count

    def count_error(self, error: ApiError, count: int = 1) -> None:
        """Count records that could not be forwarded, by status (negative: no answer came)."""
        frame = self._current()
        frame.errored += count
        before, _ = frame.errors.get(error.status, (0, ""))
        frame.errors[error.status] = (before + count, error.message)

    def _current(self) -> _Frame:
        """Return the frame of this minute.

        As in the real server frames go on only when something is counted.
        """
        passed = (self._clock.now_us() - self._frame_started) // FRAME_US
        if passed > 0:
            self._frame_started = self._clock.now_us()
        self._frames.extend(_Frame() for _ in range(min(passed, FRAMES)))
        return self._frames[-1]

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form: estimates for a full hour, but plain counts by error."""
        errors: dict[int, tuple[int, str]] = {}
        for frame in self._frames:
            for status, (count, message) in frame.errors.items():
                before, _ = errors.get(status, (0, ""))
                errors[status] = (before + count, message)
        return {
            "hourly": {
                "ok": self._per_hour(sum(frame.ok for frame in self._frames)),
                "errored": self._per_hour(sum(frame.errored for frame in self._frames)),
                "errors": {
                    str(status): {"count": count, "last_message": message}
                    for status, (count, message) in errors.items()
                },
            }
        }

    def _per_hour(self, count: int) -> int:
        return round(count * FRAMES / len(self._frames))
