"""The script behind `make server`, with a stand-in for cargo."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "tools" / "server.py"

CARGO = """#!/bin/sh
if [ "$1" = --version ]; then echo "{version}"; exit; fi
echo "$@" >> "{calls}"
sleep {seconds}
while [ "$1" != --root ]; do shift; done
mkdir -p "$2/bin"
echo binary > "$2/bin/reductstore"
chmod +x "$2/bin/reductstore"
exit {status}
"""


class Machine:
    """A cache folder and a cargo of their own for the script."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.calls = folder / "calls"
        self._bin = folder / "bin"
        self._bin.mkdir()
        for tool in ("sh", "sleep", "mkdir", "chmod"):
            (self._bin / tool).symlink_to(shutil.which(tool) or "absent")

    def install_cargo(
        self, version: str = "cargo 1.91.0", *, status: int = 0, seconds: float = 0
    ) -> None:
        text = CARGO.format(version=version, calls=self.calls, status=status, seconds=seconds)
        (self._bin / "cargo").write_text(text)
        (self._bin / "cargo").chmod(0o755)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, SCRIPT, *arguments],
            env={"PATH": str(self._bin), "XDG_CACHE_HOME": str(self.cache)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        with self.start(*arguments) as process:
            out, err = process.communicate()
        return process.returncode, out, err


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_build_prints_nothing_but_the_path(machine: Machine) -> None:
    machine.install_cargo()
    status, out, _ = machine.run("build", "9.9.9")
    binary = machine.cache / "reduct-httpx" / "reductstore-9.9.9" / "bin" / "reductstore"
    assert (status, out) == (0, f"{binary}\n")
    assert os.access(binary, os.X_OK)
    assert "install reductstore@9.9.9 --locked --no-default-features" in machine.calls.read_text()
    assert machine.run("path", "9.9.9") == (0, f"{binary}\n", "")


def test_second_build_does_nothing(machine: Machine) -> None:
    machine.install_cargo()
    first = machine.run("build")
    machine.install_cargo(status=1)
    assert machine.run("build") == (0, first[1], "")


def test_parallel_builders_build_once(machine: Machine) -> None:
    machine.install_cargo(seconds=0.5)
    with machine.start("build") as one, machine.start("build") as two:
        results = [one.communicate()[0], two.communicate()[0]]
    assert (one.returncode, two.returncode) == (0, 0)
    assert results[0] == results[1]
    assert len(machine.calls.read_text().splitlines()) == 1


def test_failed_build_leaves_no_binary(machine: Machine) -> None:
    machine.install_cargo(status=101)
    status, out, err = machine.run("build")
    assert (status, out) == (1, "")
    assert err.endswith("its messages are above\n")
    assert machine.run("path")[0] == 1
    machine.install_cargo()
    assert machine.run("build")[0] == 0


@pytest.mark.parametrize(
    ("cargo", "complaint"),
    [
        (None, "cargo is not on the path"),
        ("cargo 1.90.0", "cargo 1.90.0 is too old"),
        ("cargo 0.99.0", "cargo 0.99.0 is too old"),
        ("nonsense", "`cargo --version` says 'nonsense'"),
    ],
)
def test_unfit_cargo_is_named(machine: Machine, cargo: str | None, complaint: str) -> None:
    if cargo is not None:
        machine.install_cargo(cargo)
    status, out, err = machine.run("build")
    assert (status, out) == (1, "")
    assert err.startswith(f"error: {complaint}")
    assert "install Rust 1.91 or newer" in err


def test_missing_protoc_is_named(machine: Machine) -> None:
    machine.install_cargo()
    status, out, err = machine.run("build", "1.20.0")
    assert (status, out) == (1, "")
    assert err.startswith("error: ReductStore 1.20.0 needs protoc")


def test_path_of_an_absent_server_says_what_to_do(machine: Machine) -> None:
    status, out, err = machine.run("path", "9.9.9")
    assert (status, out) == (1, "")
    assert err == "error: ReductStore 9.9.9 is not built: run `make server`\n"
