"""Rows of whole processes: the time to import a client, and of a script with one record."""

import subprocess
import tempfile
import time
from typing import Any

from benchmarks.contenders import OFFICIAL, PLAIN, user_environment
from benchmarks.rows import Goals, Row
from benchmarks.run import Outcome, fresh_server

IMPORT = "import time; t = time.perf_counter(); import {package}; print(time.perf_counter() - t)"

ASYNC_SCRIPT = """
import asyncio
import {package} as reduct

async def main():
    async with reduct.Client("{url}") as client:
        bucket = await client.get_bucket("bench")
        await bucket.write("script", b"data", timestamp={timestamp})
        async with bucket.read("script", timestamp={timestamp}) as record:
            assert await record.read_all() == b"data"

asyncio.run(main())
"""

BLOCKING_SCRIPT = """
import reduct_sync as reduct

with reduct.Client("{url}") as client:
    bucket = client.get_bucket("bench")
    bucket.write("script", b"data", timestamp={timestamp})
    with bucket.read("script", timestamp={timestamp}) as record:
        assert record.read_all() == b"data"
"""

PROGRAMS = {
    "reduct-py": (str(OFFICIAL), "reduct", ASYNC_SCRIPT),
    "async": (str(PLAIN), "reduct_async", ASYNC_SCRIPT),
    "blocking": (str(PLAIN), "reduct_sync", BLOCKING_SCRIPT),
}

IMPORT_ROW = Row(
    "import",
    "time to import",
    "others",
    "s",
    {},
    Goals(0.5, 0.5),
    None,
    tuple(PROGRAMS),
    "delay",
)

SCRIPT_ROW = Row(
    "script",
    "a script that writes and reads one record",
    "others",
    "s",
    {},
    Goals(0.5, 0.5),
    None,
    tuple(PROGRAMS),
    "delay",
)

TURNS = 3
"""Processes for each contender and round; the first start of all is not counted."""


def run_python(python: str, code: str) -> str:
    """Run a program and return what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [python, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            cwd=folder,
            env=user_environment(),
        )
    return done.stdout


def sample(seconds: float) -> dict[str, Any]:
    """Return one turn that took so long."""
    return {
        "units": 1,
        "bytes": 0,
        "seconds": seconds,
        "cpu": seconds,
        "peak": 0,
        "samples": [seconds],
    }


def run_startup(rounds: int) -> list[Outcome]:
    """Return the outcomes of both rows."""
    imports = Outcome(IMPORT_ROW, {name: [] for name in PROGRAMS})
    scripts = Outcome(SCRIPT_ROW, {name: [] for name in PROGRAMS})
    with fresh_server() as url:
        for number in range(1 + rounds * TURNS):
            for name, (python, package, script) in PROGRAMS.items():
                taken = float(run_python(python, IMPORT.format(package=package)))
                timestamp = time.time_ns() // 1000
                code = script.format(package=package, url=url, timestamp=timestamp)
                start = time.perf_counter()
                run_python(python, code)
                whole = time.perf_counter() - start
                if number:
                    imports.turns[name].append(sample(taken))
                    scripts.turns[name].append(sample(whole))
    return [imports, scripts]
