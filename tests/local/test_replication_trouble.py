"""Replications of the embedded server when something goes wrong, driven by its clock."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from reduct_local import ManualClock, Server
from reduct_local.engine import Engine, Record
from reduct_local.errors import ApiError
from reduct_local.queries import IoLimits
from reduct_local.replication.destination import Destination, VanishedError
from reduct_local.replication.diagnostics import Diagnostics
from reduct_local.replication.settings import ReplicationSettings, Target
from reduct_local.replication.task import Replication
from tests import servers
from tests.local.fake_destination import FakeDestination, Reply, fake_destination
from tests.local.replicating import (
    DEADLINE,
    api,
    done,
    entries,
    hourly,
    read,
    refusal,
    status,
    update,
    wait_until,
    write,
)
from tests.scripted_server import refusing


@pytest.fixture
def clock() -> ManualClock:
    """The clock of the source."""
    return ManualClock()


@pytest.fixture
def source(clock: ManualClock) -> Iterator[httpx.Client]:
    """A server with the bucket `src`."""
    with Server(clock=clock) as server, api(server.url) as client:
        done(client.post("/b/src"))
        yield client


@pytest.fixture
def fake() -> Iterator[FakeDestination]:
    """A destination that answers as told."""
    with fake_destination() as fake:
        yield fake


def replicate(source: httpx.Client, host: str, **change: object) -> None:
    """Create the replication `copy` from bucket `src` to bucket `dst`."""
    settings = {"src_bucket": "src", "dst_bucket": "dst", "dst_host": host}
    done(source.post("/replications/copy", json=settings | change))


def pending(source: httpx.Client) -> int:
    """Return how many changes wait."""
    count: int = status(source, "copy")["pending_records"]
    return count


def sent(fake: FakeDestination) -> list[str]:
    """Return the record headers that arrived, in order of requests."""
    return [
        name.removeprefix("x-reduct-time-")
        for request in fake.requests
        for name in request.headers
        if name.startswith("x-reduct-time-")
    ]


# --- a destination that cannot be written to -----------------------------------------------


@pytest.mark.parametrize(
    ("method", "reply", "code"),
    [
        ("POST", Reply(429), "429"),
        ("POST", Reply(503), "503"),
        ("POST", Reply(0), "-3"),
        ("GET", Reply(401), "401"),
        ("GET", Reply(403), "403"),
        ("GET", Reply(500), "500"),
        ("GET", Reply(0), "-3"),
    ],
)
def test_what_cannot_be_sent_now_is_sent_later(
    source: httpx.Client,
    fake: FakeDestination,
    clock: ManualClock,
    method: str,
    reply: Reply,
    code: str,
) -> None:
    replicate(source, fake.url)
    fake.expect(method, reply)
    write(source, "src/e", b"data", 5)
    wait_until(lambda: not status(source, "copy")["is_active"])
    tries = len(fake.requests)
    write(source, "src/e", b"more", 6)
    clock.advance(4.9)
    assert pending(source) == 2
    assert len(fake.requests) == tries
    clock.advance(0.1)
    wait_until(lambda: pending(source) == 0)
    assert status(source, "copy")["is_active"]
    counts = hourly(source, "copy")
    assert (counts["ok"], counts["errored"]) == (120, 60)
    assert counts["errors"][code]["count"] == 1


def test_a_destination_that_comes_up_later(source: httpx.Client, clock: ManualClock) -> None:
    with refusing() as url:
        replicate(source, url)
        assert status(source, "copy")["is_active"]
        write(source, "src/e", b"data", 5)
        wait_until(lambda: not status(source, "copy")["is_active"])
    update(source, "src/e", 5, a="1")
    assert pending(source) == 2
    with Server(port=httpx.URL(url).port) as server, api(server.url) as destination:
        clock.advance(5)
        wait_until(lambda: pending(source) == 0)
        assert read(destination, "dst/e", 5) == (b"data", {"a": "1"})
    assert list(hourly(source, "copy")["errors"]) == ["-3"]


def test_addresses_that_no_request_can_go_to(source: httpx.Client) -> None:
    for host in ("ftp://example", "localhost:80"):
        replicate(source, host)
        write(source, f"src/{host[:3]}", b"data", 5)
        wait_until(lambda: not status(source, "copy")["is_active"])
        done(source.delete("/replications/copy"))


def test_a_full_queue_drops_the_oldest(
    fake: FakeDestination, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Server(env={"RS_REPLICATION_LOG_SIZE": "3"}) as server,
        api(server.url) as source,
    ):
        done(source.post("/b/src"))
        replicate(source, fake.url, mode="paused")
        for ts in range(5):
            write(source, "src/full", b"data", ts)
        write(source, "src/other", b"data", 9)
        assert pending(source) == 4
        assert "the queue of entry 'full' is full" in caplog.text
        done(source.patch("/replications/copy/mode", json={"mode": "enabled"}))
        wait_until(lambda: pending(source) == 0)
        assert sent(fake) == ["2", "3", "4", "9"]


def test_a_stop_does_not_wait_for_a_hanging_destination(
    fake: FakeDestination, tmp_path: Path
) -> None:
    data = tmp_path / "data.sqlite"
    with Server(data=data) as server, api(server.url) as source:
        done(source.post("/b/src"))
        replicate(source, fake.url)
        fake.open.clear()
        write(source, "src/e", b"data", 5)
        wait_until(lambda: len(fake.requests) == 1)
    fake.open.set()
    with Server(data=data) as server, api(server.url) as source:
        wait_until(lambda: pending(source) == 0)
        assert sent(fake) == ["5"]


def test_a_stop_lets_a_batch_arrive(fake: FakeDestination, tmp_path: Path) -> None:
    data = tmp_path / "data.sqlite"
    with Server(data=data) as server, api(server.url) as source:
        done(source.post("/b/src"))
        replicate(source, fake.url)
        for ts in range(20):
            write(source, "src/e", b"data", ts)
        wait_until(lambda: pending(source) < 20)
    with Server(data=data) as server, api(server.url) as source:
        wait_until(lambda: pending(source) == 0)
    assert sorted(sent(fake), key=int) == [str(ts) for ts in range(20)]


def test_removed_twice_while_a_batch_is_sent(source: httpx.Client, fake: FakeDestination) -> None:
    replicate(source, fake.url)
    fake.open.clear()
    write(source, "src/e", b"data", 5)
    wait_until(lambda: len(fake.requests) == 1)
    with ThreadPoolExecutor() as threads:
        answers = threads.map(lambda _: source.delete("/replications/copy").status_code, range(2))
        assert sorted(answers) == [200, 404]
    # Nothing of it is left for the next one of that name.
    fake.open.set()
    fake.requests.clear()
    replicate(source, fake.url)
    write(source, "src/e", b"data", 6)
    wait_until(lambda: sent(fake) == ["6"])


# --- records and settings that do not fit --------------------------------------------------


def test_written_and_updated_before_it_is_sent(source: httpx.Client) -> None:
    with Server() as server, api(server.url) as destination:
        replicate(source, server.url, mode="paused")
        write(source, "src/e", b"data", 1, a="1")
        update(source, "src/e", 1, a="2")
        assert pending(source) == 2
        done(source.patch("/replications/copy/mode", json={"mode": "enabled"}))
        wait_until(lambda: pending(source) == 0)
        assert read(destination, "dst/e", 1) == (b"data", {"a": "2"})
        assert hourly(source, "copy") == {"ok": 120, "errored": 0, "errors": {}}


def test_records_removed_meanwhile_are_counted(source: httpx.Client, fake: FakeDestination) -> None:
    replicate(source, fake.url, mode="paused")
    write(source, "src/e", b"data", 1)
    write(source, "src/e", b"data", 2)
    write(source, "src/gone", b"data", 3)
    done(source.delete("/b/src/e", params={"ts": 1}))
    done(source.delete("/b/src/gone"))
    done(source.patch("/replications/copy/mode", json={"mode": "enabled"}))
    wait_until(lambda: pending(source) == 0)
    assert sent(fake) == ["2"]
    counts = hourly(source, "copy")
    assert (counts["ok"], counts["errored"]) == (60, 120)


def test_labels_that_no_header_can_carry(source: httpx.Client, fake: FakeDestination) -> None:
    replicate(source, fake.url)
    headers = {
        "x-reduct-entries": "e",
        "x-reduct-start-ts": "1",
        "x-reduct-labels": "a%01,%C3%BC,fine",
        "x-reduct-0-0": "1,,0=x",
        "x-reduct-0-1": "1,,0=,1=x",
        "x-reduct-0-2": "1,,1=,2=x",
    }
    done(source.post("/io/src/write", content=b"abc", headers=headers))
    # A value that begins with a quote would swallow what follows.
    write(source, "src/e", b"d", 4, odd='"x')
    wait_until(lambda: pending(source) == 0 and sent(fake) == ["3"])
    counts = hourly(source, "copy")
    assert (counts["ok"], counts["errored"]) == (60, 180)
    assert list(counts["errors"]) == ["422"]


def test_a_token_that_no_header_can_carry(
    source: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"src_bucket": "src", "dst_bucket": "dst", "dst_host": "http://localhost"}
    for token in ("a\nb", "ü"):
        response = source.post("/replications/copy", json=settings | {"dst_token": token})
        assert refusal(response)[0] == 422
    assert "would end the real server" in caplog.text
    assert source.get("/replications/copy").status_code == 404


def test_tokens_are_not_shown(source: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    replicate(source, "http://127.0.0.1:1", dst_token="secret-text")
    write(source, "src/e", b"data", 1)
    wait_until(lambda: not status(source, "copy")["is_active"])
    assert "secret-text" not in source.get("/replications/copy").text
    assert "secret-text" not in caplog.text
    settings = ReplicationSettings.parse(
        {"src_bucket": "a", "dst_bucket": "b", "dst_host": "c:", "dst_token": "secret-text"}
    )
    assert "secret-text" not in repr(settings)


@pytest.mark.parametrize(
    ("when", "batches"),
    [
        ({"#batch_records": 2}, [2, 2, 1]),
        ({"#batch_size": "8B"}, [2, 2, 1]),
        # More would not pass at the destination.
        ({"#batch_records": 1000}, [85, 15]),
        (None, [85, 15]),
    ],
)
def test_sizes_of_batches(
    source: httpx.Client, fake: FakeDestination, when: object, batches: list[int]
) -> None:
    replicate(source, fake.url, mode="paused", when=when)
    for ts in range(sum(batches)):
        write(source, "src/e", b"data", ts)
    done(source.patch("/replications/copy/mode", json={"mode": "enabled"}))
    wait_until(lambda: pending(source) == 0)
    posts = [request for request in fake.requests if request.method == "POST"]
    assert [len(sent_by(request.headers)) for request in posts] == batches


def test_heads_of_batches_are_not_too_large(source: httpx.Client) -> None:
    with Server() as server, api(server.url) as destination:
        replicate(source, server.url, mode="paused")
        for ts in range(5):
            write(source, "src/e", b"data", ts, long="x" * 190_000)
        done(source.patch("/replications/copy/mode", json={"mode": "enabled"}))
        wait_until(lambda: pending(source) == 0)
        assert entries(destination, "dst") == {"e": 5}


def sent_by(headers: Iterable[str]) -> list[str]:
    """Return the record headers among the names of one request."""
    return [name for name in headers if name.startswith("x-reduct-time-")]


def test_another_source_bucket_begins_anew(source: httpx.Client, fake: FakeDestination) -> None:
    done(source.post("/b/other"))
    replicate(source, fake.url, mode="paused")
    write(source, "src/e", b"data", 1)
    assert pending(source) == 1
    settings = {"src_bucket": "other", "dst_bucket": "dst", "dst_host": fake.url}
    done(source.put("/replications/copy", json=settings))
    write(source, "src/e", b"data", 2)
    write(source, "other/e", b"data", 3)
    wait_until(lambda: sent(fake) == ["3"])


def test_a_replication_without_its_bucket_ends_with_the_server(
    fake: FakeDestination, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "data.sqlite"
    with Server(data=data) as server, api(server.url) as source:
        done(source.post("/b/src"))
        replicate(source, fake.url)
        done(source.delete("/b/src"))
        wait_until(lambda: source.get("/b/src").status_code == 404)
        assert status(source, "copy")["is_active"]
    for _ in range(2):
        with Server(data=data) as server, api(server.url) as source:
            assert done(source.get("/replications")).json() == {"replications": []}
    assert caplog.text.count("replication 'copy' is dropped") == 1


# --- parts ---------------------------------------------------------------------------------


def test_counts_are_estimates_for_an_hour(clock: ManualClock) -> None:
    diagnostics = Diagnostics(clock)
    diagnostics.count_ok(1)
    assert diagnostics.to_dict() == {"hourly": {"ok": 60, "errored": 0, "errors": {}}}
    clock.advance(60)
    diagnostics.count_ok(2)
    diagnostics.count_error(ApiError(404, "first"), 2)
    diagnostics.count_error(ApiError(404, "last"))
    diagnostics.count_error(ApiError(-3, "no connection"))
    assert diagnostics.to_dict() == {
        "hourly": {
            "ok": 90,
            "errored": 120,
            "errors": {
                "404": {"count": 3, "last_message": "last"},
                "-3": {"count": 1, "last_message": "no connection"},
            },
        }
    }
    clock.advance(58 * 60)
    diagnostics.count_ok(1)
    assert diagnostics.to_dict()["hourly"] == {
        "ok": 4,
        "errored": 4,
        "errors": {
            "404": {"count": 3, "last_message": "last"},
            "-3": {"count": 1, "last_message": "no connection"},
        },
    }
    clock.advance(7 * 3600)
    diagnostics.count_ok(5)
    assert diagnostics.to_dict() == {"hourly": {"ok": 5, "errored": 0, "errors": {}}}


def test_a_record_that_vanishes_while_it_is_sent(fake: FakeDestination) -> None:
    engine = Engine()
    engine.create_bucket("src")
    engine.write("src", "e", 1, b"data", "", {})
    record = engine.read("src", "e", 1)
    engine.close()

    def content(record: Record) -> Iterator[bytes]:
        yield b"da"
        raise ApiError(404, "gone")

    async def write() -> None:
        destination = Destination(Target(fake.url, "dst", None, "none"), content)
        try:
            await destination.open()
            with pytest.raises(VanishedError):
                await destination.write("e", [record])
        finally:
            await destination.close()

    asyncio.run(write())


@pytest.fixture
def engine(clock: ManualClock) -> Iterator[Engine]:
    """An engine with the bucket `src`."""
    engine = Engine(clock=clock)
    engine.create_bucket("src")
    yield engine
    engine.close()


async def replicated(
    engine: Engine, clock: ManualClock, fake: FakeDestination, *timestamps: int
) -> dict[str, object]:
    """Write records, replicate until nothing waits, and return how the replication is then."""
    settings = {"src_bucket": "src", "dst_bucket": "dst", "dst_host": fake.url}
    task = Replication(
        "copy",
        ReplicationSettings.parse(settings),
        engine,
        clock,
        limits=IoLimits(),
        log_size=10,
        retry_seconds=5,
    )
    engine.listeners.append(task.notify)
    for timestamp in timestamps:
        engine.write("src", "e", timestamp, b"data", "", {})
    task.start()
    while task.info()["pending_records"]:
        await asyncio.sleep(0.001)
        if not task.info()["is_active"]:
            clock.advance(5)
    await asyncio.sleep(0)
    info = task.info()
    await task.close()
    return info


def test_the_rest_is_sent_when_one_vanished(
    engine: Engine, fake: FakeDestination, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = engine.content

    def vanishing(record: Record) -> Iterator[bytes]:
        if record.timestamp == 1:
            engine.remove_records("src", "e", [1])
            raise ApiError(404, "gone")
        return content(record)

    monkeypatch.setattr(engine, "content", vanishing)

    info = asyncio.run(asyncio.wait_for(replicated(engine, clock, fake, 1, 2), DEADLINE))
    assert sent(fake)[-1] == "2"
    assert info["is_active"]


def test_trouble_of_the_server_itself(
    engine: Engine,
    fake: FakeDestination,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    read = engine.read

    def broken(bucket: str, entry: str, timestamp: int | None = None) -> Record:
        monkeypatch.setattr(engine, "read", read)
        raise OSError("the disk is full")

    monkeypatch.setattr(engine, "read", broken)
    info = asyncio.run(asyncio.wait_for(replicated(engine, clock, fake, 1), DEADLINE))
    assert sent(fake) == ["1"]
    assert info["is_active"]
    assert "the disk is full" in caplog.text


# --- with the real server ------------------------------------------------------------------


@pytest.mark.real
def test_to_the_real_server_and_from_it(new_server: servers.NewServer) -> None:
    with (
        new_server(token="real-token") as real_server,
        Server(token="embedded-token") as embedded_server,
        api(real_server.url, real_server.token) as real,
        api(embedded_server.url, embedded_server.token) as embedded,
    ):
        check_forwarding(embedded, real, real_server.url, "real-token", "zstd")
        done(real.delete("/b/dst"))
        check_forwarding(real, embedded, embedded_server.url, "embedded-token", "gzip")


def check_forwarding(
    here: httpx.Client, there: httpx.Client, url: str, token: str, compression: str
) -> None:
    """Replicate some records from one server to the other."""
    done(here.post("/b/src"))
    replicate(here, url, dst_token=token, compression=compression)
    data = bytes(range(256)) * 4000
    write(here, "src/a/b", data, 1, text="a,b", number="7")
    wait_until(lambda: entries(there, "dst") == {"a/b": 1})
    update(here, "src/a/b", 1, number="8")
    write(here, "src/a/b/$meta", b"{}", 2, key="k")
    expected = (data, {"text": "a,b", "number": "8"})
    wait_until(lambda: read(there, "dst/a/b", 1) == expected)
    wait_until(lambda: read(there, "dst/a/b/$meta", 2) is not None)
    wait_until(lambda: status(here, "copy")["pending_records"] == 0)
