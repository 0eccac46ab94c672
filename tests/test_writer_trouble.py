"""Writers in trouble: nothing that was accepted is dropped without a word."""

import asyncio
import gc
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from reduct_async import (
    AuthenticationError,
    Bucket,
    Client,
    ConflictError,
    FailedRecord,
    NotFoundError,
    TransportError,
    WriteError,
    Writer,
    WriteReport,
)
from reduct_core import writes
from tests.flavours import Flavour
from tests.recording import HANG_SECONDS, until
from tests.scripted_server import REQUEST, RESET, Request, ScriptedServer, answer
from tests.servers import NewServer, Server
from tests.stored import payloads, times, write_all

MIB = 1024 * 1024


class Valve:
    """Answers batch writes with success, but only while it is open; one held request answers no
    other of its connection.

    Attributes:
        held: how many requests wait.
        written: entry and timestamp of what was answered.
    """

    def __init__(self, *, shut: Callable[[Request], bool] = lambda _request: True) -> None:
        self.opened = threading.Event()
        self.held = 0
        self.written: list[tuple[str, int]] = []
        self._shut = shut

    def __call__(self, request: Request) -> bytes:
        """Answer one request."""
        if self._shut(request):
            self.held += 1
            assert self.opened.wait(HANG_SECONDS)
        entry = request.target.removeprefix("/api/v1/b/b/").removesuffix("/batch")
        prefix = "x-reduct-time-"
        found = [name for name in request.headers if name.startswith(prefix)]
        self.written += [(entry, int(name.removeprefix(prefix))) for name in found]
        return answer()


async def fill(writer: Writer, times: range, entry: str = "a", data: bytes = b"") -> None:
    """Write a record at each time."""
    for us in times:
        await writer.write(entry, data, us)


async def run(writer: Writer, block: Callable[[Writer], Awaitable[None]]) -> None:
    """Use a writer for a block."""
    async with writer:
        await block(writer)


async def drained(writer: Writer) -> None:
    """Wait until nothing is on its way."""
    with anyio.fail_after(HANG_SECONDS):
        while writer.report.pending:
            await anyio.sleep(0.005)


# --- errors of records ---------------------------------------------------------------------


async def test_failed_records_are_raised_together_at_the_end(bucket: Bucket) -> None:
    await write_all(bucket, "a", *range(0, 200, 50))
    await write_all(bucket, "b", 7)

    async def block(writer: Writer) -> None:
        await fill(writer, range(200))
        await fill(writer, range(10), "b")

    writer = bucket.writer()
    with pytest.raises(WriteError) as caught:
        await run(writer, block)
    found = {(one.entry, one.timestamp): one.error for one in caught.value.failed}
    assert found.keys() == {("a", 0), ("a", 50), ("a", 100), ("a", 150), ("b", 7)}
    assert {type(error) for error in found.values()} == {ConflictError}
    assert caught.value.status_code == 409
    assert "205 records stored, 5 failed" in str(caught.value)
    assert all(
        f"entry {entry!r}, time {us}: Status 409" in str(caught.value) for entry, us in found
    )
    assert caught.value.report == writer.report
    assert (writer.report.stored, writer.report.unsent) == (205, ())
    assert len(await times(bucket.query("a"))) == 200
    assert (await payloads(bucket.query("b")))[7] == b"7"


async def test_failed_records_go_to_a_function(bucket: Bucket) -> None:
    await write_all(bucket, "a", 3, 5)
    found: list[FailedRecord] = []
    async with bucket.writer(on_error=found.append) as writer:
        await fill(writer, range(10))
        await writer.flush()
        assert [(one.entry, one.timestamp, one.error.status_code) for one in found] == [
            ("a", 3, 409),
            ("a", 5, 409),
        ]
    assert writer.report == WriteReport(stored=8, handled=2)


async def test_flush_raises_and_the_end_does_not_again(bucket: Bucket) -> None:
    await write_all(bucket, "a", 3)
    async with bucket.writer() as writer:
        await fill(writer, range(10))
        with pytest.raises(WriteError) as caught:
            await writer.flush()
        assert [one.timestamp for one in caught.value.failed] == [3]
        await writer.flush()
        await fill(writer, range(10, 20))
    assert writer.report.stored == 19
    assert [one.timestamp for one in writer.report.failed] == [3]


