"""Subscriptions on a server, in both flavours."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, get_args

import anyio
import anyio.to_thread
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduct_async import Bucket, Record
from reduct_async.subscription import Subscription
from tests.flavours import Flavour, FlavourName
from tests.recording import HANG_SECONDS, Hook, Recorder, until
from tests.servers import NewServer, Server

LARGE = 9 * 1024 * 1024
"""Bytes of a record that is streamed."""

SLOW = 600_000
"""Bytes of a record that is listed while it is uploaded, once its first piece has come."""

PIECE = 100_000


@asynccontextmanager
async def reading(subscription: Subscription) -> AsyncIterator[list[Record]]:
    """Read in the background into a list; at the end close from here, and wait for the reader."""
    found: list[Record] = []

    async def read() -> None:
        async for record in subscription:
            found.append(record)

    with anyio.fail_after(2 * HANG_SECONDS):
        async with subscription, anyio.create_task_group() as group:
            group.start_soon(read)
            yield found
            await subscription.close()


async def take(subscription: Subscription, count: int) -> list[Record]:
    """Return the next records of a subscription."""
    found: list[Record] = []
    with anyio.fail_after(HANG_SECONDS):
        while len(found) < count:
            found.append(await anext(aiter(subscription)))
    return found


def times(records: list[Record]) -> list[int]:
    return [record.timestamp for record in records]


def recorded(
    bucket: Bucket, flavour: Flavour, server: Server, hook: Hook | None = None
) -> tuple[Bucket, Recorder]:
    """Return the bucket by another client, and what that sends."""
    recorder = Recorder(flavour, hook)
    client = flavour.client(server.url, transport=recorder.transport, retry=None)
    return client.bucket(bucket.name), recorder


@pytest.fixture
def own_server(new_server: NewServer) -> Iterator[Server]:
    with new_server() as server:
        yield server


# --- B14 to B17 ----------------------------------------------------------------------------


async def in_both(
    server: Server, scenario: Callable[[Bucket, Flavour, Server], Awaitable[None]]
) -> None:
    """Run a long scenario in both flavours, side by side."""

    async def run(flavour: Flavour) -> None:
        bucket = await flavour.client(server.url).create_bucket(f"test-{uuid.uuid4().hex}")
        await scenario(bucket, flavour, server)
        await flavour.close()

    async with anyio.create_task_group() as group:
        for name in get_args(FlavourName):
            group.start_soon(run, Flavour(name))


@pytest.mark.anyio
async def test_b14_survives_idle_time(server: Server) -> None:
    """reduct-py's subscription dies after 6 idle seconds; each poll here is one small request."""

    async def scenario(bucket: Bucket, flavour: Flavour, server: Server) -> None:
        watched, recorder = recorded(bucket, flavour, server)
        await bucket.write("entry", b"first", timestamp=1)
        async with reading(watched.subscribe("entry")) as found:
            await until(lambda: recorder.sent[-2:] == [f"GET /b/{bucket.name}"] * 2)
            before = len(recorder.sent)
            await anyio.sleep(8)
            idle = recorder.sent[before:]
            await bucket.write("entry", b"second", timestamp=2)
            await until(lambda: len(found) == 2)
            assert await found[1].read_all() == b"second"
        assert set(idle) == {f"GET /b/{bucket.name}"}
        assert 2 <= len(idle) <= 9

    await in_both(server, scenario)


@pytest.mark.anyio
async def test_b15_slow_consumer(server: Server) -> None:
    """The pauses end after 6 s, within an answer and between answers."""

    async def scenario(bucket: Bucket, _flavour: Flavour, _server: Server) -> None:
        size = 3_000_000
        for timestamp in range(5):
            await bucket.write("entry", bytes([timestamp]) * size, timestamp=timestamp)
        async with bucket.subscribe("entry") as subscription:
            for timestamp in range(5):
                (record,) = await take(subscription, 1)
                await anyio.sleep(1.3)
                assert record.timestamp == timestamp
                assert await record.read_all() == bytes([timestamp]) * size

    await in_both(server, scenario)


@pytest.mark.parametrize("interval", [0.1, 0.07, 0.75, 1])
async def test_b16_any_poll_interval(bucket: Bucket, interval: float) -> None:
    await bucket.write("entry", b"", timestamp=1)
    async with bucket.subscribe("entry", poll_interval=interval) as subscription:
        assert times(await take(subscription, 1)) == [1]
        await bucket.write("entry", b"", timestamp=2)
        assert times(await take(subscription, 1)) == [2]


