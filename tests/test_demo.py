"""The demo records, reads back and verifies; and it notices when something is wrong."""

import argparse
import hashlib
import os
import re
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

import reduct_async
import reduct_sync
from examples import demo
from reduct_core.headers import RecordHead
from tests.servers import Server

ROOT = Path(__file__).parent.parent

FILES = {
    b"empty": b"",
    b"plain.txt": b"text\n",
    b'sub/a, b=c %41 "quoted".py': b"pass\n",
    b"sub/deep/\xc3\xbc\n.bin": bytes(range(256)),
    b"streamed.bin": b"0123456789" * 200_000,
    b"streamed-back.bin": os.urandom(9 * 1024 * 1024),
}
"""Two are sent as streams, and the largest one is received as a stream, too."""

SKIPPED_FILES = [b".git/config", b".venv/x", b"__pycache__/y.pyc", b"sub/node_modules/z"]

PROC_FILES = {
    "stat": "cpu  10 20 30 40 50 0 0 0 0 0\ncpu0 1 2 3 4 5 0 0 0 0 0\n",
    "meminfo": "MemTotal: 100 kB\nMemFree: 60 kB\nCached: 7 kB\n",
    "net/dev": (
        "Inter-| Receive | Transmit\n face |bytes packets\n"
        "    lo: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n  eth0:70 1 0 0 0 0 0 0 80 1 0 0 0 0 0 0\n"
    ),
    "vmstat": "nr_free_pages 9\npgpgin 1000\npgpgout 2000\n",
}


