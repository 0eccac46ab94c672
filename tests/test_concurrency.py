"""Writes, updates and removals side by side, in one client of either flavour."""

import asyncio
import importlib
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_async import Bucket, Client, ReductError
from reduct_core import gates
from reduct_core.gates import Claim, Gates, Key, Mode, Ticket, bucket_claims, entry_claims
from tests.flavours import Flavour
from tests.recording import HANG_SECONDS, Recorder, entered, until
from tests.servers import Server

WEDGE = "Failed to acquire async write lock within timeout (caller: persistence.rs:38)"


@pytest.fixture
def recorder(flavour: Flavour) -> Recorder:
    return Recorder(flavour)


@pytest.fixture
async def client(flavour: Flavour, server: Server, recorder: Recorder) -> Client:
    """A client whose requests are recorded."""
    return flavour.client(server.url, transport=recorder.transport)


def payload(entry: str, timestamp: int) -> bytes:
    """Return what every test here writes: bytes that belong to no other record."""
    return f"{entry}@{timestamp}".encode() * (1 + timestamp % 50)


def batch_of(flavour: Flavour, entry: str, timestamps: range) -> Any:
    batch = flavour.package.Batch()
    for timestamp in timestamps:
        batch.add(timestamp, payload(entry, timestamp), labels={"n": timestamp})
    return batch


async def stored(bucket: Bucket, entry: str) -> list[int]:
    """Return the timestamps of an entry, every byte of its records verified."""
    found = []
    async for record in bucket.query(entry):
        assert await record.read_all() == payload(entry, record.timestamp)
        found.append(record.timestamp)
    return found


def open_gates(client: Client) -> int:
    return len(client._io._gates)


# --- writes --------------------------------------------------------------------------------


async def test_a_thousand_writes_to_one_entry(
    client: Client, bucket: Bucket, recorder: Recorder
) -> None:
    times = range(1000)
    await asyncio.gather(*(bucket.write("e", payload("e", us), timestamp=us) for us in times))
    assert await stored(bucket, "e") == list(times)
    assert recorder.together["write", "write"] == 0
    assert open_gates(client) == 0


async def test_a_thousand_writes_to_many_entries(bucket: Bucket) -> None:
    keys = [(f"entry-{us % 10}", us) for us in range(1000)]
    await asyncio.gather(*(bucket.write(entry, payload(entry, us), us) for entry, us in keys))
    for number in range(10):
        assert await stored(bucket, f"entry-{number}") == list(range(number, 1000, 10))


async def test_default_timestamps_never_meet(bucket: Bucket) -> None:
    await asyncio.gather(*(bucket.write("entry", b"") for _ in range(200)))
    assert len([record async for record in bucket.query("entry", head=True)]) == 200


async def test_batches_to_one_entry(bucket: Bucket, flavour: Flavour, recorder: Recorder) -> None:
    """Some are larger than a request."""
    spans = [range(begin, begin + size) for begin, size in [(0, 40), (100, 200), (400, 90)] * 2]
    spans = [range(s.start + 1000 * n, s.stop + 1000 * n) for n, s in enumerate(spans)]
    found = await asyncio.gather(
        *(bucket.write_batch("e", batch_of(flavour, "e", span)) for span in spans)
    )
    assert found == [{}] * len(spans)
    assert await stored(bucket, "e") == sorted(us for span in spans for us in span)
    assert not recorder.clashes


async def test_multi_entry_batches_that_share_entries(
    client: Client, bucket: Bucket, flavour: Flavour, recorder: Recorder
) -> None:
    """Every pair of entries, in both orders, beside single writes: nobody waits in a ring."""
    entries = ["a", "b", "c", "d"]
    calls: list[Awaitable[Any]] = []
    for number, (first, second) in enumerate(
        (first, second) for first in entries for second in entries if first != second
    ):
        batch = flavour.package.RecordBatch()
        for us in range(number * 10, number * 10 + 10):
            for entry in [first, second]:
                batch.add(entry, us, payload(entry, us))
        calls += [bucket.write_record_batch(batch)]
        calls += [bucket.write(first, payload(first, 1000 + number), 1000 + number)]
    with anyio.fail_after(HANG_SECONDS):
        results = await asyncio.gather(*calls)
    assert all(not result for result in results)
    assert [len(await stored(bucket, entry)) for entry in entries] == [63] * 4
    assert not recorder.clashes
    assert open_gates(client) == 0


# --- removals and updates ------------------------------------------------------------------


