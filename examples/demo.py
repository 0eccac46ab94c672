"""Record this machine, watch the records arrive, read them back, verify every byte.

    make demo                          with a server of its own
    python examples/demo.py --url http://127.0.0.1:8383 --folder ~/Pictures --seconds 10

For some seconds the blocking flavour writes the counters of CPU, memory, network and disk, in a
thread; meanwhile the async flavour writes every file of a folder, and a subscription watches
both. Then both flavours query all of it back, by time and by labels. The exit status is 1 if a
record is missing, came twice, or differs from what was written.
"""

import argparse
import asyncio
import hashlib
import mimetypes
import os
import platform
import shutil
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

import reduct_async
import reduct_sync

PROJECT = Path(__file__).resolve().parent.parent
PROC = Path("/proc")

ENTRIES = ["sensors/*", "files"]

TICK_SECONDS = 0.02
"""Pause between two readings of all sensors."""

LARGE_BYTES = 1_000_000
"""Larger files are streamed, each in a request of its own; the others are written in batches."""

BATCH_BYTES = 4_000_000
BATCH_FILES = 500

SKIPPED = {"__pycache__", "build", "dist", "node_modules", "venv"}
"""Folders that are not recorded, besides those whose names begin with a dot."""

ARRIVAL_SECONDS = 30.0
"""How long the subscription may take for what is left when the recording has ended."""

Written: TypeAlias = dict[tuple[str, int], dict[str, str]]
"""Labels of the records by entry and timestamp; the label `sha256` is the checksum."""

Record: TypeAlias = reduct_sync.Record | reduct_async.Record


class Row(NamedTuple):
    """One line of the table that is printed at the end."""

    what: str
    flavour: str
    records: int
    bytes: int
    seconds: float
    faults: Sequence[str] = ()


# --- sensors: the blocking flavour ---------------------------------------------------------


def counters() -> dict[str, dict[str, float]]:
    """Return the present counters of this machine, by sensor and field."""
    if not (PROC / "stat").exists():
        clock, disk = os.times(), shutil.disk_usage(PROJECT)
        return {
            "cpu": {"user": clock.user, "system": clock.system, "elapsed": clock.elapsed},
            "disk": {"total": disk.total, "free": disk.free},
        }
    ticks = words("stat")[0]
    memory = {line[0]: float(line[1]) for line in words("meminfo")}
    network = words("net/dev")[2:]
    paging = {line[0]: float(line[1]) for line in words("vmstat")}
    return {
        "cpu": {"user": float(ticks[1]), "system": float(ticks[3]), "idle": float(ticks[4])},
        "memory": {name: memory.get(name, 0.0) for name in ("MemTotal", "MemFree", "Cached")},
        "network": {
            "received": sum(float(line[1]) for line in network),
            "sent": sum(float(line[9]) for line in network),
        },
        "disk": {"read": paging.get("pgpgin", 0.0), "written": paging.get("pgpgout", 0.0)},
    }


def words(name: str) -> list[list[str]]:
    """Return the words of each line of a file of /proc; none if it does not exist."""
    try:
        return [line.replace(":", " ").split() for line in (PROC / name).read_text().splitlines()]
    except OSError:
        return []