async def test_what_the_function_raises_ends_the_writer(bucket: Bucket) -> None:
    await write_all(bucket, "a", 3, 5)

    def stop(record: FailedRecord) -> None:
        raise KeyError(record.timestamp)

    async def block(writer: Writer) -> None:
        await fill(writer, range(10))
        with pytest.raises(KeyError):
            await writer.flush()
        with pytest.raises(KeyError):
            await writer.write("a", b"", 100)

    writer = bucket.writer(on_error=stop, batch_records=10)
    with pytest.raises(KeyError) as caught:
        await run(writer, block)
    assert caught.value.args == (3,)
    report = writer.report
    assert (report.stored, report.handled) == (8, 1)
    assert [one.timestamp for one in report.failed] == [5]


async def test_a_function_that_is_slow_is_called_by_one_at_a_time(bucket: Bucket) -> None:
    for entry in "abcd":
        await write_all(bucket, entry, *range(5))
    inside: list[int] = []

    def slow(_record: FailedRecord) -> None:
        assert not inside
        inside.append(1)
        threading.Event().wait(0.002)
        inside.pop()

    async with bucket.writer(on_error=slow, parallel=4, batch_records=5) as writer:
        for us in range(5):
            for entry in "abcd":
                await writer.write(entry, b"", us)
    assert writer.report == WriteReport(handled=20)


# --- errors that end the writer ------------------------------------------------------------


async def test_a_missing_bucket(client: Client) -> None:
    async def block(writer: Writer) -> None:
        await fill(writer, range(10))
        await drained(writer)
        await writer.write("a", b"", 10)

    writer = client.bucket("missing").writer(batch_records=10)
    with pytest.raises(WriteError) as caught:
        await run(writer, block)
    assert isinstance(caught.value.__cause__, NotFoundError)
    assert caught.value.status_code == 404
    assert [one.timestamp for one in writer.report.failed] == list(range(10))
    assert (writer.report.stored, writer.report.unsent) == (0, ())


async def test_a_wrong_token(auth_server: Server, flavour: Flavour) -> None:
    bucket = flavour.client(auth_server.url, "wrong").bucket("b")

    async def block(writer: Writer) -> None:
        for number in range(5):
            await fill(writer, range(10), f"e{number}")

    writer = bucket.writer(parallel=1, batch_records=10)
    with pytest.raises(WriteError, match="the writer was ended by: Status 401") as caught:
        await run(writer, block)
    assert isinstance(caught.value.__cause__, AuthenticationError)
    report = writer.report
    assert report.stored == 0
    assert len(report.failed) == 10
    assert 0 <= len(report.unsent) <= 40
    assert all(isinstance(one.error, AuthenticationError) for one in report.failed)


async def test_a_closed_client(flavour: Flavour, server: Server, bucket: Bucket) -> None:
    client = flavour.client(server.url)

    async def block(writer: Writer) -> None:
        await fill(writer, range(10))
        await client.close()

    writer = client.bucket(bucket.name).writer(batch_age=3600)
    with pytest.raises(WriteError, match="client is closed"):
        await run(writer, block)
    assert writer.report.stored == 0
    assert len(writer.report.failed) + len(writer.report.unsent) == 10


async def test_the_server_dies(flavour: Flavour, new_server: NewServer) -> None:
    """What the report calls stored is there after a restart."""
    with new_server() as server:
        client = flavour.client(server.url)
        bucket = await client.create_bucket("b")
        accepted = 0

        async def block(writer: Writer) -> None:
            nonlocal accepted
            with anyio.fail_after(HANG_SECONDS):
                while True:
                    await writer.write(f"e{accepted % 4}", b"%d" % accepted, accepted)
                    accepted += 1
                    if accepted == 400:
                        await writer.flush()
                        await anyio.to_thread.run_sync(server.stop)
                    await anyio.sleep(0)

        writer = bucket.writer(batch_records=10, parallel=2)
        with pytest.raises(WriteError) as caught:
            await run(writer, block)
        report = writer.report
        assert isinstance(caught.value.__cause__, TransportError)
        assert report.stored >= 400
        assert report.stored + len(report.failed) + len(report.unsent) == accepted
        assert report.failed
        server.start()
        open_keys = {(one.entry, one.timestamp) for one in report.failed} | {*report.unsent}
        found = {us async for us in ordered(bucket)}
        expected = {us for us in range(accepted) if (f"e{us % 4}", us) not in open_keys}
        assert expected <= found
        assert len(expected) == report.stored
        assert not found & {us for _, us in report.unsent}