async def _remove_singly(bucket: Bucket, _flavour: Flavour, times: range) -> None:
    await asyncio.gather(*(bucket.remove_record("e", us) for us in times))


async def _remove_batch(bucket: Bucket, flavour: Flavour, times: range) -> None:
    assert await bucket.remove_batch("e", batch_of(flavour, "e", times)) == {}


async def _remove_record_batch(bucket: Bucket, flavour: Flavour, times: range) -> None:
    batch = flavour.package.RecordBatch()
    for us in times:
        batch.add("e", us)
    assert await bucket.remove_record_batch(batch) == {}


async def _remove_query(bucket: Bucket, _flavour: Flavour, times: range) -> None:
    assert await bucket.remove_query("e", times.start, times.stop) == len(times)


async def _remove_pattern(bucket: Bucket, _flavour: Flavour, times: range) -> None:
    assert await bucket.remove_query("e*", times.start, times.stop) == len(times)


REMOVALS = [_remove_singly, _remove_batch, _remove_record_batch, _remove_query, _remove_pattern]


@pytest.mark.parametrize("remove", REMOVALS)
async def test_removal_in_the_midst_of_batch_writes(
    bucket: Bucket,
    flavour: Flavour,
    recorder: Recorder,
    remove: Callable[[Bucket, Flavour, range], Awaitable[None]],
) -> None:
    """On the bare server acknowledged records get lost or corrupted in every run."""
    await bucket.write_batch("e", batch_of(flavour, "e", range(200)))
    updates = flavour.package.Batch()
    for us in range(100, 200):
        updates.add(us, labels={"checked": True})
    results = await asyncio.gather(
        *(
            bucket.write_batch("e", batch_of(flavour, "e", range(begin, begin + 40)))
            for begin in range(1000, 1400, 40)
        ),
        *(remove(bucket, flavour, range(begin, begin + 20)) for begin in range(0, 100, 20)),
        *(bucket.update_batch("e", updates) for _ in range(3)),
    )
    assert not any(results)
    assert await stored(bucket, "e") == [*range(100, 200), *range(1000, 1400)]
    labels = {record.timestamp: record.labels async for record in bucket.query("e", stop=200)}
    assert labels == {us: {"n": str(us), "checked": "true"} for us in range(100, 200)}
    assert not recorder.clashes


async def test_updates_beside_writes(bucket: Bucket, flavour: Flavour) -> None:
    """Nothing waits here: the body goes on only after the updates."""
    await bucket.write_batch("e", batch_of(flavour, "e", range(20)))
    updated = anyio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield payload("e", 49) * 10_000
        await updated.wait()

    async def update() -> None:
        await asyncio.gather(*(bucket.update("e", us, {"n": None, "m": us}) for us in range(20)))
        updated.set()

    size = len(payload("e", 49)) * 10_000
    with anyio.fail_after(HANG_SECONDS):
        await asyncio.gather(bucket.write("e", body(), 49, content_length=size), update())
    records = {r.timestamp: (r.labels, r.size) async for r in bucket.query("e")}
    assert records.pop(49) == ({}, size)
    assert records == {us: ({"m": str(us)}, len(payload("e", us))) for us in range(20)}


async def test_changes_inside_the_loop_of_a_query(bucket: Bucket, flavour: Flavour) -> None:
    """A loop body holds no gate; 1100 records are more than one answer."""
    await bucket.write_batch("e", batch_of(flavour, "e", range(1100)))
    with anyio.fail_after(HANG_SECONDS):
        async for record in bucket.query("e", stop=1100):
            if record.timestamp % 100 == 50:
                us = record.timestamp
                assert await record.read_all() == payload("e", us)
                await bucket.write("e", payload("e", 5000 + us), 5000 + us)
                await bucket.update("e", us, {"seen": True})
                await bucket.remove_record("e", us - 1)
                await bucket.remove_query("e*", us - 3, us - 2)
    removed = {us - n for us in range(50, 1100, 100) for n in (1, 3)}
    copies = range(5050, 6100, 100)
    assert await stored(bucket, "e") == [*sorted(set(range(1100)) - removed), *copies]


# --- changes from within a body ------------------------------------------------------------


async def from_a_body(bucket: Bucket, change: Callable[[], Awaitable[Any]]) -> None:
    """Write a record to the entry "own", and run `change` after its first piece was sent."""

    async def body() -> AsyncIterator[bytes]:
        yield bytes(100_000)
        await change()
        yield b"last"

    with anyio.fail_after(HANG_SECONDS):
        await bucket.write("own", body(), timestamp=1, content_length=100_004)


