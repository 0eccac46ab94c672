"""After `kill -9` what was acknowledged is there and whole, and nothing else that is not whole."""

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import reduct_local
from tests.differential.wire import Answer, Call, Connection, NoAnswerError
from tests.local.process import serving

pytestmark = pytest.mark.heavy

KILLS = 24

LARGE = 2_500_000
"""Bytes of a record that is stored in several pieces."""

BATCH = 40
"""Records of a batch."""

READ_ALL = b'{"query_type": "QUERY", "start": 0, "stop": 1000000}'


def payload(entry: str, timestamp: int) -> bytes:
    """Return the content of a record, which depends on both so that none passes for another."""
    seed = f"{entry} {timestamp} ".encode()
    size = LARGE + timestamp if entry == "large" else timestamp % 3000
    return (seed * (size // len(seed) + 1))[:size]


class Writer(threading.Thread):
    """Writes records to one entry until the server is gone.

    Attributes:
        acknowledged: the times of the records that the server said to have stored.
        begun: the times of all that were sent.
    """

    def __init__(self, url: str, entry: str, count: int) -> None:
        super().__init__()
        self.entry = entry
        self.acknowledged: list[int] = []
        self.begun: list[int] = []
        self._connection = Connection(url)
        self._count = count

    def run(self) -> None:
        """Write one call after the other."""
        first = 1
        while True:
            times = range(first, first + self._count)
            self.begun += times
            try:
                answer = self._connection.send(self._call(times))
            except NoAnswerError:
                return
            assert answer.status == 200, answer
            assert not any(name.startswith("x-reduct-error") for name, _ in answer.headers)
            self.acknowledged += times
            first += self._count

    def _call(self, times: range) -> Call:
        if self._count == 1:
            labels = (("x-reduct-label-time", str(times[0])),)
            target = f"/b/bucket/{self.entry}?ts={times[0]}"
            return Call("POST", target, labels, payload(self.entry, times[0]))
        bodies = [payload(self.entry, timestamp) for timestamp in times]
        headers = tuple(
            (f"x-reduct-time-{timestamp}", f"{len(body)},,time={timestamp}")
            for timestamp, body in zip(times, bodies, strict=True)
        )
        return Call("POST", f"/b/bucket/{self.entry}/batch", headers, b"".join(bodies))


def damages(url: str, writers: list[Writer]) -> list[str]:
    """Return what is wrong with the records of a server: lost, not whole, in between."""
    connection = Connection(url)
    try:
        return [damage for writer in writers for damage in damages_of(connection, writer)]
    finally:
        connection.close()


def damages_of(connection: Connection, writer: Writer) -> list[str]:
    """Return what is wrong with the records of one entry."""
    found = []
    missing = set(writer.acknowledged)
    for timestamp in writer.begun:
        answer = connection.send(Call("GET", f"/b/bucket/{writer.entry}?ts={timestamp}", size=None))
        if answer.status == 200:
            missing.discard(timestamp)
        if answer.status != 404 and not is_whole(answer, writer.entry, timestamp):
            found.append(f"{writer.entry}@{timestamp} is not whole: {answer.status}")
    queried = times_of_query(connection, writer.entry)
    shown = [timestamp for timestamp in queried if timestamp not in writer.begun]
    found += [f"{writer.entry}@{timestamp} was never written" for timestamp in shown]
    missing |= set(writer.acknowledged) - set(queried)
    return found + [f"{writer.entry}@{timestamp} is lost" for timestamp in sorted(missing)]


def is_whole(answer: Answer, entry: str, timestamp: int) -> bool:
    """Return whether a record has its content and its label."""
    label = answer.header("x-reduct-label-time")
    return answer.status == 200 and (label, answer.body) == (
        str(timestamp),
        payload(entry, timestamp),
    )


def times_of_query(connection: Connection, entry: str) -> list[int]:
    """Return the times of the records that a query finds; none where there is no entry."""
    started = connection.send(Call("POST", f"/b/bucket/{entry}/q", body=READ_ALL))
    if started.status == 404:
        return []
    number = int(started.body.strip(b'{"id: }'))
    found: list[int] = []
    while True:
        target = f"/b/bucket/{entry}/batch?q={number}"
        answer = connection.send(Call("HEAD", target, size=None))
        prefix = "x-reduct-time-"
        found += [int(name[len(prefix) :]) for name, _ in answer.headers if name.startswith(prefix)]
        if answer.status == 204 or answer.header("x-reduct-last") == "true":
            return found


def written(data: Path, enough: Callable[[list[Writer]], bool]) -> list[Writer]:
    """Write to a server in three ways until it is killed; return who wrote."""
    with serving(data) as server:
        setup = Connection(server.url)
        assert setup.send(Call("POST", "/b/bucket")).status == 200
        setup.close()
        writers = [
            Writer(server.url, "single", 1),
            Writer(server.url, "batch", BATCH),
            Writer(server.url, "large", 1),
        ]
        for writer in writers:
            writer.start()
        deadline = time.monotonic() + 60
        while not enough(writers):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        server.kill()
        for writer in writers:
            writer.join()
    return writers


@pytest.mark.parametrize("number", range(KILLS))
def test_kill_at_any_moment(tmp_path: Path, number: int) -> None:
    data = tmp_path / "data.sqlite"
    pause = random.Random(number).uniform(0, 0.4)
    begin: list[float] = []

    def enough(writers: list[Writer]) -> bool:
        if not begin and any(writer.acknowledged for writer in writers):
            begin.append(time.monotonic())
        return bool(begin) and time.monotonic() > begin[0] + pause

    writers = written(data, enough)

    with reduct_local.Server(data=data) as server:
        assert damages(server.url, writers) == []
        connection = Connection(server.url)
        again = Call("POST", f"/b/bucket/large?ts={len(writers[2].begun) + 1}", body=b"x")
        assert connection.send(again).status == 200
        connection.close()


def test_damage_is_seen(tmp_path: Path) -> None:
    """The control: what is taken away or changed behind the back of the check is found."""
    data = tmp_path / "data.sqlite"
    writers = written(data, lambda writers: all(writer.acknowledged for writer in writers))
    with reduct_local.Server(data=data) as server:
        assert damages(server.url, writers) == []
        connection = Connection(server.url)
        for call in [
            Call("DELETE", "/b/bucket/single?ts=1", size=None),
            Call("DELETE", "/b/bucket/batch?ts=7", size=None),
            Call("POST", "/b/bucket/batch?ts=7", (("x-reduct-label-time", "7"),), b"other"),
            Call("PATCH", "/b/bucket/large?ts=1", (("x-reduct-label-time", "2"),), size=None),
            Call("POST", "/b/bucket/single?ts=999999", body=b""),
        ]:
            assert connection.send(call).status == 200
        connection.close()
        assert damages(server.url, writers) == [
            "single@999999 was never written",
            "single@1 is lost",
            "batch@7 is not whole: 200",
            "large@1 is not whole: 200",
        ]