async def ordered(bucket: Bucket) -> Any:
    """Yield the timestamps of all records, each payload verified."""
    async for record in bucket.query("e*"):
        assert await record.read_all() == b"%d" % record.timestamp
        yield record.timestamp


async def test_the_server_is_away_for_a_while(flavour: Flavour, new_server: NewServer) -> None:
    """With a function for errors the writer goes on."""
    failed: list[int] = []
    with new_server() as server:
        client = flavour.client(server.url, retry=None)
        bucket = await client.create_bucket("b")
        async with bucket.writer(
            batch_records=5, on_error=lambda one: failed.append(one.timestamp)
        ) as writer:
            await fill(writer, range(20))
            await writer.flush()
            await anyio.to_thread.run_sync(server.stop)
            await fill(writer, range(20, 40))
            await writer.flush()
            assert sorted(failed) == list(range(20, 40))
            await anyio.to_thread.run_sync(server.start)
            await fill(writer, range(30, 60))
        assert writer.report == WriteReport(stored=50, handled=20)
        assert await times(bucket.query("a")) == [*range(20), *range(30, 60)]


async def test_a_lost_answer(flavour: Flavour) -> None:
    """Nobody knows whether these are stored: they are failed, not unsent, and not sent again."""
    with ScriptedServer([REQUEST, RESET]) as server:
        client = flavour.client(server.url)

        async def block(writer: Writer) -> None:
            await fill(writer, range(10))
            await drained(writer)

        writer = client.bucket("b").writer(batch_records=10)
        with pytest.raises(WriteError) as caught:
            await run(writer, block)
        assert [one.error.status_code for one in caught.value.failed] == [-1] * 10
        posts = [one for one in server.requests if one.method == "POST"]
        assert len(posts) == 1
        await client.close()


# --- leaving the block ---------------------------------------------------------------------


class Stop(BaseException):
    """Raised from outside, as Ctrl-C is."""


async def test_an_error_of_the_block_drops_nothing(bucket: Bucket) -> None:
    async def block(writer: Writer) -> None:
        await fill(writer, range(10))
        raise KeyError("block")

    writer = bucket.writer()
    with pytest.raises(KeyError) as caught:
        await run(writer, block)
    assert not hasattr(caught.value, "__notes__")
    assert writer.report == WriteReport(stored=10)
    assert await times(bucket.query("a")) == list(range(10))


async def test_an_error_of_the_block_tells_of_failed_records(bucket: Bucket) -> None:
    await write_all(bucket, "a", 3)

    async def block(writer: Writer) -> None:
        await fill(writer, range(10))
        raise KeyError("block")

    writer = bucket.writer()
    with pytest.raises(KeyError) as caught:
        await run(writer, block)
    assert caught.value.__notes__ == [
        "The writer was left, its report says: 9 records stored, 1 failed."
    ]
    assert [one.timestamp for one in writer.report.failed] == [3]


async def test_an_interruption_waits_for_what_is_on_its_way(flavour: Flavour) -> None:
    valve = Valve()
    with ScriptedServer([valve] * 50) as server:
        client = flavour.client(server.url)
        threading.Timer(0.1, valve.opened.set).start()

        async def block(writer: Writer) -> None:
            await fill(writer, range(35))
            await until(lambda: valve.held == 1)
            raise Stop

        writer = client.bucket("b").writer(batch_records=10, parallel=1)
        with pytest.raises(Stop) as caught:
            await run(writer, block)
        unsent = tuple(("a", us) for us in range(10, 35))
        assert writer.report == WriteReport(stored=10, unsent=unsent)
        assert caught.value.__notes__ == [
            "The writer was left, its report says: 10 records stored, 25 not sent."
        ]
        assert valve.written == [("a", us) for us in range(10)]
        await client.close()


