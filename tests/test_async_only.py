"""What only the async flavour has: cancellation, event loops, trio."""

import asyncio
import gc
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any, cast

import anyio
import anyio.to_thread
import httpx
import pytest

from reduct_async import Batch, Bucket, Client, ReductError
from reduct_core.gates import Key
from tests.flavours import Flavour
from tests.recording import HANG_SECONDS, Async, Recorder, until
from tests.servers import Server

LARGE = 9 * 1024 * 1024

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every test runs in both event loops, unless it says otherwise."""
    backend: str = request.param
    return backend


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(Flavour("async"))


@pytest.fixture
async def bucket(server: Server, recorder: Recorder) -> AsyncIterator[Bucket]:
    async with Client(server.url, transport=cast(Async, recorder.transport)) as client:
        bucket = await client.create_bucket(f"async-{uuid.uuid4().hex}")
        yield bucket
        await bucket.remove()


only_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


def batch_of(times: range) -> Batch:
    batch = Batch()
    for us in times:
        batch.add(us, b"%d" % us)
    return batch


async def times(bucket: Bucket, entry: str = "entry") -> list[int]:
    """Return the timestamps of an entry of `batch_of`, its payloads verified."""
    found = []
    async for record in bucket.query(entry):
        assert await record.read_all() == b"%d" % record.timestamp
        found.append(record.timestamp)
    return found


def leaks(recorder: Recorder) -> list[Any]:
    """Return what the pool still waits for: requests, and connections in use."""
    in_use = [c for c in recorder.pool.connections if not (c.is_idle() or c.is_closed())]
    return [*recorder.pool._requests, *in_use]


# --- both event loops ----------------------------------------------------------------------


async def test_calls(bucket: Bucket) -> None:
    await bucket.write("entry", b"0", timestamp=0)
    assert await bucket.write_batch("entry", batch_of(range(1, 200))) == {}
    await bucket.update("entry", 5, {"a": 1})
    async with bucket.read("entry", timestamp=5) as record:
        assert (await record.read_all(), record.labels) == (b"5", {"a": "1"})
    assert await bucket.remove_query("entry", stop=5) == 5
    assert await times(bucket) == list(range(5, 200))


async def test_gates(bucket: Bucket, recorder: Recorder) -> None:
    async with anyio.create_task_group() as group:
        for us in range(100):
            group.start_soon(bucket.write, "entry", b"%d" % us, us)
        for begin in range(100, 500, 40):
            group.start_soon(bucket.write_batch, "entry", batch_of(range(begin, begin + 40)))
    assert await times(bucket) == list(range(500))
    assert not recorder.clashes


async def test_subscription(bucket: Bucket) -> None:
    found = []
    async with anyio.create_task_group() as group:
        with anyio.fail_after(HANG_SECONDS):
            async with bucket.subscribe("entry", poll_interval=0.02) as subscription:
                group.start_soon(bucket.write_batch, "entry", batch_of(range(5)))
                async for record in subscription:
                    found.append(await record.read_all())
                    if len(found) == 5:
                        break
    assert sorted(found) == [b"0", b"1", b"2", b"3", b"4"]


async def test_first_come_first_served(bucket: Bucket, recorder: Recorder) -> None:
    begun, leave = anyio.Event(), anyio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield bytes(100_000)
        begun.set()
        await leave.wait()
        yield b"x"

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: bucket.write("entry", body(), 0, content_length=100_001))
        await begun.wait()
        for us in range(1, 6):
            group.start_soon(bucket.write, "entry", b"", us)
            await waiting(bucket, us)
        leave.set()
    sent = [r.url.params.get("ts") for r in recorder.requests if r.method == "POST"]
    assert sent[1:] == ["0", "1", "2", "3", "4", "5"]


async def waiting(bucket: Bucket, count: int) -> None:
    table = bucket._io._gates._gates
    key = Key(bucket.name, "entry")
    await until(lambda: key in table and len(table[key].queue) == count)


# --- cancellation --------------------------------------------------------------------------


async def test_cancelled_writes_leave_the_gate_usable(bucket: Bucket) -> None:
    """Both the one that is being sent and the one that waits for it."""
    begun = anyio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield bytes(100_000)
        begun.set()
        await anyio.sleep_forever()

    with anyio.fail_after(HANG_SECONDS):
        async with anyio.create_task_group() as outer:
            async with anyio.create_task_group() as waiter:
                outer.start_soon(lambda: bucket.write("entry", body(), 1, content_length=100_001))
                await begun.wait()
                waiter.start_soon(bucket.write, "entry", b"", 2)
                await waiting(bucket, 1)
                waiter.cancel_scope.cancel()
            outer.start_soon(bucket.write, "entry", b"3", 3)
            await waiting(bucket, 1)
            outer.cancel_scope.cancel()
        assert len(bucket._io._gates) == 0
        await bucket.write("entry", b"4", timestamp=4)
    assert await times(bucket) == [4]


async def test_cancelled_batch_is_finished_before_the_next_write(
    server: Server, bucket: Bucket
) -> None:
    """The server goes on with a batch whose connection was closed: two would overlap."""
    sent, finished = anyio.Event(), anyio.Event()

    async def hold(request: httpx.Request) -> None:
        if request.url.path.endswith("/batch") and not sent.is_set():
            sent.set()
            await anyio.sleep(0.2)
            finished.set()

    watched = Recorder(Flavour("async"), closing=hold)
    async with Client(server.url, transport=cast(Async, watched.transport)) as client:
        other = client.bucket(bucket.name)
        async with anyio.create_task_group() as group:
            group.start_soon(other.write_batch, "entry", batch_of(range(80)))
            await sent.wait()
            group.cancel_scope.cancel()
        assert finished.is_set()
        await other.write("entry", b"80", timestamp=80)
    assert await times(bucket) == list(range(81))
    assert not watched.clashes


# httpx leaves its own generators to the collector, of which trio warns; connections are closed.
@pytest.mark.filterwarnings("ignore:Async generator '(httpcore|httpx|tests)[.]:ResourceWarning")
@pytest.mark.parametrize("size", [1000, LARGE])
async def test_interrupted_queries_leak_no_connection(
    bucket: Bucket, recorder: Recorder, size: int
) -> None:
    """Left by break and aclose, by an exception, by a cancellation."""
    for us in range(3):
        await bucket.write("entry", bytes(size), timestamp=us)

    async def broken_off() -> None:
        async with aclosing(bucket.query("entry")) as query:
            async for record in query:
                async with aclosing(record.read(10)) as pieces:
                    assert await anext(pieces) == bytes(10)
                break

    async def failed() -> None:
        async with aclosing(bucket.query("entry")) as query:
            async for _ in query:
                raise ZeroDivisionError

    async def cancelled() -> None:
        with anyio.CancelScope() as scope:
            async with aclosing(bucket.query("entry")) as query:
                async for record in query:
                    async with aclosing(record.read(10)) as pieces:
                        async for _ in pieces:
                            scope.cancel()
                            await anyio.sleep(0)

    async def cancelled_read() -> None:
        with anyio.CancelScope() as scope:
            async with bucket.read("entry") as record, aclosing(record.read(10)) as pieces:
                async for _ in pieces:
                    scope.cancel()
                    await anyio.sleep(0)

    for interrupt in [broken_off, failed, cancelled, cancelled_read]:
        with suppress(ZeroDivisionError):
            await interrupt()
        assert leaks(recorder) == [], interrupt
    await bucket.write("entry", b"", timestamp=10)


@only_asyncio
async def test_break_alone_leaks_no_connection(bucket: Bucket, recorder: Recorder) -> None:
    """asyncio closes abandoned generators soon."""
    await bucket.write("entry", bytes(LARGE), timestamp=1)
    async for _ in bucket.query("entry"):
        break
    async for _ in bucket.subscribe("entry"):
        break
    gc.collect()
    await until(lambda: leaks(recorder) == [])


@only_asyncio
@pytest.mark.parametrize("poll_interval", [0.02, 10_000])
async def test_cancelled_subscription(bucket: Bucket, poll_interval: float) -> None:
    async def read() -> None:
        async for _ in bucket.subscribe("entry", poll_interval=poll_interval):
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, HANG_SECONDS)


# --- event loops ---------------------------------------------------------------------------

CALLS: list[Callable[[Bucket], Awaitable[Any]]] = [
    lambda bucket: bucket.write("entry", b""),
    lambda bucket: bucket.info(),
    lambda bucket: anext(bucket.query("entry")),
    lambda bucket: anext(bucket.subscribe("entry")),
    lambda bucket: bucket.remove_query("*", everything=True),
]


@only_asyncio
async def test_second_loop_is_refused(server: Server, bucket: Bucket) -> None:
    """Also where another client is at home in that loop; closing there does not fail."""

    def other_loop() -> list[str]:
        async def use() -> list[str]:
            async with Client(server.url) as native:
                await native.info()
            messages = []
            for call in CALLS:
                with pytest.raises(ReductError) as caught:
                    await call(bucket)
                messages.append(str(caught.value))
            return messages

        return asyncio.run(use())

    messages = await anyio.to_thread.run_sync(other_loop)
    assert all("another event loop" in message for message in messages)
    await bucket.write("entry", b"0", timestamp=0)
    client = Client(server.url)
    await client.info()
    await anyio.to_thread.run_sync(lambda: asyncio.run(client.close()))
    with pytest.raises(ReductError, match="closed"):
        await client.info()
    assert client.transport is not None
    await client.transport.aclose()


@only_asyncio
async def test_second_loop_is_refused_at_a_gate(bucket: Bucket) -> None:
    """It does not wait for a write of the first loop, which could not wake it."""
    refused: list[str] = []

    def other_loop() -> None:
        with pytest.raises(ReductError) as caught:
            asyncio.run(bucket.write("entry", b"", timestamp=2))
        refused.append(str(caught.value))

    async def body() -> AsyncIterator[bytes]:
        yield bytes(100_000)
        thread = threading.Thread(target=other_loop, daemon=True)
        thread.start()
        await anyio.to_thread.run_sync(thread.join, HANG_SECONDS)
        yield b"x"

    await bucket.write("entry", body(), timestamp=1, content_length=100_001)
    assert ["another event loop" in message for message in refused] == [True]


def test_client_made_outside_of_a_loop(server: Server) -> None:
    """So may handles, queries and subscriptions; the loop that runs them is their home."""
    client = Client(server.url)
    name = f"outside-{uuid.uuid4().hex}"
    bucket = client.bucket(name)
    subscription = bucket.subscribe("entry")

    async def use() -> int:
        async with client, subscription:
            await client.create_bucket(name)
            await bucket.write("entry", b"", timestamp=7)
            record = await anext(subscription)
            await bucket.remove()
            return record.timestamp

    assert asyncio.run(use()) == 7
