"""The processes that compete: one for each contender and row, fed by pipes."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parent.parent

OFFICIAL = ROOT / ".venv-reduct-py" / "bin" / "python"
"""The environment of the official client; `make bench` makes it."""


PLAIN = ROOT / ".venv-plain" / "bin" / "python"
"""An environment with this client and what it needs, as its users have it; from `make bench`."""


def command(name: str, url: str) -> list[str]:
    """Return how the worker of a contender is started."""
    own = sys.executable
    workers = "benchmarks.workers"
    return {
        "reduct-py": [str(OFFICIAL), "-m", f"{workers}.async_worker", "reduct", url],
        "async": [own, "-m", f"{workers}.async_worker", "reduct_async", url],
        "stock": [own, "-m", f"{workers}.async_worker", "reduct_async", url, "--stock"],
        "blocking": [own, "-m", f"{workers}.sync_worker", url],
        "raw socket": [own, "-m", f"{workers}.raw_worker", "socket", url],
        "raw protocol": [own, "-m", f"{workers}.raw_worker", "protocol", url],
    }[name]


def environment() -> dict[str, str]:
    """Return the variables of the workers: this checkout comes first."""
    return user_environment() | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'generated'}"}


def user_environment() -> dict[str, str]:
    """Return the variables of a usual program: no proxies, nothing that changes Python."""
    return {
        name: text
        for name, text in os.environ.items()
        if "proxy" not in name.lower() and not name.startswith("PYTHON")
    }


class Contender:
    """A running worker; a context manager that ends it."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command(name, url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(),
        )

    def turn(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Return what one turn measured, or why it failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(dict(order)) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return {"failed": "the worker is gone"}
        line = self._process.stdout.readline()
        result: dict[str, Any] = json.loads(line) if line else {"failed": "the worker ended"}
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
