"""The run of one row: a fresh server, its records, and the contenders in turns."""

import itertools
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import reduct_sync
from benchmarks.contenders import ROOT, Contender, environment
from benchmarks.rows import FIRST, Data, Row
from tools.real_server import RealServer

BATCH_BYTES = 8_000_000
"""Bytes of one request while records are prepared."""


@dataclass
class Outcome:
    """All turns of one row: what each contender measured, and why some did not."""

    row: Row
    turns: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def note(self, contender: str) -> str:
        """Return what the table says beside the figures: failures and losses."""
        turns = self.turns[contender]
        found = [turn.get("failed") or turn.get("note") or "" for turn in turns]
        return "; ".join(dict.fromkeys(text for text in found if text))

    def good(self, contender: str) -> list[dict[str, Any]]:
        """Return the turns that have figures."""
        return [turn for turn in self.turns.get(contender, []) if "failed" not in turn]


@contextmanager
def fresh_server(kind: str = "real") -> Iterator[str]:
    """Run a server of its own with the bucket of the rows; yields its address."""
    with real_server() if kind == "real" else embedded_server() as url:
        with reduct_sync.Client(url) as client:
            client.create_bucket("bench")
        yield url


@contextmanager
def real_server() -> Iterator[str]:
    """Run a real server; yields its address."""
    with RealServer() as server:
        yield server.url


@contextmanager
def embedded_server() -> Iterator[str]:
    """Run the embedded server in a process of its own, in memory; yields its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "reduct_local", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )
    assert process.stdout is not None
    try:
        found = re.search(r"http://\S+", process.stdout.readline())
        if found is None:
            raise RuntimeError("the embedded server did not start")
        yield found[0]
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def prepare(url: str, data: Data) -> None:
    """Write the records of a row."""
    content = bytes(range(256)) * (data.size // 256 + 1)
    content = content[: data.size]
    with reduct_sync.Client(url) as client:
        bucket = client.bucket("bench")
        at_once = max(1, min(80, BATCH_BYTES // max(1, data.size)))
        for entry in data.entries:
            stamps = iter(range(FIRST, FIRST + data.count))
            while some := list(itertools.islice(stamps, at_once)):
                batch = reduct_sync.Batch()
                for timestamp in some:
                    batch.add(timestamp, content)
                errors = bucket.write_batch(entry, batch)
                if errors:
                    raise RuntimeError(f"the records of the row were not stored: {errors}")


def run_row(row: Row, rounds: int, file_size: int) -> Outcome:
    """Return the turns of one row; contenders alternate, and begin in another order each round."""
    outcome = Outcome(row, {name: [] for name in row.contenders})
    with ExitStack() as stack:
        url = stack.enter_context(fresh_server(row.server))
        if row.data is not None:
            prepare(url, row.data)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reduct-bench-")))
        runners = [stack.enter_context(Contender(name, url)) for name in row.contenders]
        for number in range(row.rounds or rounds):
            shift = number % len(runners)
            for runner in runners[shift:] + runners[:shift]:
                order = order_for(row, f"{runner.name.replace(' ', '-')}-{number}", folder)
                ready(row, order, url, file_size)
                outcome.turns[runner.name].append(runner.turn(order))
                tidy(row, order, url)
    return outcome


def order_for(row: Row, turn: str, folder: Path) -> dict[str, Any]:
    """Return the order of one turn: it writes to an entry of its own."""
    order = dict(row.order) | {"entry": f"turn-{turn}", "label": turn}
    if row.group == "files":
        order["path"] = str(folder / "file")
    return order


def ready(row: Row, order: Mapping[str, Any], url: str, file_size: int) -> None:
    """Make what one turn needs for itself: records to change, a file, a record to download."""
    if row.changes_records:
        prepare(url, Data(order["count"], 100, (order["entry"],)))
    if row.group == "files":
        path = Path(order["path"])
        if not path.exists():
            write_file(path, file_size)
        if order["op"] == "download":
            with reduct_sync.Client(url) as client:
                bucket = client.bucket("bench")
                bucket.upload(order["entry"], path, timestamp=order["first"])
            # Who writes over a file has its memory for the new one.
            path.unlink()


def tidy(row: Row, order: Mapping[str, Any], url: str) -> None:
    """Remove what one turn left of large files: memory that was never used before is slow."""
    if row.group == "files":
        with reduct_sync.Client(url) as client:
            client.bucket("bench").remove_entry(order["entry"])


def write_file(path: Path, size: int) -> None:
    """Write a file of `size` bytes."""
    piece = bytes(1_000_000)
    with path.open("wb") as file:
        for _ in range(size // len(piece)):
            file.write(piece)
