"""Lifecycle policies of the embedded server at work, driven by its clock."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from reduct_local import ManualClock, Server
from reduct_local.engine import Engine
from reduct_local.lifecycle_settings import LifecycleSettings
from reduct_local.lifecycles import CHUNK, Lifecycles
from tests.local.replicating import api, done, entries, wait_until, write

HOUR = 3600

START = 1_700_000_000
"""The time of the clock in tests, in seconds."""


@pytest.fixture
def clock() -> ManualClock:
    """The clock of the server."""
    return ManualClock(START * 1_000_000)


@pytest.fixture
def client(clock: ManualClock) -> Iterator[httpx.Client]:
    """Requests to a server with the bucket `b`."""
    with Server(clock=clock) as server, api(server.url) as client:
        done(client.post("/b/b"))
        yield client


def policy(client: httpx.Client, name: str = "p", **change: object) -> None:
    """Create a policy that removes what is older than an hour, every hour."""
    settings = {"type": "delete", "bucket": "b", "older_than": "1h"}
    done(client.post(f"/lifecycles/{name}", json=settings | change))


def info(client: httpx.Client, name: str = "p") -> dict[str, Any]:
    """Return the info of a policy."""
    found: dict[str, Any] = done(client.get(f"/lifecycles/{name}")).json()["info"]
    return found


def aged(client: httpx.Client, path: str, *ages: float, **labels: str) -> None:
    """Write records that are some hours old at the start."""
    for age in ages:
        write(client, f"b/{path}", b"data", round((START - age * HOUR) * 1_000_000), **labels)


def ages(client: httpx.Client, path: str = "e") -> list[float]:
    """Return how old the records of an entry were at the start, in hours, oldest first."""
    query = {"query_type": "QUERY", "start": 0, "stop": 2**64 - 1, "when": {"#batch_records": 5000}}
    number = done(client.post(f"/b/b/{path}/q", json=query)).json()["id"]
    response = client.head(f"/b/b/{path}/batch", params={"q": number})
    prefix = "x-reduct-time-"
    times = [int(name.removeprefix(prefix)) for name in response.headers if name.startswith(prefix)]
    return [(START - time / 1_000_000) / HOUR for time in sorted(times)]


def run(client: httpx.Client, clock: ManualClock, seconds: float = HOUR, name: str = "p") -> None:
    """Move the clock to the next run of a policy and wait until it was done."""
    before = info(client, name)["last_run"]
    clock.advance(seconds)
    wait_until(lambda: info(client, name)["last_run"] != before)


def test_old_records_are_removed(client: httpx.Client, clock: ManualClock) -> None:
    policy(client)
    aged(client, "e", 5, 2, 0.25, 0, -0.5)
    aged(client, "a/b", 1, 0)
    assert info(client)["last_run"] is None
    clock.advance(HOUR - 1)
    assert info(client)["last_run"] is None
    assert ages(client) == [5, 2, 0.25, 0, -0.5]
    run(client, clock, 1)
    assert info(client)["last_run"] == "2023-11-14T23:13:20Z"
    # A record is old when it is exactly that old.
    assert ages(client) == [-0.5]
    assert entries(client, "b") == {"e": 1}
    run(client, clock)
    assert entries(client, "b") == {}


def test_interval(client: httpx.Client, clock: ManualClock) -> None:
    policy(client, interval="10m", older_than="2h")
    aged(client, "e", 1.9, 1.5)
    run(client, clock, 600)
    assert ages(client) == [1.5]
    run(client, clock, 600)
    assert ages(client) == [1.5]
    run(client, clock, 600)
    assert ages(client) == []


def test_one_run_handles_a_day_of_data_by_default(client: httpx.Client, clock: ManualClock) -> None:
    policy(client)
    aged(client, "e", 100, 90, 77, 75, 10, 2)
    aged(client, "f", 99)
    run(client, clock)
    assert (ages(client), ages(client, "f")) == ([75, 10, 2], [])
    run(client, clock)
    assert ages(client) == [10, 2]
    run(client, clock)
    assert ages(client) == [2]
    run(client, clock)
    assert ages(client) == []


def test_processing_interval(client: httpx.Client, clock: ManualClock) -> None:
    policy(client, processing_interval="2h")
    aged(client, "e", 20, 19, 18, 11, 5)
    run(client, clock)
    assert ages(client) == [18, 11, 5]
    run(client, clock)
    assert ages(client) == [11, 5]
    # Spans without records are passed over, late records of earlier ones are seen.
    aged(client, "e", 20)
    run(client, clock)
    assert ages(client) == [5]


def test_spans_in_which_nothing_is_selected_do_not_count(
    client: httpx.Client, clock: ManualClock
) -> None:
    policy(client, processing_interval="1h", when={"&old": {"$eq": True}})
    aged(client, "e", 30, 25, 20, 15, old="false")
    aged(client, "e", 10, 9.9, 5, old="true")
    run(client, clock)
    assert ages(client) == [30, 25, 20, 15, 5]
    run(client, clock)
    assert ages(client) == [30, 25, 20, 15]
    run(client, clock)
    assert ages(client) == [30, 25, 20, 15]


def test_progress_survives_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    data = tmp_path / "data.sqlite"
    with Server(data=data, clock=clock) as server, api(server.url) as client:
        done(client.post("/b/b"))
        policy(client, processing_interval="1h", when={"&old": {"$eq": True}})
        aged(client, "e", 30, old="false")
        aged(client, "e", 20, 10, old="true")
        run(client, clock)
        assert ages(client) == [30, 10]
    with Server(data=data, clock=clock) as server, api(server.url) as client:
        assert info(client)["last_run"] is None
        run(client, clock)
        assert ages(client) == [30]


def test_entries(client: httpx.Client, clock: ManualClock) -> None:
    policy(client, entries=["cam/**", "!cam/kept", "x/$meta"])
    for entry in ("cam", "cam/left", "cam/kept", "x"):
        aged(client, entry, 5)
        aged(client, f"{entry}/$meta", 5, key="k")
    run(client, clock)
    assert entries(client, "b") == {"cam/kept": 1, "x": 1}
    for entry in ("cam", "cam/left", "x"):
        assert len(ages(client, f"{entry}/$meta")) == 1


def test_conditions_are_not_strict(client: httpx.Client, clock: ManualClock) -> None:
    policy(client, when={"&score": {"$lt": 10}})
    aged(client, "e", 5, score="3")
    aged(client, "e", 4, score="30")
    aged(client, "e", 3)
    aged(client, "e", 2, score="text")
    run(client, clock)
    assert ages(client) == [4, 3, 2]


def test_limit_ends_an_entry(client: httpx.Client, clock: ManualClock) -> None:
    policy(client, when={"$limit": 2})
    aged(client, "e", 5, 4, 3)
    aged(client, "f", 5, 4, 3)
    run(client, clock)
    assert (ages(client), ages(client, "f")) == ([3], [3])


def test_many_records(client: httpx.Client, clock: ManualClock) -> None:
    policy(client)
    count = CHUNK + 5
    for first in range(0, count, 80):
        numbers = range(first, min(first + 80, count))
        headers = {f"x-reduct-time-{number}": "0," for number in numbers}
        done(client.post("/b/b/e/batch", headers=headers))
    assert entries(client, "b") == {"e": count}
    run(client, clock)
    wait_until(lambda: entries(client, "b") == {})


@pytest.mark.parametrize("mode", ["disabled", "dry_run"])
def test_modes_that_remove_nothing(client: httpx.Client, clock: ManualClock, mode: str) -> None:
    policy(client, mode=mode)
    aged(client, "e", 5)
    clock.advance(HOUR)
    assert ages(client) == [5]
    assert (info(client)["last_run"] is None) == (mode == "disabled")
    done(client.patch("/lifecycles/p/mode", json={"mode": "enabled"}))
    run(client, clock)
    assert ages(client) == []


@pytest.mark.parametrize("mode", ["disabled", "dry_run"])
def test_a_change_of_mode_acts_at_once(client: httpx.Client, clock: ManualClock, mode: str) -> None:
    policy(client)
    aged(client, "e", 5)
    done(client.patch("/lifecycles/p/mode", json={"mode": mode}))
    clock.advance(HOUR)
    assert ages(client) == [5]


def test_compress_changes_nothing(client: httpx.Client, clock: ManualClock) -> None:
    policy(client, type="compress")
    aged(client, "e", 5)
    run(client, clock)
    assert ages(client) == [5]


def test_an_update_starts_the_interval_anew(client: httpx.Client, clock: ManualClock) -> None:
    policy(client)
    aged(client, "e", 5)
    clock.advance(HOUR - 1)
    settings = {"type": "delete", "bucket": "b", "older_than": "3h", "interval": "2h"}
    done(client.put("/lifecycles/p", json=settings))
    clock.advance(HOUR)
    assert ages(client) == [5]
    run(client, clock, HOUR)
    assert ages(client) == []


@pytest.fixture
def engine(clock: ManualClock) -> Iterator[Engine]:
    """An engine with an old record at 1 in entry `e` of bucket `b`."""
    engine = Engine(clock=clock)
    engine.create_bucket("b")
    engine.write("b", "e", 1, b"data", "", {})
    yield engine
    engine.close()


async def runs(engine: Engine, clock: ManualClock, count: int) -> None:
    """Let a new policy run so often."""
    lifecycles = Lifecycles(engine, clock)
    settings = {"type": "delete", "bucket": "b", "older_than": "1h"}
    lifecycles.create("p", LifecycleSettings.parse(settings))
    for _ in range(count):
        # A client may move the clock as soon as it has an answer, before any worker begins.
        clock.advance(HOUR)
        for _ in range(5):
            await asyncio.sleep(0)
    await lifecycles.close()


def test_the_interval_begins_with_the_request(engine: Engine, clock: ManualClock) -> None:
    asyncio.run(runs(engine, clock, 1))
    assert engine.bounds("b", "e") is None


def test_trouble_of_the_server_itself(
    engine: Engine,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    entry_names = engine.entry_names

    def broken(bucket: str) -> list[str]:
        monkeypatch.setattr(engine, "entry_names", entry_names)
        raise OSError("the disk is full")

    monkeypatch.setattr(engine, "entry_names", broken)
    asyncio.run(runs(engine, clock, 1))
    assert engine.bounds("b", "e") == (1, 1)
    assert "the disk is full" in caplog.text
    asyncio.run(runs(engine, clock, 2))
    assert engine.bounds("b", "e") is None


def test_a_removed_policy_removes_nothing(client: httpx.Client, clock: ManualClock) -> None:
    policy(client)
    aged(client, "e", 5)
    done(client.delete("/lifecycles/p"))
    clock.advance(HOUR)
    assert ages(client) == [5]


def test_a_missing_bucket(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "data.sqlite"
    with Server(data=data, clock=clock) as server, api(server.url) as client:
        done(client.post("/b/b"))
        policy(client)
        done(client.delete("/b/b"))
        wait_until(lambda: client.get("/b/b").status_code == 404)
        run(client, clock)
        assert "lifecycle 'p' failed" in caplog.text
        # The next run finds a new bucket of that name.
        done(client.post("/b/b"))
        aged(client, "e", 5)
        run(client, clock)
        assert ages(client) == []
        done(client.delete("/b/b"))
        wait_until(lambda: client.get("/b/b").status_code == 404)
    for _ in range(2):
        with Server(data=data, clock=clock) as server, api(server.url) as client:
            assert done(client.get("/lifecycles")).json() == {"lifecycles": []}
    assert caplog.text.count("lifecycle 'p' is dropped") == 1
