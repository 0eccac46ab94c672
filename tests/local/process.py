"""The embedded server as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.real_server import start_watchdog


class ServerProcess:
    """`python -m reduct_local` on a free port; made by `serving`.

    Attributes:
        url: its address.
        pid: its number.
    """

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self._process = process
        self.url = url
        self.pid = process.pid

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._process.kill()
        self._process.wait()

    def resident_bytes(self) -> int:
        """Return how much memory it has now."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def peak_bytes(self) -> int:
        """Return how much memory it had at most."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        (line,) = (line for line in lines if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


@contextmanager
def serving(data: Path) -> Iterator[ServerProcess]:
    """Run a server with its data in a file while the block runs."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("RS_")}
    command = [sys.executable, "-m", "reduct_local", "--port", "0", "--data", str(data)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        watchdog = start_watchdog(process.pid)
        try:
            assert process.stdout is not None
            yield ServerProcess(process, process.stdout.readline().strip())
        finally:
            watchdog.kill()
            watchdog.communicate()
            process.terminate()
