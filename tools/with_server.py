"""Run a command with a server of its own, which is stopped at the end.

    python -m tools.with_server [--real] COMMAND [ARGUMENT ...]

The server has a free port, no authentication, and no data that outlives it; the command finds its
address in the environment variable REDUCT_URL. Its exit status is returned. Without `--real` it is
the embedded server; `make server` builds the real one.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

import reduct_local
from tools.real_server import RealServer


def run(command: Sequence[str], *, real: bool) -> int:
    """Run `command` with a server of its own and return the exit status."""
    with RealServer() if real else reduct_local.Server() as server:
        process = subprocess.Popen(command, env={**os.environ, "REDUCT_URL": server.url})
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The command got the signal, too, and ends in its own way.
            return process.wait()


def main() -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(description="Run a command with a server of its own.")
    parser.add_argument("--real", action="store_true", help="the real server")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if not arguments.command:
        parser.error("no command")
    try:
        return run(arguments.command, real=arguments.real)
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
