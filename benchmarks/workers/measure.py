"""What every worker measures, and how it talks to the run: one JSON object a line."""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

KIB = 1024

STATUS = Path("/proc/self/status")

FILE_PIECE = 1 << 20
"""Bytes that a plain program reads from a file at a time."""


class Measurement:
    """One turn: units done, bytes moved, seconds by the clock and by the processor."""

    def __init__(self) -> None:
        self.units = 0
        self.bytes = 0
        self.samples: list[float] = []
        self.note = ""
        self._wall = 0.0
        self._cpu = 0.0
        self._since = (0.0, 0.0)

    def start(self) -> None:
        """Start the clocks."""
        self._since = (time.perf_counter(), time.process_time())

    def stop(self) -> None:
        """Stop the clocks; what passed since `start` counts."""
        self._wall += time.perf_counter() - self._since[0]
        self._cpu += time.process_time() - self._since[1]

    @property
    def seconds(self) -> float:
        """Seconds that passed while the clocks ran."""
        return self._wall

    def result(self) -> dict[str, Any]:
        """Return what the run reads."""
        return {
            "units": self.units,
            "bytes": self.bytes,
            "seconds": self._wall,
            "cpu": self._cpu,
            "peak": peak_memory() - BASE_MEMORY,
            "samples": self.samples,
            "note": self.note,
        }


def peak_memory() -> int:
    """Return the most memory that this process ever held, in bytes.

    Linux counts that of the process that started it in `ru_maxrss`, but not in its status.
    """
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * KIB
    scale = 1 if sys.platform == "darwin" else KIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


BASE_MEMORY = 0


def imports_done() -> None:
    """Note the memory that the imports took; peaks are told above it."""
    global BASE_MEMORY
    BASE_MEMORY = peak_memory()


def orders() -> Iterator[dict[str, Any]]:
    """Yield the orders of the run until it closes the pipe."""
    for line in sys.stdin:
        yield json.loads(line)


def answer(result: Mapping[str, Any]) -> None:
    """Send one answer."""
    print(json.dumps(result), flush=True)


def failure(error: BaseException) -> dict[str, Any]:
    """Return the answer for a turn that failed: the run shows it in place of a figure."""
    return {"failed": f"{type(error).__name__}: {error}"[:300]}


def stamps(order: Mapping[str, Any]) -> Iterator[int]:
    """Yield the timestamps of an order in turn, over and over."""
    while True:
        yield from range(order["first"], order["first"] + order["count"])


def expect(found: int, wanted: int, what: str) -> None:
    """Raise unless a contender got all it asked for: a wrong answer has no speed."""
    if found != wanted:
        raise RuntimeError(f"{found} {what} instead of {wanted}")


Operation = Callable[..., Any]
