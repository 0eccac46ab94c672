"""Build the real ReductStore server once per machine and tell where it is.

    python tools/server.py build [VERSION]   build it unless it is there; print its path
    python tools/server.py path [VERSION]    print its path; fails if it is not there

The binary goes to `reduct-httpx/reductstore-VERSION/` in the user's cache folder, outside the
checkout. Needs cargo; uses nothing but the standard library, so it runs before `.venv` exists.
"""

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = "1.21.4"
"""The server that `make test` and `make check` run against."""

MINIMUM_CARGO = (1, 91)
"""The Rust release that the crate asks for."""


class BuildError(Exception):
    """The server cannot be built; the text says what to do."""


def cache_folder() -> Path:
    """Return the per-user folder of all server builds."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "reduct-httpx"


def binary_path(version: str = VERSION) -> Path:
    """Return where the binary of `version` belongs, built or not."""
    return cache_folder() / f"reductstore-{version}" / "bin" / "reductstore"


def is_built(version: str = VERSION) -> bool:
    """Return whether the binary of `version` is there."""
    return os.access(binary_path(version), os.X_OK)


def require_tools(version: str) -> None:
    """Raise BuildError unless what builds `version` is on the path."""
    wanted = ".".join(map(str, MINIMUM_CARGO))
    advice = f"install Rust {wanted} or newer (https://rustup.rs) and try again"
    if shutil.which("cargo") is None:
        raise BuildError(f"cargo is not on the path: {advice}")
    text = subprocess.run(["cargo", "--version"], capture_output=True, text=True).stdout.strip()
    found = re.match(r"cargo (\d+)\.(\d+)", text)
    if found is None:
        raise BuildError(f"`cargo --version` says {text!r}: {advice}")
    if (int(found[1]), int(found[2])) < MINIMUM_CARGO:
        raise BuildError(f"{text} is too old: {advice}")
    if version.startswith("1.20.") and shutil.which("protoc") is None:
        raise BuildError(f"ReductStore {version} needs protoc: `make venv` puts it into .venv/bin")


@contextmanager
def exclusive(version: str) -> Iterator[None]:
    """Hold the build of `version` alone; the kernel frees the lock of a killed process."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with open(cache_folder() / f"reductstore-{version}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(version: str = VERSION) -> Path:
    """Build the server unless it is there and return the path of its binary.

    Takes about 5 minutes on two cores. A second builder waits for the first; after an
    interruption the next build goes on where it stopped.
    """
    target = binary_path(version)
    if is_built(version):
        return target
    require_tools(version)
    with exclusive(version):
        if not is_built(version):
            workshop = cache_folder() / f"reductstore-{version}.build"
            compile_server(version, workshop)
            target.parent.mkdir(parents=True, exist_ok=True)
            # A rename within one folder: other processes see the whole binary or none.
            os.replace(workshop / "root" / "bin" / "reductstore", target)
            shutil.rmtree(workshop)
    return target


def compile_server(version: str, workshop: Path) -> None:
    """Let cargo build and install the server below `workshop`."""
    # The default feature `web-console` downloads at build time, so it is off.
    command = ["cargo", "install", f"reductstore@{version}", "--locked"]
    command += ["--no-default-features", "--features", "fs-backend", "--force"]
    command += ["--root", str(workshop / "root"), "--target-dir", str(workshop / "target")]
    print(f"building ReductStore {version}, about 5 minutes: {' '.join(command)}", file=sys.stderr)
    if subprocess.run(command, stdout=sys.stderr).returncode != 0:
        raise BuildError(f"cargo could not build ReductStore {version}; its messages are above")


def main() -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(description="The real ReductStore server for tests.")
    parser.add_argument("action", choices=["build", "path"])
    parser.add_argument("version", nargs="?", default=VERSION)
    arguments = parser.parse_args()
    try:
        if arguments.action == "build":
            build(arguments.version)
        elif not is_built(arguments.version):
            raise BuildError(f"ReductStore {arguments.version} is not built: run `make server`")
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(binary_path(arguments.version))
    return 0


if __name__ == "__main__":
    sys.exit(main())