CLASHING: list[Callable[[Bucket, Flavour], Awaitable[Any]]] = [
    lambda bucket, _: bucket.write("own", b"", timestamp=2),
    lambda bucket, flavour: bucket.write_batch("own", batch_of(flavour, "own", range(3, 5))),
    lambda bucket, _: bucket.remove_record("own", 0),
    lambda bucket, _: bucket.remove_query("own", stop=1),
    lambda bucket, _: bucket.remove_query("*", stop=1),
]


@pytest.mark.parametrize("change", CLASHING)
async def test_body_that_changes_its_own_entry(
    client: Client,
    bucket: Bucket,
    flavour: Flavour,
    change: Callable[[Bucket, Flavour], Awaitable[Any]],
) -> None:
    await bucket.write("own", b"", timestamp=0)
    with pytest.raises(flavour.package.ReductError, match="would wait for itself"):
        await from_a_body(bucket, lambda: change(bucket, flavour))
    assert open_gates(client) == 0
    await bucket.write("own", b"", timestamp=10)
    times = [record.timestamp async for record in bucket.query("own", head=True)]
    assert times == [0, 10]


async def test_body_that_changes_other_entries(bucket: Bucket, flavour: Flavour) -> None:
    """It may also read and update its own."""
    await bucket.write("own", b"own", timestamp=0)
    await bucket.write("other", b"", timestamp=0)

    async def change() -> None:
        await bucket.write("other", b"", timestamp=1)
        await bucket.write_batch("other", batch_of(flavour, "other", range(2, 5)))
        await bucket.remove_record("other", 0)
        await bucket.update("own", 0, {"a": 1})
        async with bucket.read("own", timestamp=0) as record:
            assert (await record.read_all(), record.labels) == (b"own", {"a": "1"})

    await from_a_body(bucket, change)
    assert [record.timestamp async for record in bucket.query("other")] == [1, 2, 3, 4]
    assert [record.timestamp async for record in bucket.query("own")] == [0, 1]


async def test_body_that_writes_elsewhere_while_a_pattern_removal_waits(
    client: Client, bucket: Bucket, recorder: Recorder
) -> None:
    """The removal waits for the write, so what the write needs must not wait for the removal."""
    await bucket.write("other", b"", timestamp=1)
    begun = anyio.Event()

    async def change() -> None:
        begun.set()
        await waiting(client, Key(bucket.name), 1)
        await bucket.write("other", b"", timestamp=2)
        await bucket.update("other", 2, {"a": 1})

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: from_a_body(bucket, change))
        await begun.wait()
        assert await bucket.remove_query("*", everything=True) == 3
    assert not recorder.clashes


async def waiting(client: Client, key: Key, count: int) -> None:
    """Return when so many calls wait at a gate."""
    table = client._io._gates._gates
    await until(lambda: key in table and len(table[key].queue) == count)


# --- ends ----------------------------------------------------------------------------------