def write_files(folder: Path, files: dict[bytes, bytes]) -> None:
    for name, content in files.items():
        path = Path(os.fsdecode(os.path.join(os.fsencode(folder), name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files that are to be recorded, and some that are not."""
    folder = tmp_path / "folder"
    write_files(folder, FILES | dict.fromkeys(SKIPPED_FILES, b"skipped"))
    (folder / "link").symlink_to(folder / "plain.txt")
    (folder / "nowhere").symlink_to(folder / "absent")
    os.mkfifo(folder / "pipe")
    return folder


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demo as a user does, with warnings as errors."""
    command = [sys.executable, "-W", "error", ROOT / "examples" / "demo.py", *arguments]
    known = {name: text for name, text in os.environ.items() if name != "REDUCT_URL"}
    return subprocess.run(
        command, env=known | environment, capture_output=True, text=True, timeout=240
    )


def rows(output: str) -> dict[tuple[str, str], int]:
    """Return the number of records in each line of the printed table."""
    found = re.findall(r"^(\S.*?) +(sync|async) +(\d+) ", output, re.MULTILINE)
    return {(what, flavour): int(records) for what, flavour, records in found}


def test_what_the_demo_records_is_on_the_server(server: Server, folder: Path) -> None:
    result = run("--url", server.url, "--seconds", "0.5", "--folder", folder, "--keep")
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    (name,) = re.findall(r"bucket (\S+)", result.stdout)
    with reduct_sync.Client(server.url) as client:
        bucket = client.get_bucket(name)
        readings = list(bucket.query("sensors/*"))
        files = {unquote_to_bytes(r.labels["path"]): r.read_all() for r in bucket.query("files")}
        labels = {r.labels["type"]: r.labels["sha256"] for r in bucket.query("files", head=True)}
        bucket.remove()

    assert files == FILES
    assert labels["text/plain"] == hashlib.sha256(FILES[b"plain.txt"]).hexdigest()
    for reading in readings:
        values = struct.unpack(f"<{len(reading.labels['fields'].split(','))}d", reading.read_all())
        assert min(values) >= 0
    assert {reading.labels["sensor"] for reading in readings} == set(demo.counters())
    counted = rows(result.stdout)
    total = len(readings) + len(FILES)
    assert counted["write sensors", "sync"] == len(readings)
    assert counted["write files", "async"] == len(FILES)
    assert counted["subscribe", "async"] == total
    for flavour in ("sync", "async"):
        halves = [counted[f"query, {half} half", flavour] for half in ("first", "second")]
        assert sum(halves) == total
        assert min(halves) > 0
        assert counted["query, sensor=cpu", flavour] == len(readings) // len(demo.counters())


def test_the_bucket_is_removed(auth_server: Server, folder: Path) -> None:
    access = ["--token", str(auth_server.token)]
    result = run(
        *access, "--seconds", "0.1", "--folder", folder / "sub", REDUCT_URL=auth_server.url
    )
    assert (result.returncode, result.stderr) == (0, "")
    (name,) = re.findall(r"bucket (\S+)", result.stdout)
    with reduct_sync.Client(auth_server.url, auth_server.token) as client:
        assert name not in {bucket.name for bucket in client.list() if bucket.status == "READY"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--url", "http://127.0.0.1:1"], "error: Status -1: Cannot connect to"),
        (["--token", "wrong"], "error: Status 401:"),
        (["--folder", "no-such-folder"], "no-such-folder is not a folder"),
    ],
)
def test_trouble_is_one_clear_line(auth_server: Server, arguments: list[str], message: str) -> None:
    result = run(*arguments, REDUCT_URL=auth_server.url)
    assert result.returncode in {1, 2}
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_command_with_a_server_of_its_own() -> None:
    """What `make demo` does, on a small folder; and the command's exit status is passed on."""
    with_server = [sys.executable, "-m", "tools.with_server", sys.executable]
    small = ["--seconds", "0.1", "--folder", "examples"]
    good = subprocess.run([*with_server, "examples/demo.py", *small], cwd=ROOT, timeout=240)
    assert good.returncode == 0
    bad = subprocess.run([*with_server, "-c", "raise SystemExit(7)"], cwd=ROOT, timeout=240)
    assert bad.returncode == 7


def test_make_demo_runs_the_demo_with_a_server() -> None:
    command = ["make", "--dry-run", "--silent", "demo", "DEMO=--seconds 9"]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    assert "python -m tools.with_server .venv/bin/python examples/demo.py --seconds 9" in planned


# --- Sensors --------------------------------------------------------------------------------


def test_counters_of_linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_files(tmp_path, {os.fsencode(name): text.encode() for name, text in PROC_FILES.items()})
    monkeypatch.setattr(demo, "PROC", tmp_path)
    assert demo.counters() == {
        "cpu": {"user": 10, "system": 30, "idle": 40},
        "memory": {"MemTotal": 100, "MemFree": 60, "Cached": 7},
        "network": {"received": 75, "sent": 86},
        "disk": {"read": 1000, "written": 2000},
    }


def test_counters_where_only_some_files_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in some containers."""
    (tmp_path / "stat").write_text(PROC_FILES["stat"])
    monkeypatch.setattr(demo, "PROC", tmp_path)
    found = demo.counters()
    assert found["cpu"] == {"user": 10, "system": 30, "idle": 40}
    assert found["network"] == {"received": 0, "sent": 0}


def test_counters_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "PROC", tmp_path / "absent")
    found = demo.counters()
    assert found["cpu"].keys() == {"user", "system", "elapsed"}
    assert found["disk"]["total"] > 0


# --- Negative controls ----------------------------------------------------------------------

KEY = ("files", 5)
LABELS = {"sha256": "right"}


def found_record(labels: dict[str, str], timestamp: int = 5) -> reduct_sync.Record:
    return reduct_sync.Record(RecordHead(timestamp, "files", 1, "text/plain", labels, {}), b"x")


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        ([(LABELS, "right")], None),
        ([], "is missing"),
        ([(LABELS, "right"), (LABELS, "right")], "came twice"),
        ([(LABELS, "wrong")], "other bytes"),
        ([({"sha256": "wrong"}, "wrong")], "other labels"),
    ],
)
def test_faults_are_noticed(found: list[tuple[dict[str, str], str]], fault: str | None) -> None:
    check = demo.Check("query", "sync", {KEY: LABELS}, 0.0)
    for labels, checksum in found:
        check.add(found_record(labels), checksum)
    faults = check.row().faults
    assert (fault is None) == (faults == [])
    assert fault is None or (len(faults) == 1 and fault in faults[0])


def spoil_query(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a query that loses its first record."""

    def query(*args: Any, **kwargs: Any) -> Iterator[Any]:
        records = original(*args, **kwargs)
        # On a busy machine nothing may pass a condition on what was measured.
        next(records, None)
        yield from records

    return query


def spoil_read(_original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a read that gives other bytes."""

    async def read(_record: object, _n: int = 1) -> AsyncIterator[bytes]:
        yield b"other bytes"

    return read


def spoil_next(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a subscription's next record, with the sensors passed over."""

    async def following(self: object) -> Any:
        while (record := await original(self)).entry != "files":
            pass
        return record

    return following


@pytest.mark.parametrize(
    ("cls", "method", "spoil", "fault"),
    [
        (reduct_sync.Bucket, "query", spoil_query, "is missing"),
        (reduct_async.Record, "read", spoil_read, "has other bytes"),
        (reduct_async.Subscription, "__anext__", spoil_next, "is missing"),
    ],
)
def test_the_demo_fails_if_something_is_wrong(
    server: Server,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    cls: type,
    method: str,
    spoil: Callable[[Callable[..., Any]], Callable[..., Any]],
    fault: str,
) -> None:
    monkeypatch.setattr(demo, "ARRIVAL_SECONDS", 1.0)
    monkeypatch.setattr(cls, method, spoil(getattr(cls, method)))
    arguments = ["--url", server.url, "--seconds", "0.1", "--folder", str(folder / "sub")]
    assert demo.main(arguments) == 1
    printed = capsys.readouterr().out
    assert fault in printed
    assert "every record came" not in printed


def test_options_have_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDUCT_URL", raising=False)
    assert demo.options([]) == argparse.Namespace(
        url="http://127.0.0.1:8383", token=None, seconds=5.0, folder=ROOT, keep=False
    )
