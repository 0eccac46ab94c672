"""Ctrl-C: it ends what is waited for, and leaves a client that works."""

import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import reduct_sync
from tests.scripted_server import DEADLINE, HEAD, HOLD, REQUEST, ScriptedServer, answer
from tests.servers import Server

SUBSCRIBE = """
import sys
from reduct_sync import Client
client = Client(sys.argv[1])
bucket = client.bucket(sys.argv[2])
subscription = bucket.subscribe("entry", poll_interval=0.01)
try:
    for record in subscription:
        print(record.read_all().decode(), flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert bucket.info().entry_count == 1
bucket.write("entry", b"more", 2)
assert [record.timestamp for record in bucket.query("entry")] == [1, 2]
subscription.close()
client.close()
print("done", flush=True)
"""

SUBSCRIBE_ASYNC = """
import asyncio, sys
from reduct_async import Client
async def main():
    async with Client(sys.argv[1]) as client:
        async for record in client.bucket(sys.argv[2]).subscribe("entry", poll_interval=0.01):
            print((await record.read_all()).decode(), flush=True)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
print("done", flush=True)
"""

STALLED = """
import sys
from httpx import Limits
from reduct_sync import Client
client = Client(sys.argv[1], limits=Limits(max_connections=1))
def {name}():
    {call}
for attempt in range(2):
    print("data", flush=True)
    try:
        {name}()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
client.close()
print("done", flush=True)
"""

LISTENING = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
"""
"""Shells have what they run in the background ignore Ctrl-C."""

CALLS = {
    "read": "client.list()",
    "write": 'client.bucket("b").write("entry", bytes(32_000_000))',
    "batch": "from reduct_sync import Batch; batch = Batch(); batch.add(1, b'x');"
    ' client.bucket("b").write_batch("entry", batch)',
}


@contextmanager
def program(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program of a user, for whom warnings are errors."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", f"{LISTENING}{code}", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def interrupt(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C once the program waits, and check that it ends as it wants to."""
    assert process.stdout is not None
    assert process.stdout.readline() == "data\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE) == 0, process.stdout.read()
    assert process.stdout.read() == "interrupted\ndone\n"


@pytest.mark.parametrize("code", [SUBSCRIBE, SUBSCRIBE_ASYNC], ids=["sync", "async"])
def test_subscription(server: Server, code: str) -> None:
    with reduct_sync.Client(server.url) as client:
        bucket = client.create_bucket(f"test-{uuid.uuid4().hex}")
        bucket.write("entry", b"data", 1)
        with program(code, server.url, bucket.name) as process:
            interrupt(process)
        bucket.remove()


@pytest.mark.parametrize("name", CALLS)
def test_stalled_call(name: str) -> None:
    """The next call gets a new connection, and passes the gate of the entry."""
    code = STALLED.format(name=name, call=CALLS[name])
    good = answer(b'{"buckets": []}' if name == "read" else b"")
    with ScriptedServer([HEAD, HOLD], [REQUEST, good]) as server:
        with program(code, server.url) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "data\n"
            while not server.requests:
                assert process.poll() is None, process.stdout.read()
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE) == 0, process.stdout.read()
            assert process.stdout.read() == "interrupted\ndata\ndone\n"
        assert server.connections == 2
