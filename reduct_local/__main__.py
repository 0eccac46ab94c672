"""The command `reduct-local`: an embedded server until Ctrl-C or SIGTERM."""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from reduct_local import ConfigError, Server

DEFAULT_PORT = "8383"
_LEVELS = {"TRACE": "DEBUG", "WARN": "WARNING"}
"""Levels of `RS_LOG_LEVEL` that Python calls otherwise."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0 after a clean stop, 1 or 2 for an error."""
    options = _parser().parse_args(arguments)
    # The thread that serves must not get the signals: it would not end by them.
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    environment = {"RS_PORT": DEFAULT_PORT, **os.environ}
    try:
        _log(environment.get("RS_LOG_LEVEL") or "INFO")
        server = Server(
            token=options.token,
            data=options.data,
            host=options.host,
            port=options.port,
            env=environment,
        )
    except ConfigError as error:
        print(f"reduct-local: {error}", file=sys.stderr)
        return 2
    try:
        server.start()
    except (OSError, RuntimeError) as error:
        told = error.strerror if isinstance(error, OSError) else None
        print(f"reduct-local: {told or error}", file=sys.stderr)
        return 1
    print(server.url, flush=True)
    # With a timeout, signals are handled on every platform.
    while not stop.wait(0.5):
        pass
    server.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reduct-local",
        description="Run an embedded ReductStore server; prints its URL. Stop it with Ctrl-C.",
        epilog="The RS_... environment variables of the real server mean the same here.",
    )
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=_port, help=f"port, 0 for a free one ({DEFAULT_PORT})")
    parser.add_argument("--data", type=Path, help="file that keeps the data (memory only)")
    parser.add_argument("--token", help="token that clients must send (none)")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not between 0 and 65535")
    return port


def _log(level: str) -> None:
    name = _LEVELS.get(level.upper(), level.upper())
    if name not in logging.getLevelNamesMapping():
        raise ConfigError(f"RS_LOG_LEVEL={level!r} is not a log level")
    logging.basicConfig(level=name, format="%(asctime)s %(levelname)s %(message)s")


if __name__ == "__main__":
    sys.exit(main())
