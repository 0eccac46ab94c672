"""Force curves: what a press measures in one stroke."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

CONTENT_TYPE = "application/vnd.presses.curve"


@dataclass(frozen=True)
class Curve:
    """The forces of one stroke, in newtons, 1,000 a second; `time` is its start in Unix us."""

    time: int
    forces: tuple[float, ...]

    @property
    def peak(self) -> float:
        """The greatest force, in newtons."""
        return max(self.forces, default=0.0)

    def labels(self) -> dict[str, float | int]:
        """Return what queries select curves by."""
        return {"peak": self.peak, "samples": len(self.forces)}

    def to_bytes(self) -> bytes:
        """Return the forces as doubles of this machine."""
        return array("d", self.forces).tobytes()


def curve_from_bytes(time: int, data: bytes) -> Curve:
    """Return the curve that `Curve.to_bytes` made `data` of."""
    forces: Iterable[float] = array("d", data)
    return Curve(time, tuple(forces))
