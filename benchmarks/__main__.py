"""Measure this client against the official one on a real server.

python -m benchmarks [--quick] [--rows KEY ...] [--rounds N] [--out FOLDER]
"""

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contenders import OFFICIAL, PLAIN, ROOT, environment
from benchmarks.report import document, write
from benchmarks.rows import FULL, QUICK, Row, Scale, all_rows, queries
from benchmarks.run import Outcome, run_row
from benchmarks.startup import run_startup

MTU = 1500

NAMESPACE = ("unshare", "--net", "--map-root-user")
"""A network of the run's own, so that the loopback of the machine keeps its size."""


MEMORY = Path("/dev/shm")
"""Files and servers' data go there, where it is large enough: the disk takes no part."""

MEMORY_BYTES = 6_000_000_000


def keep_off_the_disk() -> None:
    """Have all temporary files in memory, if there is room."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows, below 3 minutes")
    parser.add_argument("--rows", nargs="+", metavar="KEY", help="only these rows")
    parser.add_argument("--rounds", type=int, help="turns of each contender in each row")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "benchmark", help="folder")
    parser.add_argument("--small-segments", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def chosen(options: argparse.Namespace, scale: Scale) -> list[Row]:
    """Return the rows that were asked for."""
    if options.rows:
        return [row for row in all_rows(scale) if row.key in options.rows]
    return [row for row in all_rows(scale) if row.quick or not options.quick]


def run_rows(rows: Sequence[Row], rounds: int, scale: Scale) -> list[Outcome]:
    """Run rows one after the other, and say so."""
    outcomes = []
    for row in rows:
        print(f"{row.title} ...", file=sys.stderr, flush=True)
        outcomes.append(run_row(row, rounds, scale.file))
    return outcomes


def small_segments(options: argparse.Namespace, rounds: int) -> list[Outcome]:
    """Run the query rows over a link with an MTU of 1500; [] where no namespace is allowed."""
    if shutil.which("ip") is None or subprocess.run([*NAMESPACE, "true"], check=False).returncode:
        print("no network namespace here: rows with an MTU of 1500 are left out", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory(prefix="reduct-bench-") as folder:
        path = Path(folder) / "rows.json"
        inner = [sys.executable, "-m", "benchmarks", "--small-segments", str(path)]
        inner += ["--rounds", str(rounds)]
        inner += ["--rows", *options.rows] if options.rows else []
        script = f'ip link set lo mtu {MTU} up && exec "$@"'
        done = [*NAMESPACE, "sh", "-c", script, "sh", *inner]
        subprocess.run(done, check=True, cwd=ROOT, env=environment())
        found = {row["key"]: row["turns"] for row in json.loads(path.read_text())["rows"]}
    rows = [row for row in queries(FULL) if row.key in found]
    return [
        Outcome(
            dataclasses.replace(
                row,
                key=f"mtu-{row.key}",
                title=f"{row.title}, MTU {MTU}",
                group="mtu",
                goals=dataclasses.replace(row.goals, asynchronous=1.5, blocking=1.5),
            ),
            found[row.key],
        )
        for row in rows
    ]


def main() -> None:
    """Run what was asked for; print the table."""
    options = arguments()
    keep_off_the_disk()
    for python in (OFFICIAL, PLAIN):
        if not python.exists():
            raise SystemExit(f"no environment at {python}: run `make bench`")
    scale = QUICK if options.quick else FULL
    rounds = options.rounds or scale.rounds
    if options.small_segments:
        rows = [row for row in queries(scale) if not options.rows or row.key in options.rows]
        outcomes = run_rows(rows, rounds, scale)
        options.small_segments.write_text(json.dumps(document(outcomes)))
        return
    outcomes = run_rows(chosen(options, scale), rounds, scale)
    if not options.quick:
        outcomes += small_segments(options, rounds)
    if not options.rows or {"import", "script"} & set(options.rows):
        outcomes += run_startup(rounds)
    print(write(outcomes, options.out))
    print(f"\ntable.md, results.json and charts are in {options.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