async def test_b17_restart_while_idle(flavour: Flavour, own_server: Server) -> None:
    bucket = await flavour.client(own_server.url).create_bucket("bucket")
    await bucket.write("entry", b"", timestamp=1)
    async with reading(bucket.subscribe("entry", poll_interval=0.1)) as found:
        await until(lambda: len(found) == 1)
        await anyio.to_thread.run_sync(own_server.stop)
        await anyio.sleep(0.5)
        await anyio.to_thread.run_sync(own_server.start)
        await bucket.write("entry", b"", timestamp=2)
        await until(lambda: len(found) == 2)
        assert times(found) == [1, 2]


async def test_b17_restart_between_answers(flavour: Flavour, own_server: Server) -> None:
    """The server forgets its queries; what was read so far is not read again."""
    bucket = await flavour.client(own_server.url).create_bucket("bucket")
    for timestamp in range(6):
        await bucket.write("entry", bytes(3_000_000), timestamp=timestamp)
    async with bucket.subscribe("entry", poll_interval=0.1) as subscription:
        found = await take(subscription, 2)
        await anyio.to_thread.run_sync(own_server.restart)
        found += await take(subscription, 4)
        await bucket.write("entry", b"last", timestamp=9)
        found += await take(subscription, 1)
    assert times(found) == [0, 1, 2, 3, 4, 5, 9]


async def test_b17_new_entries_join_a_pattern(bucket: Bucket) -> None:
    await bucket.write("cam-1", b"", timestamp=1)
    async with bucket.subscribe("cam-*", poll_interval=0.05) as subscription:
        assert [(r.entry, r.timestamp) for r in await take(subscription, 1)] == [("cam-1", 1)]
        await bucket.write("other", b"", timestamp=2)
        await bucket.write("cam-2", b"", timestamp=1)
        await bucket.write("cam-2", b"", timestamp=3)
        found = [(r.entry, r.timestamp) for r in await take(subscription, 2)]
    assert found == [("cam-2", 1), ("cam-2", 3)]


async def test_b17_late_records(bucket: Bucket) -> None:
    subscription = bucket.subscribe("entry", poll_interval=0.05, overlap=0.001)
    written = [1000, 2000, 1500, 1800, 1300, 2001]
    async with reading(subscription) as found:
        for timestamp in written:
            await bucket.write("entry", b"", timestamp=timestamp)
            await until(lambda now=timestamp: now in times(found))  # type: ignore[misc]
        assert times(found) == written


async def test_b17_overlap_does_not_reach_before_the_start(bucket: Bucket) -> None:
    for timestamp in range(1, 6):
        await bucket.write("entry", b"", timestamp=timestamp)
    async with bucket.subscribe("entry", start=2, overlap=1.0) as subscription:
        found = times(await take(subscription, 2))
        cursors = subscription.cursors
    assert found == [2, 3]
    async with bucket.subscribe("entry", start=cursors, overlap=1.0) as subscription:
        assert times(await take(subscription, 2)) == [4, 5]


# --- where it begins, where it goes on -----------------------------------------------------


@pytest.mark.parametrize(
    ("start", "first"),
    [
        (None, 0),
        (0, 0),
        (2_000_000, 2_000_000),
        (2.0, 2_000_000),
        (datetime.fromtimestamp(1.5, UTC), 2_000_000),
        ("1970-01-01T00:00:01Z", 1_000_000),
        ({"entry": 2_000_000}, 2_000_000),
        ({"another": 2_000_000}, 0),
        ({}, 0),
    ],
)
async def test_start(bucket: Bucket, start: Any, first: int) -> None:
    for timestamp in [0, 1_000_000, 2_000_000]:
        await bucket.write("entry", b"", timestamp=timestamp)
    async with bucket.subscribe("entry", start=start) as subscription:
        assert times(await take(subscription, 1)) == [first]


async def test_start_now(bucket: Bucket) -> None:
    """The moment is that of the call, not of the first poll."""
    await bucket.write("entry", b"before")
    subscription = bucket.subscribe("entry", start="now", poll_interval=0.05)
    await bucket.write("entry", b"after")
    async with subscription:
        (record,) = await take(subscription, 1)
        assert await record.read_all() == b"after"


