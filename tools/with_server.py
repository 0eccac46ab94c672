"""Run a command with a real ReductStore server of its own, which is stopped at the end.

    python -m tools.with_server COMMAND [ARGUMENT ...]

The server has a free port, no authentication, and a temporary data folder; the command finds
its address in the environment variable REDUCT_URL. Its exit status is returned. `make server`
builds the server.
"""

import os
import subprocess
import sys
from collections.abc import Sequence

from tests.real_server import RealServer


def run(command: Sequence[str]) -> int:
    """Run `command` with a server of its own and return the exit status."""
    with RealServer() as server:
        process = subprocess.Popen(command, env={**os.environ, "REDUCT_URL": server.url})
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The command got the signal, too, and ends in its own way.
            return process.wait()


def main() -> int:
    """Run the command line and return the exit status."""
    if len(sys.argv) < 2:
        print("usage: python -m tools.with_server COMMAND [ARGUMENT ...]", file=sys.stderr)
        return 2
    try:
        return run(sys.argv[1:])
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