def reading() -> tuple[reduct_sync.RecordBatch, Written]:
    """Return the present counters as records, each a few packed doubles."""
    now = time.time_ns() // 1000
    batch, written = reduct_sync.RecordBatch(), Written()
    for sensor, fields in counters().items():
        data = struct.pack(f"<{len(fields)}d", *fields.values())
        labels = {
            "sensor": sensor,
            "fields": ",".join(fields),
            "host": quote(platform.node()),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        batch.add(f"sensors/{sensor}", now, data, labels=labels)
        written[f"sensors/{sensor}", now] = labels
    return batch, written


def record_sensors(server: dict[str, Any], name: str, seconds: float) -> tuple[Row, Written]:
    """Write a reading of all sensors every few milliseconds."""
    began = time.perf_counter()
    written: Written = {}
    size = 0
    with reduct_sync.Client(**server) as client:
        bucket = client.bucket(name)
        while time.perf_counter() - began < seconds:
            batch, labels = reading()
            for errors in bucket.write_record_batch(batch).values():
                raise next(iter(errors.values()))
            written |= labels
            size += batch.size
            time.sleep(TICK_SECONDS)
    seconds = time.perf_counter() - began
    return Row("write sensors", "sync", len(written), size, seconds), written


# --- files: the async flavour --------------------------------------------------------------


def files_of(folder: Path) -> Iterator[Path]:
    """Yield every regular file below a folder that can be read."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - SKIPPED - {f for f in folders if f.startswith(".")})
        for path in (Path(place, name) for name in sorted(names)):
            if path.is_file() and not path.is_symlink() and os.access(path, os.R_OK):
                yield path


def labels_of(path: Path, folder: Path) -> dict[str, str]:
    """Return path, type and checksum of a file; labels are ASCII, so the path is quoted."""
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "path": quote(os.fsencode(path.relative_to(folder).as_posix())),
        "type": mimetypes.guess_type(path)[0] or "application/octet-stream",
        "sha256": checksum,
    }


async def record_files(bucket: reduct_async.Bucket, folder: Path) -> tuple[Row, Written]:
    """Write every file of a folder, the first one at the present time, the next 1 us later."""
    began, first = time.perf_counter(), time.time_ns() // 1000
    written: Written = {}
    size = 0
    batch = reduct_async.Batch()
    for timestamp, path in enumerate(files_of(folder), first):
        labels = await asyncio.to_thread(labels_of, path, folder)
        length = path.stat().st_size
        if length > LARGE_BYTES:
            kind = labels["type"]
            # In the order of time: the subscription does not look behind what it has read.
            await flush(bucket, batch)
            await bucket.write("files", path, timestamp, length, labels=labels, content_type=kind)
        else:
            batch.add(timestamp, path.read_bytes(), labels["type"], labels)
        if batch.size > BATCH_BYTES or len(batch) >= BATCH_FILES:
            await flush(bucket, batch)
        written["files", timestamp] = labels
        size += length
    await flush(bucket, batch)
    seconds = time.perf_counter() - began
    return Row("write files", "async", len(written), size, seconds), written


async def flush(bucket: reduct_async.Bucket, batch: reduct_async.Batch) -> None:
    """Write a batch of files and empty it."""
    for error in (await bucket.write_batch("files", batch)).values():
        raise error
    batch.clear()


# --- recording, and a subscription to it ---------------------------------------------------


async def record(
    server: dict[str, Any], name: str, folder: Path, seconds: float
) -> tuple[list[Row], Written]:
    """Record sensors and files side by side, and watch them arrive."""
    arrived: list[Record] = []
    async with reduct_async.Client(**server) as client, asyncio.TaskGroup() as tasks:
        bucket = client.bucket(name)
        began = time.perf_counter()
        subscription = bucket.subscribe(ENTRIES, poll_interval=0.1, head=True)
        tasks.create_task(watch(subscription, arrived))
        files = tasks.create_task(record_files(bucket, folder))
        sensor_row, sensors = await asyncio.to_thread(record_sensors, server, name, seconds)
        file_row, written = await files
        written |= sensors
        await arrival(arrived, len(written))
        await subscription.close()
    watched = Check("subscribe", "async", written, began)
    for found in arrived:
        watched.add(found, None)
    return [sensor_row, file_row, watched.row()], written


async def watch(subscription: reduct_async.Subscription, arrived: list[Record]) -> None:
    """Collect what arrives until the subscription is closed."""
    async for found in subscription:
        arrived.append(found)


async def arrival(arrived: list[Record], count: int) -> None:
    """Return when so many records have arrived, or too much time has passed."""
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while len(arrived) < count and time.monotonic() < deadline:
        await asyncio.sleep(0.02)


# --- queries, by both flavours -------------------------------------------------------------


class Check:
    """Compares the records that come with those that were written."""

    def __init__(self, what: str, flavour: str, expected: Written, began: float) -> None:
        self._title = what, flavour
        self._missing = dict(expected)
        self._began = began
        self._records = self._bytes = 0
        self._faults: list[str] = []

    def add(self, found: Record, sha256: str | None) -> None:
        """Compare a record, and the checksum of its payload unless that was not read."""
        labels = self._missing.pop((found.entry, found.timestamp), None)
        self._records += 1
        self._bytes += found.size
        if labels is None:
            self._faults.append(f"{found!r} was not expected, or came twice")
        elif labels != found.labels:
            self._faults.append(f"{found!r} has other labels than were written")
        elif sha256 not in (None, labels["sha256"]):
            self._faults.append(f"{found!r} has other bytes than were written")

    def row(self) -> Row:
        """Return the line of the table, with what is missing among the faults."""
        seconds = time.perf_counter() - self._began
        missing = [f"record {time} of {entry!r} is missing" for entry, time in self._missing]
        return Row(*self._title, self._records, self._bytes, seconds, self._faults + missing)


def queries(written: Written) -> Iterator[tuple[str, dict[str, Any], Written]]:
    """Yield titles and arguments of queries, and the records that they must find."""
    times = sorted(timestamp for _, timestamp in written)
    middle = times[len(times) // 2]
    types = Counter(labels["type"] for labels in written.values() if "type" in labels)
    early = {key: labels for key, labels in written.items() if key[1] < middle}
    late = {key: labels for key, labels in written.items() if key[1] >= middle}
    cpu = {key: labels for key, labels in written.items() if labels.get("sensor") == "cpu"}
    yield "query, first half", {"stop": middle}, early
    yield "query, second half", {"start": middle}, late
    yield "query, sensor=cpu", {"when": {"&sensor": {"$eq": "cpu"}}}, cpu
    for kind, _ in types.most_common(1):
        alike = {key: labels for key, labels in written.items() if labels.get("type") == kind}
        yield f"query, type={kind}", {"include": {"type": kind}}, alike


def query_sync(server: dict[str, Any], name: str, written: Written) -> Iterator[Row]:
    """Read everything back with the blocking flavour."""
    with reduct_sync.Client(**server) as client:
        bucket = client.bucket(name)
        for title, arguments, expected in queries(written):
            check = Check(title, "sync", expected, time.perf_counter())
            for found in bucket.query(ENTRIES, **arguments):
                digest = hashlib.sha256()
                for chunk in found.read():
                    digest.update(chunk)
                check.add(found, digest.hexdigest())
            yield check.row()


async def query_async(server: dict[str, Any], name: str, written: Written) -> list[Row]:
    """Read everything back with the async flavour."""
    rows: list[Row] = []
    async with reduct_async.Client(**server) as client:
        bucket = client.bucket(name)
        for title, arguments, expected in queries(written):
            check = Check(title, "async", expected, time.perf_counter())
            async for found in bucket.query(ENTRIES, **arguments):
                digest = hashlib.sha256()
                async for chunk in found.read():
                    digest.update(chunk)
                check.add(found, digest.hexdigest())
            rows.append(check.row())
    return rows


# --- the command line ----------------------------------------------------------------------


def table(rows: list[Row]) -> Iterator[str]:
    """Yield the lines of the table, and the faults below it."""
    yield f"{'':28} {'flavour':7} {'records':>8} {'MB':>9} {'seconds':>8} {'rec/s':>8} {'MB/s':>8}"
    for row in rows:
        megabytes = row.bytes / 1e6
        yield (
            f"{row.what:28.28} {row.flavour:7} {row.records:8} {megabytes:9.3f} {row.seconds:8.2f}"
            f" {row.records / row.seconds:8.0f} {megabytes / row.seconds:8.2f}"
        )
    faults = [fault for row in rows for fault in row.faults]
    yield from faults
    yield f"{len(faults)} faults" if faults else "every record came, once, with the bytes written"


def options(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Record this machine, and read it back.")
    url = os.environ.get("REDUCT_URL", "http://127.0.0.1:8383")
    parser.add_argument("--url", default=url, help="address of the server (default: %(default)s)")
    parser.add_argument("--token", help="access token, if the server asks for one")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long sensors are recorded")
    parser.add_argument("--folder", type=Path, default=PROJECT, help="whose files are recorded")
    parser.add_argument("--keep", action="store_true", help="leave the bucket on the server")
    found = parser.parse_args(arguments)
    if not found.folder.is_dir():
        parser.error(f"{found.folder} is not a folder")
    return found


def run(chosen: argparse.Namespace) -> int:
    """Record, query, print the table; return the exit status."""
    server = {"url": chosen.url, "api_token": chosen.token}
    name = f"demo-{time.time_ns() // 1000}"
    with reduct_sync.Client(**server) as client:
        bucket = client.create_bucket(name)
        print(f"recording into bucket {name} of {chosen.url} for {chosen.seconds:g} s")
        try:
            rows, written = asyncio.run(record(server, name, chosen.folder, chosen.seconds))
            rows += query_sync(server, name, written)
            rows += asyncio.run(query_async(server, name, written))
        finally:
            if not chosen.keep:
                bucket.remove()
    print("\n".join(table(rows)))
    return 1 if any(row.faults for row in rows) else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    chosen = options(arguments)
    status = 1
    try:
        status = run(chosen)
    except* reduct_sync.ReductError as group:
        print(f"error: {group.exceptions[0]}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
