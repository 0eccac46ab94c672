"""What only the blocking flavour has: threads that share a client, and Ctrl-C."""

import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from reduct_sync import Bucket, Client, Record
from tests.flavours import NO_TLS
from tests.recording import HANG_SECONDS
from tests.servers import Server

THREADS = 32


@pytest.fixture
def bucket(server: Server) -> Iterator[Bucket]:
    with Client(server.url) as client:
        bucket = client.create_bucket(f"threads-{uuid.uuid4().hex}")
        yield bucket
        bucket.remove()


@pytest.mark.parametrize("entries", [1, 8, THREADS])
def test_threads_share_a_client(bucket: Bucket, entries: int) -> None:
    """Each thread writes singly and in batches, updates and reads."""

    def work(thread: int) -> None:
        entry = f"entry-{thread % entries}"
        for number in range(10):
            us = thread * 100 + number
            bucket.write(entry, b"%d" % us, timestamp=us)
            bucket.update(entry, us, {"thread": thread})
            with bucket.read(entry, timestamp=us) as record:
                assert record.read_all() == b"%d" % us

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS), timeout=HANG_SECONDS * 2))
    found = {}
    for record in bucket.query("entry-*"):
        assert record.read_all() == b"%d" % record.timestamp
        found[record.timestamp] = record.labels
    expected = {t * 100 + n: {"thread": str(t)} for t in range(THREADS) for n in range(10)}
    assert found == expected
    assert len(bucket._io._gates) == 0


def test_body_that_writes_elsewhere_in_its_own_thread(bucket: Bucket) -> None:
    def body() -> Iterator[bytes]:
        yield bytes(100_000)
        bucket.write("other", b"", timestamp=1)
        yield b"last"

    bucket.write("entry", body(), timestamp=1, content_length=100_004)
    assert [record.entry for record in bucket.query("*")] == ["entry", "other"]


def test_close_a_subscription_from_another_thread(bucket: Bucket) -> None:
    bucket.write("entry", b"", timestamp=1)
    subscription = bucket.subscribe("entry", poll_interval=10_000)
    found: list[Record] = []
    came = threading.Event()

    def read() -> None:
        for record in subscription:
            found.append(record)
            came.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert came.wait(HANG_SECONDS)
    subscription.close()
    reader.join(HANG_SECONDS)
    assert not reader.is_alive()
    assert len(found) == 1


def test_break_gives_the_connection_back(server: Server, bucket: Bucket) -> None:
    """The query ends with its loop, in the midst of a streamed payload."""
    bucket.write("entry", bytes(9 * 1024 * 1024), timestamp=1)
    stock = httpx.HTTPTransport(verify=NO_TLS)
    with Client(server.url, transport=stock) as client:
        for _ in range(3):
            for record in client.bucket(bucket.name).query("entry"):
                assert next(record.read(1000)) == bytes(1000)
                break
        connections = stock._pool.connections
        assert all(c.is_idle() or c.is_closed() for c in connections)


INTERRUPTED = """
import faulthandler, signal, sys, threading
import reduct_sync

# A program that hangs tells where, before the test gives it up.
faulthandler.dump_traceback_later(15, exit=True)
signal.signal(signal.SIGINT, signal.default_int_handler)
with reduct_sync.Client(sys.argv[1]) as client:
    bucket = client.bucket(sys.argv[2])
    try:
        {body}
    except KeyboardInterrupt:
        bucket.write("entry", b"", timestamp=100)
        print("interrupted", len(client._io._gates), flush=True)
"""

SUBSCRIPTION = """
        for record in bucket.subscribe("entry", poll_interval=10_000):
            print("ready", flush=True)
"""

WAITING_WRITE = """
        leave = threading.Event()
        def body():
            yield bytes(100_000)
            print("ready", flush=True)
            leave.wait()
            yield b"last"
        def write():
            bucket.write("entry", body(), timestamp=5, content_length=100_004)
        holder = threading.Thread(target=write)
        holder.start()
        try:
            while not len(client._io._gates): pass
            bucket.write("entry", b"", timestamp=6)
        finally:
            leave.set()
            holder.join()
"""


@pytest.mark.parametrize("body", [SUBSCRIPTION, WAITING_WRITE], ids=["subscribe", "gate"])
def test_ctrl_c(server: Server, bucket: Bucket, body: str) -> None:
    """It ends an idle subscription, and a write that waits for its turn; the client goes on."""
    bucket.write("entry", b"", timestamp=1)
    script = INTERRUPTED.format(body=body.strip())
    with subprocess.Popen(
        [sys.executable, "-c", script, server.url, bucket.name],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=HANG_SECONDS)
        finally:
            process.kill()
    assert (rest, process.returncode) == ("interrupted 0\n", 0)
    assert [record.timestamp for record in bucket.query("entry")][-1] == 100