async def test_cursors_before_the_first_poll(bucket: Bucket) -> None:
    """A checkpoint taken early does not replay what lies before the start."""
    await bucket.write("entry", b"", timestamp=1)
    async with bucket.subscribe("entry", start=2) as subscription:
        assert subscription.cursors == {"entry": 2}
    async with bucket.subscribe("entry", start={"entry": 7}) as subscription:
        assert subscription.cursors == {"entry": 7}


async def test_cursors_count_the_record_in_hand(bucket: Bucket) -> None:
    for entry in ["a", "b"]:
        for timestamp in [1, 2]:
            await bucket.write(entry, b"", timestamp=timestamp)
    async with bucket.subscribe(["a", "b"]) as subscription:
        seen = []
        for _ in range(4):
            await take(subscription, 1)
            seen.append({entry: us for entry, us in subscription.cursors.items() if us})
    assert seen == [{"a": 2}, {"a": 3}, {"a": 3, "b": 2}, {"a": 3, "b": 3}]


ROUNDS = st.lists(
    st.tuples(
        st.sets(st.tuples(st.sampled_from("abc"), st.integers(0, 999)), max_size=6),
        st.integers(0, 8),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25)
@given(rounds=ROUNDS)
async def test_checkpoints_lose_nothing(
    bucket: Bucket, flavour: Flavour, rounds: list[tuple[set[tuple[str, int]], int]]
) -> None:
    """Write, read a part, stop, resume: everything comes once, in order within its entry."""
    run = uuid.uuid4().hex
    written: list[tuple[str, int]] = []
    found: list[tuple[str, int]] = []
    cursors: dict[str, int] = {}
    for number, (records, wanted) in enumerate([*rounds, (set(), 10**6)]):
        keys = [(f"{run}/{entry}", number * 1000 + offset) for entry, offset in records]
        batch = flavour.package.RecordBatch()
        for entry, timestamp in keys:
            batch.add(entry, timestamp, b"%d" % timestamp)
        assert await bucket.write_record_batch(batch) == {}
        written += keys
        async with bucket.subscribe(f"{run}/*", start=cursors) as subscription:
            for record in await take(subscription, min(wanted, len(written) - len(found))):
                assert await record.read_all() == b"%d" % record.timestamp
                found.append((record.entry, record.timestamp))
            cursors = subscription.cursors
    assert sorted(found) == sorted(written)
    assert all(
        [us for name, us in found if name == entry] == sorted(us for n, us in found if n == entry)
        for entry in {name for name, _ in found}
    )


# --- entries that come and go, uploads in flight -------------------------------------------


async def test_entry_that_does_not_exist_yet(bucket: Bucket) -> None:
    async with reading(bucket.subscribe(["later", "never"], poll_interval=0.05)) as found:
        await anyio.sleep(0.2)
        await bucket.write("later", b"", timestamp=1)
        await until(lambda: times(found) == [1])


async def test_entry_that_is_removed_and_created_again(bucket: Bucket) -> None:
    await bucket.write("entry", b"", timestamp=1)
    async with reading(bucket.subscribe("entry", poll_interval=0.05)) as found:
        await until(lambda: len(found) == 1)
        await bucket.remove_entry("entry")
        while await bucket.get_entry_list():
            await anyio.sleep(0.05)
        await bucket.write("entry", b"", timestamp=2)
        await until(lambda: times(found) == [1, 2])


async def test_records_of_batches_being_written(bucket: Bucket, flavour: Flavour) -> None:
    """The server hides records that it is still writing, also in the midst of a batch."""
    async with reading(bucket.subscribe("entry", poll_interval=0.005)) as found:
        for first in range(0, 400, 80):
            batch = flavour.package.Batch()
            for timestamp in range(first, first + 80):
                batch.add(timestamp, bytes(4000))
            assert await bucket.write_batch("entry", batch) == {}
        await until(lambda: len(found) >= 400)
        await bucket.write("entry", b"", timestamp=400)
        await until(lambda: 400 in times(found))
        assert sorted(times(found)) == list(range(401))


@asynccontextmanager
async def uploading(
    bucket: Bucket, server: Server, timestamp: int
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Begin to write a record past the client, until it is listed; yield what completes it."""
    last_piece, stored = anyio.Event(), anyio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield bytes(PIECE)
        await last_piece.wait()
        yield bytes(SLOW - PIECE)

    async def upload() -> None:
        url = f"{server.url}/api/v1/b/{bucket.name}/entry?ts={timestamp}"
        headers = {"content-length": str(SLOW), "x-reduct-label-kind": "a"}
        async with httpx.AsyncClient(timeout=HANG_SECONDS) as raw:
            assert (await raw.post(url, content=body(), headers=headers)).status_code == 200
        stored.set()

    async def complete() -> None:
        last_piece.set()
        await stored.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(upload)
        with anyio.fail_after(HANG_SECONDS):
            while timestamp not in [e.latest_record for e in await bucket.get_entry_list()]:
                await anyio.sleep(0.01)
        yield complete


@pytest.mark.parametrize("overlap", [0.0, 1.0])
async def test_newest_record_is_still_uploaded(
    bucket: Bucket, server: Server, overlap: float
) -> None:
    """It comes when it is whole, and holds up neither older records nor other entries."""
    await bucket.write("entry", b"", timestamp=1)
    subscription = bucket.subscribe("*", poll_interval=0.05, overlap=overlap)
    async with reading(subscription) as found, uploading(bucket, server, 20) as complete:
        await bucket.write("other", b"", timestamp=5)
        await until(lambda: sorted(times(found)) == [1, 5])
        await anyio.sleep(0.3)
        assert sorted(times(found)) == [1, 5]
        await complete()
        await until(lambda: len(found) == 3)
        assert (found[2].timestamp, found[2].size) == (20, SLOW)
        await bucket.write("entry", b"", timestamp=30)
        await until(lambda: times(found)[3:] == [30])


@pytest.mark.parametrize("overlap", [0.0, 1.0])
@pytest.mark.parametrize("begun", ["before", "after"])
async def test_older_upload_ends_after_a_newer_record(
    bucket: Bucket, server: Server, begun: str, overlap: float
) -> None:
    """It begins before or after the first poll; it ends before anything else is written."""
    await bucket.write("entry", b"", timestamp=1)
    subscription = bucket.subscribe("entry", poll_interval=0.05, overlap=overlap)
    async with AsyncExitStack() as stack:
        if begun == "before":
            complete = await stack.enter_async_context(uploading(bucket, server, 10))
        found = await stack.enter_async_context(reading(subscription))
        await until(lambda: times(found) == [1])
        if begun == "after":
            complete = await stack.enter_async_context(uploading(bucket, server, 10))
        await bucket.write("entry", b"", timestamp=20)
        await until(lambda: times(found) == [1, 20])
        await anyio.sleep(0.3)
        await complete()
        await until(lambda: times(found) == [1, 20, 10])
        await bucket.write("entry", b"", timestamp=30)
        await until(lambda: times(found) == [1, 20, 10, 30])


@pytest.mark.parametrize(("removed", "overlap"), [([1, 2], 0.0), ([1], 1.0)])
async def test_removal_does_not_hide_an_unfinished_record(
    bucket: Bucket, flavour: Flavour, server: Server, removed: list[int], overlap: float
) -> None:
    """The number of listed records goes down, and up by others, between two polls.

    Where both are equal, only an overlap finds what is unfinished, with the next news.
    """
    turn = anyio.Lock()

    async def hook(_request: httpx.Request) -> None:
        async with turn:
            pass

    watched, _ = recorded(bucket, flavour, server, hook)
    for timestamp in [1, 2, 3]:
        await bucket.write("entry", b"", timestamp=timestamp)
    subscription = watched.subscribe("entry", poll_interval=0.05, overlap=overlap)
    async with reading(subscription) as found:
        await until(lambda: times(found) == [1, 2, 3])
        async with AsyncExitStack() as stack:
            async with turn:
                complete = await stack.enter_async_context(uploading(bucket, server, 10))
                await bucket.write("entry", b"", timestamp=20)
                for timestamp in removed:
                    await bucket.remove_record("entry", timestamp)
            await until(lambda: times(found) == [1, 2, 3, 20])
            await complete()
            if overlap:
                await bucket.write("entry", b"", timestamp=30)
                await until(lambda: times(found) == [1, 2, 3, 20, 10, 30])
            else:
                await until(lambda: times(found) == [1, 2, 3, 20, 10])


@pytest.mark.parametrize("when", [None, {"&kind": {"$eq": "a"}}])
@pytest.mark.parametrize("request_number", range(1, 6))
async def test_upload_that_ends_during_a_poll(
    bucket: Bucket,
    flavour: Flavour,
    server: Server,
    when: dict[str, Any] | None,
    request_number: int,
) -> None:
    """It ends just before one of the first requests of the subscription."""
    async with uploading(bucket, server, 1) as complete:

        async def hook(_request: httpx.Request) -> None:
            if len(recorder.requests) == request_number:
                await complete()

        watched, recorder = recorded(bucket, flavour, server, hook)
        async with watched.subscribe("entry", poll_interval=0.05, when=when) as subscription:
            assert times(await take(subscription, 1)) == [1]


# --- what an idle poll costs ---------------------------------------------------------------

QUIET: dict[str, dict[str, Any]] = {
    "plain": {},
    "pattern": {"entries": "*"},
    "several": {"entries": ["entry", "absent", "!x*"]},
    "filtered out by when": {"when": {"&kind": {"$eq": "b"}}},
    "filtered out by include": {"include": {"kind": "b"}},
    "filtered out by exclude": {"exclude": {"kind": "a"}},
    "heads": {"head": True},
    "overlap": {"overlap": 1.0},
    "from now": {"start": "now"},
    "empty entry": {"entries": "empty"},
}
REMOVED = ["plain", "filtered out by when", "overlap"]


@pytest.mark.parametrize(
    ("case", "removed"),
    [
        *((case, "nothing") for case in QUIET),
        *((case, "newest before") for case in REMOVED),
        *((case, "newest while idle") for case in REMOVED),
    ],
)
async def test_idle_poll_is_one_request(
    bucket: Bucket, flavour: Flavour, server: Server, case: str, removed: str
) -> None:
    interval = 0.04
    poll = f"GET /b/{bucket.name}"
    watched, recorder = recorded(bucket, flavour, server)

    async def idle() -> None:
        before = len(recorder.sent)
        await until(lambda: len(recorder.sent) >= before + 4 and recorder.sent[-3:] == [poll] * 3)

    await bucket.write("empty", b"", timestamp=1)
    await bucket.remove_record("empty", 1)
    for timestamp in [1, 2, 3]:
        await bucket.write("entry", b"data", timestamp=timestamp, labels={"kind": "a"})
    if removed == "newest before":
        await bucket.remove_record("entry", 3)
    arguments = {"entries": "entry", **QUIET[case]}
    async with reading(watched.subscribe(**arguments, poll_interval=interval)):
        await idle()
        if removed == "newest while idle":
            await bucket.remove_record("entry", 3)
            await idle()
        before = len(recorder.sent)
        await anyio.sleep(5 * interval)
        seen = recorder.sent[before:]
    assert set(seen) == {poll}
    # Polls are at least an interval apart, so more requests would be more than one per poll.
    assert len(seen) <= 6


@pytest.mark.real
async def test_other_queries_are_not_delayed(
    bucket: Bucket, flavour: Flavour, server: Server
) -> None:
    """An idle continuous query of the server holds up all queries; a subscription does not."""
    await bucket.write("idle", b"", timestamp=1)
    await bucket.write("entry", b"", timestamp=1)

    async def duration() -> float:
        began = anyio.current_time()
        assert times([record async for record in bucket.query("entry")]) == [1]
        return anyio.current_time() - began

    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1/io/{bucket.name}") as raw:
        query = {"query_type": "QUERY", "entries": ["idle"], "start": 2, "continuous": True}
        when = {"#batch_timeout": "2s"}
        started = await raw.post("/q", json={**query, "ttl": 30, "when": when})
        headers = {"x-reduct-query-id": str(started.json()["id"])}
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: raw.get("/read", headers=headers))
            await anyio.sleep(0.2)
            beside_continuous_query = await duration()

    watched, recorder = recorded(bucket, flavour, server)
    async with reading(watched.subscribe("idle", start=2, poll_interval=0.05)):
        await until(lambda: len(recorder.sent) > 2)
        beside_subscription = max([await duration() for _ in range(5)])
    assert beside_continuous_query > 1
    assert beside_subscription < beside_continuous_query / 2