async def test_an_interruption_does_not_wait_for_ever(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writes, "FINISH_SECONDS", 0.05)
    valve = Valve()
    with ScriptedServer([valve] * 50) as server:
        client = flavour.client(server.url)

        async def block(writer: Writer) -> None:
            await fill(writer, range(35))
            await until(lambda: valve.held == 1)
            raise Stop

        writer = client.bucket("b").writer(batch_records=10, parallel=1)
        with pytest.raises(Stop):
            await run(writer, block)
        report = writer.report
        assert (report.stored, report.pending) == (0, 0)
        assert [one.timestamp for one in report.failed] == list(range(10))
        assert "may be stored" in report.failed[0].error.message
        assert [us for _, us in report.unsent] == list(range(10, 35))
        valve.opened.set()
        await anyio.sleep(0.05)
        assert writer.report == report
        await client.close()


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("flavour", ["async"], indirect=True)
async def test_a_cancelled_block(flavour: Flavour) -> None:
    valve = Valve()
    with ScriptedServer([valve] * 50) as server:
        client = flavour.client(server.url)
        with anyio.CancelScope() as scope:
            async with client.bucket("b").writer(batch_records=10, parallel=1) as writer:
                await fill(writer, range(35))
                await until(lambda: valve.held == 1)
                threading.Timer(0.1, valve.opened.set).start()
                scope.cancel()
                await anyio.sleep(HANG_SECONDS)
        assert scope.cancelled_caught
        assert (writer.report.stored, len(writer.report.unsent)) == (10, 25)
        assert valve.written == [("a", us) for us in range(10)]
        await client.close()


@pytest.mark.parametrize("flavour", ["async"], indirect=True)
@pytest.mark.parametrize("place", ["block", "write", "flush", "end"])
async def test_a_cancelled_task(flavour: Flavour, place: str) -> None:
    """By asyncio itself, once, wherever the task waits."""
    valve = Valve()
    writers: list[Writer] = []

    async def work(bucket: Bucket) -> None:
        async with bucket.writer(
            batch_records=10, parallel=1, buffer_bytes=40 * 1024 if place == "write" else MIB
        ) as writer:
            writers.append(writer)
            await fill(writer, range(100 if place == "write" else 35))
            if place == "flush":
                await writer.flush()
            elif place == "block":
                await asyncio.sleep(HANG_SECONDS)

    with ScriptedServer([valve] * 50) as server:
        client = flavour.client(server.url)
        task = asyncio.create_task(work(client.bucket("b")))
        await until(lambda: valve.held == 1)
        await asyncio.sleep(0.05)
        task.cancel()
        threading.Timer(0.1, valve.opened.set).start()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        report = writers[0].report
        assert (report.stored, report.failed, report.pending) == (10, (), 0)
        assert len(report.unsent) == (30 if place == "write" else 25)
        assert "10 records stored" in str(caught.value.__notes__)
        await client.close()


async def test_an_interruption_of_the_end(flavour: Flavour) -> None:
    """A second Ctrl-C while the rest is sent: `flush` is where the end waits."""
    valve = Valve()
    with ScriptedServer([valve] * 50) as server:
        client = flavour.client(server.url)
        writer = client.bucket("b").writer(batch_records=10, parallel=1)
        await writer.__aenter__()
        await fill(writer, range(35))
        await until(lambda: valve.held == 1)
        threading.Timer(0.1, valve.opened.set).start()
        await writer.__aexit__(Stop, Stop(), None)
        assert (writer.report.stored, len(writer.report.unsent)) == (10, 25)
        await client.close()


CTRL_C = """
import signal, sys
import reduct_sync

signal.signal(signal.SIGINT, signal.default_int_handler)
with reduct_sync.Client(sys.argv[1]) as client:
    writer = client.bucket(sys.argv[2]).writer(buffer_bytes=300_000)
    accepted = 0
    try:
        with writer:
            while True:
                writer.write(f"e{accepted % 3}", b"%d" % accepted, accepted)
                accepted += 1
                if accepted == 1000:
                    print("ready", flush=True)
    except KeyboardInterrupt as error:
        report = writer.report
        print(accepted, report.stored, len(report.unsent), len(report.failed), error.__notes__)
"""