async def test_closing_the_client_while_calls_wait(client: Client, bucket: Bucket) -> None:
    begun, errors = anyio.Event(), []

    async def body() -> AsyncIterator[bytes]:
        yield bytes(100_000)
        begun.set()
        await waiting(client, Key(bucket.name, "e"), 5)
        await client.close()
        yield b"last"

    async def attempt(call: Awaitable[None]) -> None:
        try:
            await call
        except ReductError as error:
            errors.append(str(error))

    with anyio.fail_after(HANG_SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(attempt, bucket.write("e", body(), 0, content_length=100_004))
            await begun.wait()
            for us in range(1, 6):
                group.start_soon(attempt, bucket.write("e", b"", us))
    assert len(errors) == 6
    assert "lost" in errors[0]
    assert errors[1:] == ["Status -1: the client is closed"] * 5
    assert open_gates(client) == 0


# --- answers that took long, and wedges ----------------------------------------------------


class SlowClock:
    """Stands in for the module `time`; it moves by `seconds` whenever it is asked."""

    def __init__(self, seconds: float) -> None:
        self._now = 0.0
        self._seconds = seconds

    def monotonic(self) -> float:
        self._now += self._seconds
        return self._now


def slow_bucket(
    flavour: Flavour,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    handler: Callable[[httpx.Request], httpx.Response],
) -> tuple[Bucket, list[str]]:
    """Return a bucket whose answers take `seconds`, and what is sent to it."""
    module = importlib.import_module(f"{flavour.package.__name__}._write")
    monkeypatch.setattr(module, "time", SlowClock(seconds))
    sent: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(f"{request.method} {request.url.raw_path.decode()}")
        return handler(request)

    client = flavour.client("http://server", transport=httpx.MockTransport(handle), retry=None)
    return client.bucket("b"), sent


def answers(**by_method: int) -> Callable[[httpx.Request], httpx.Response]:
    """Return a handler that answers each method with a status, 200 if it is not named."""
    return lambda request: httpx.Response(by_method.get(request.method, 200))


PROBE = "HEAD /api/v1/b/b/e?ts={}"


async def test_slow_answer_is_verified(flavour: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket, sent = slow_bucket(flavour, monkeypatch, 30, answers())
    await bucket.write("e", b"x", timestamp=1)
    assert sent[1:] == [PROBE.format(1)]
    assert await bucket.write_batch("e", batch_of(flavour, "e", range(2, 4))) == {}
    assert sent[3:] == [PROBE.format(2), PROBE.format(3)]


async def test_fast_answer_is_believed(flavour: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket, sent = slow_bucket(flavour, monkeypatch, 29.9, answers())
    await bucket.write("e", b"x", timestamp=1)
    await bucket.write_batch("e", batch_of(flavour, "e", range(2, 4)))
    assert len(sent) == 2


@pytest.mark.parametrize("status", [404, 425, 500])
async def test_slow_answer_for_what_is_not_stored(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    bucket, _ = slow_bucket(flavour, monkeypatch, 45, answers(HEAD=status))
    with pytest.raises(flavour.package.ReductError, match=r"success after 45 s.*is not stored"):
        await bucket.write("e", b"x", timestamp=1)
    errors = await bucket.write_batch("e", batch_of(flavour, "e", range(2, 4)))
    assert list(errors) == [2, 3]
    assert all("is not stored" in str(error) for error in errors.values())


async def test_slow_answer_that_cannot_be_verified(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token without read permission: unknown is neither success nor loss."""
    bucket, _ = slow_bucket(flavour, monkeypatch, 45, answers(HEAD=403))
    with pytest.raises(flavour.package.ReductError, match="may be stored"):
        await bucket.write("e", b"x", timestamp=1)


async def test_slow_errors_are_not_verified(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor are updates and removals, which can be repeated."""

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"x-reduct-error-2": "409,exists"})

    bucket, sent = slow_bucket(flavour, monkeypatch, 45, handler)
    errors = await bucket.write_batch("e", batch_of(flavour, "e", range(2, 4)))
    assert [error.status_code for error in errors.values()] == [409]
    assert sent[1:] == [PROBE.format(3)]
    await bucket.update("e", 1, {"a": 1})
    await bucket.remove_record("e", 1)
    assert len(sent) == 4


async def test_wedge_is_named_and_not_retried(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it comes as the answer or as the error of one record."""
    entries = {"x-reduct-entries": "d,e", "x-reduct-start-ts": "0"}

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/e/batch"):
            return httpx.Response(200, headers={"x-reduct-error-1": f"500,{WEDGE}"})
        if request.url.path.endswith("/write"):
            return httpx.Response(200, headers={**entries, "x-reduct-error-1-1": f"500,{WEDGE}"})
        return httpx.Response(500, headers={"x-reduct-error": WEDGE})

    bucket, sent = slow_bucket(flavour, monkeypatch, 0, handler)
    with pytest.raises(flavour.package.ReductError, match="another process writes") as caught:
        await bucket.write("e", b"x", timestamp=1)
    assert WEDGE in caught.value.message
    errors = await bucket.write_batch("e", batch_of(flavour, "e", range(1, 2)))
    assert "another process writes" in str(errors[1])
    batch = flavour.package.RecordBatch()
    batch.add("d", 1)
    batch.add("e", 1)
    several = await bucket.write_record_batch(batch)
    assert list(several) == ["e"]
    assert "another process writes" in str(several["e"][1])
    with pytest.raises(flavour.package.ReductError, match="another process writes"):
        await bucket.update("e", 1, {"a": 1})
    assert len(sent) == 4


async def test_default_timeouts_exceed_the_lock_timeout_of_the_server(
    client: Client, bucket: Bucket, recorder: Recorder
) -> None:
    """The server answers a wedge after 60 s; giving up before would hide it."""
    await bucket.write("e", b"")
    timeouts = recorder.requests[-1].extensions["timeout"]
    assert timeouts["read"] > 60
    assert timeouts["write"] > 60
    assert timeouts["pool"] is None


# --- the gates themselves ------------------------------------------------------------------


class Arrivals:
    """A server in memory that holds each request until another one comes, at most `patience`."""

    def __init__(self, patience: float) -> None:
        self.most = 0
        self._present = 0
        self._patience = patience

    async def __call__(self, _request: httpx.Request) -> httpx.Response:
        self._present += 1
        self.most = max(self.most, self._present)
        with anyio.move_on_after(self._patience):
            while self.most < 2:
                await anyio.sleep(0.001)
        self._present -= 1
        return httpx.Response(200)


async def _eight_writes(flavour: Flavour, patience: float) -> tuple[int, int]:
    """Return how many of 8 writes to one entry were in flight together, by both counts."""
    arrivals = Arrivals(patience)
    recorder = Recorder(flavour, arrivals)
    bucket = flavour.client("http://server", transport=recorder.transport).bucket("b")
    await asyncio.gather(*(bucket.write("e", b"", timestamp=us) for us in range(8)))
    return arrivals.most, recorder.together["write", "write"]


async def test_one_write_in_flight_per_entry(flavour: Flavour) -> None:
    assert await _eight_writes(flavour, patience=0.01) == (1, 0)


async def test_writes_overlap_without_gates(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of all counts of clashes in this file."""
    monkeypatch.setattr(gates, "_CONFLICTS", frozenset())
    most, together = await _eight_writes(flavour, patience=HANG_SECONDS)
    assert most >= 2
    assert together >= 1


CLAIMS: st.SearchStrategy[tuple[tuple[Key, Mode], ...]] = st.one_of(
    st.tuples(st.sets(st.sampled_from("abc"), min_size=1), st.sampled_from(Mode)).map(
        lambda call: tuple(entry_claims("bucket", *call))
    ),
    st.just(tuple(bucket_claims("bucket"))),
)


class Caller:
    """A call over several gates, as `Io.gate` makes it; it stops where it must wait."""

    def __init__(self, books: Gates[threading.Event], claims: tuple[Claim, ...]) -> None:
        self._books = books
        self._left = list(claims)
        self.tickets: list[Ticket[threading.Event]] = []

    @property
    def inside(self) -> bool:
        return not self._left and self.tickets[-1].granted

    def go_on(self) -> None:
        while self._left and (not self.tickets or self.tickets[-1].granted):
            self.tickets.append(entered(self._books, *self._left.pop(0)))

    def leave(self) -> None:
        self._left.clear()
        for ticket in reversed(self.tickets):
            self._books.leave(ticket)


@given(claims=st.lists(CLAIMS, max_size=8), data=st.data())
def test_any_order_of_calls(claims: list[tuple[Claim, ...]], data: st.DataObject) -> None:
    """Calls that meet never conflict; somebody can always go on; at the end nothing is left.

    Callers leave in any order, done or cancelled while they wait.
    """
    books: Gates[threading.Event] = Gates(threading.Event)
    callers = [Caller(books, each) for each in claims]
    while callers:
        for caller in callers:
            caller.go_on()
        held = [ticket for caller in callers for ticket in caller.tickets if ticket.granted]
        for one in held:
            for other in held:
                clash = {one.mode, other.mode} in ({Mode.WRITE}, {Mode.WRITE, Mode.REMOVE})
                clash = clash or {one.mode, other.mode} == {Mode.UPDATE, Mode.REMOVE}
                assert one is other or one.key != other.key or not clash
        inside = [caller for caller in callers if caller.inside]
        assert inside
        leaving = data.draw(st.sampled_from(data.draw(st.sampled_from([inside, callers]))))
        leaving.leave()
        callers.remove(leaving)
    assert len(books) == 0


def test_first_come_first_served() -> None:
    books: Gates[threading.Event] = Gates(threading.Event)
    key = Key("bucket", str(uuid.uuid4()))
    first = entered(books, key, Mode.WRITE)
    removal = entered(books, key, Mode.REMOVE)
    update = entered(books, key, Mode.UPDATE)
    write = entered(books, key, Mode.WRITE)
    # An update could go beside the first write, and yet does not overtake the removal.
    assert [t.granted for t in (first, removal, update, write)] == [True, False, False, False]
    books.leave(first)
    assert [t.granted for t in (removal, update, write)] == [True, False, False]
    books.leave(removal)
    assert [t.granted for t in (update, write)] == [True, True]