@pytest.mark.parametrize("flavour", ["async"], indirect=True)
async def test_ctrl_c(server: Server, bucket: Bucket) -> None:
    """While the writer's user waits for room, as nearly always here."""
    with subprocess.Popen(
        [sys.executable, "-c", CTRL_C, server.url, bucket.name],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert await anyio.to_thread.run_sync(process.stdout.readline) == "ready\n"
            process.send_signal(signal.SIGINT)
            out, _ = await anyio.to_thread.run_sync(
                lambda: process.communicate(timeout=HANG_SECONDS)
            )
        finally:
            process.kill()
    accepted, stored, unsent, failed = map(int, out.split()[:4])
    assert (process.returncode, failed) == (0, 0)
    # The signal may come behind the acceptance of a record, before it is counted.
    assert accepted <= stored + unsent <= accepted + 1
    assert unsent > 0
    assert f"{stored} records stored, {unsent} not sent" in out
    found = {us async for us in ordered(bucket)}
    assert len(found) == stored


# --- slow servers --------------------------------------------------------------------------


async def test_back_pressure(flavour: Flavour) -> None:
    """A server that does not answer: the writer holds what it may, and no more."""
    valve = Valve()
    data = bytes(100_000)
    accepted = 0
    with ScriptedServer([valve] * 500) as server:
        client = flavour.client(server.url)
        gc.collect()
        tracemalloc.start()
        try:
            async with client.bucket("b").writer(
                buffer_bytes=8 * MIB, batch_bytes=MIB, parallel=2
            ) as writer:

                async def produce() -> None:
                    nonlocal accepted
                    for us in range(300):
                        await writer.write(f"e{us % 4}", bytes(data), us)
                        accepted += 1

                async with anyio.create_task_group() as group:
                    group.start_soon(produce)
                    await until(lambda: valve.held == 2 and accepted > 70)
                    await anyio.sleep(0.1)
                    peak = tracemalloc.get_traced_memory()[1]
                    held = accepted
                    assert held == writer.report.pending
                    assert 8 * MIB - 110_000 < held * (len(data) + 1024) <= 8 * MIB
                    valve.opened.set()
        finally:
            tracemalloc.stop()
        assert writer.report == WriteReport(stored=300)
        assert len(set(valve.written)) == len(valve.written) == 300
        await client.close()
    # The buffer, the copies on their way, twice the same in the server of this test; and the rest.
    assert peak < 8 * MIB + 2 * MIB + 4 * MIB + 2 * MIB


async def test_many_small_records_are_counted_with_their_overhead(flavour: Flavour) -> None:
    """Records of a few bytes cost memory as well: the budget is kept for them, too."""
    valve = Valve()
    with ScriptedServer([valve] * 500) as server:
        client = flavour.client(server.url)
        tracemalloc.start()
        try:

            async def block(writer: Writer) -> None:
                for us in range(4000):
                    await writer.write("a", b"%d" % us, us, labels={"number": us})
                assert tracemalloc.get_traced_memory()[0] < 6 * MIB
                valve.opened.set()
                raise Stop

            writer = client.bucket("b").writer(buffer_bytes=4 * MIB, parallel=1)
            with pytest.raises(Stop):
                await run(writer, block)
        finally:
            tracemalloc.stop()
        await client.close()


async def test_a_slow_entry_keeps_no_other_waiting(flavour: Flavour) -> None:
    valve = Valve(shut=lambda request: "/slow/" in request.target)
    with ScriptedServer([valve] * 500) as server:
        client = flavour.client(server.url)
        async with client.bucket("b").writer(batch_records=5, parallel=2, batch_age=0.01) as writer:
            await fill(writer, range(20), "slow")
            await until(lambda: valve.held == 1)
            # Also those that only the clock sends.
            await fill(writer, range(23), "fast")
            await until(lambda: writer.report.stored == 23)
            assert writer.report == WriteReport(stored=23, pending=20)
            valve.opened.set()
        assert writer.report == WriteReport(stored=43)
        await client.close()
