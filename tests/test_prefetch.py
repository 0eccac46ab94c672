"""The next answer is asked for early: bounded, switched off on request, and nothing is lost."""

import json
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from reduct_async import ApiError, Bucket, TransportError
from tests.flavours import Flavour
from tests.scripted_server import (
    DEADLINE,
    HOLD,
    REQUEST,
    RESET,
    Script,
    ScriptedServer,
    answer,
)
from tests.stored import payloads, times

STARTED = answer(b'{"id": 7}')
EMPTY_LIST = answer(b'{"buckets": []}')
LIST, POST, GET, DELETE = "GET /api/v1/list", "POST", "GET", "DELETE"


def batch(*timestamps: int, last: bool = False, body: bytes = b"") -> bytes:
    """Return an answer with records of one byte each, their time unless `body` is given."""
    heads = {f"x-reduct-time-{us}": "1," for us in timestamps}
    payload = body or "".join(str(us % 10) for us in timestamps).encode()
    return answer(payload, headers={**heads, "x-reduct-last": str(last).lower()})


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something has happened that no answer tells."""
    with anyio.fail_after(DEADLINE):
        while not condition():
            await anyio.sleep(0.005)


def methods(server: ScriptedServer) -> list[str]:
    """Return what was asked, in order."""
    return [LIST if r.target == "/api/v1/list" else r.method for r in server.requests]


async def test_the_next_answer_is_asked_for_before_records_are_handed_out(
    flavour: Flavour,
) -> None:
    script: Script = [REQUEST, STARTED, REQUEST, batch(1, 2), REQUEST, batch(3, last=True)]
    with ScriptedServer(script) as server:
        found = flavour.client(server.url).bucket("bucket").query("entry")
        assert (await anext(found)).timestamp == 1
        await eventually(lambda: len(server.requests) == 3)
        assert await payloads(found) == {2: b"2", 3: b"3"}
        assert (methods(server), server.connections) == ([POST, GET, GET], 1)


@pytest.mark.parametrize("arguments", [{"prefetch": False}, {"limit": 9}], ids=str)
async def test_it_is_not_asked_for_early(flavour: Flavour, arguments: dict[str, Any]) -> None:
    """Where it is switched off, and with a limit, behind which nothing is wanted."""
    script: Script = [REQUEST, STARTED, REQUEST, batch(1, 2)]
    script = [*script, REQUEST, EMPTY_LIST, REQUEST, batch(3, last=True)]
    with ScriptedServer(script) as server:
        client = flavour.client(server.url)
        found = client.bucket("bucket").query("entry", **arguments)
        assert (await anext(found)).timestamp == 1
        assert await client.list() == []
        assert await times(found) == [2, 3]
        assert (methods(server), server.connections) == ([POST, GET, LIST, GET], 1)


async def test_not_behind_the_last_answer(flavour: Flavour) -> None:
    script: Script = [REQUEST, STARTED, REQUEST, batch(1, last=True), REQUEST, EMPTY_LIST]
    with ScriptedServer(script) as server:
        client = flavour.client(server.url)
        assert await times(client.bucket("bucket").query("entry")) == [1]
        assert await client.list() == []
        assert methods(server) == [POST, GET, LIST]


async def test_other_calls_of_the_loop_take_other_connections(flavour: Flavour) -> None:
    first: Script = [REQUEST, STARTED, REQUEST, batch(1), REQUEST, batch(2, last=True)]
    with ScriptedServer(first, [REQUEST, EMPTY_LIST]) as server:
        client = flavour.client(server.url)
        found = client.bucket("bucket").query("entry")
        assert (await anext(found)).timestamp == 1
        assert await client.list() == []
        assert await times(found) == [2]
        assert server.connections == 2


@pytest.mark.parametrize("most", [1, 2, 3])
async def test_half_of_the_connections_are_left_to_the_loop(flavour: Flavour, most: int) -> None:
    """So that a loop never waits for itself."""

    def reply(request: Any) -> bytes:
        if request.method == "POST":
            return STARTED
        if request.target.endswith("/list"):
            return EMPTY_LIST
        count = sum(r.method == "GET" and "batch" in r.target for r in server.requests)
        return batch(count, last=count == 9)

    with ScriptedServer([reply] * 50) as server:
        client = flavour.client(server.url, limits=httpx.Limits(max_connections=most))
        seen = 0
        with anyio.fail_after(DEADLINE):
            async for _ in client.bucket("bucket").query("entry"):
                seen += 1
                assert await client.list() == []
        assert seen == 9
        assert server.connections <= most


async def test_break_leaves_no_answer_to_the_next_call(flavour: Flavour) -> None:
    """The connection on which an answer is still to come is closed."""
    first: Script = [REQUEST, STARTED, REQUEST, batch(1), REQUEST, HOLD]
    with ScriptedServer(first, [REQUEST, EMPTY_LIST]) as server:
        client = flavour.client(server.url)
        found = client.bucket("bucket").query("entry")
        assert (await anext(found)).timestamp == 1
        await eventually(lambda: len(server.requests) == 3)
        await found.aclose()
        assert await client.list() == []
        assert server.connections == 2


async def test_an_error_comes_behind_the_records_before_it(flavour: Flavour) -> None:
    refused = answer(b"", 422, {"x-reduct-error": "no such label"})
    script: Script = [REQUEST, STARTED, REQUEST, batch(1, 2), REQUEST, refused]
    with ScriptedServer(script) as server:
        found = flavour.client(server.url).bucket("bucket").query("entry")
        assert (await anext(found)).timestamp == 1
        await eventually(lambda: len(server.requests) == 3)
        assert (await anext(found)).timestamp == 2
        with pytest.raises(ApiError, match="Status 422: no such label"):
            await anext(found)


async def test_a_lost_answer_is_asked_for_anew(flavour: Flavour) -> None:
    first: Script = [REQUEST, STARTED, REQUEST, batch(1, 2), REQUEST, RESET]
    second: Script = [REQUEST, STARTED, REQUEST, batch(3, last=True)]
    with ScriptedServer(first, second) as server:
        found = flavour.client(server.url).bucket("bucket").query("entry")
        assert await payloads(found) == {1: b"1", 2: b"2", 3: b"3"}
        starts = [json.loads(r.body)["start"] for r in server.requests if r.method == "POST"]
        assert starts == [0, 3]


@pytest.mark.parametrize("when", [None, {"$limit": 5}], ids=str)
async def test_records_that_are_removed_meanwhile_spoil_nothing(
    flavour: Flavour, when: dict[str, Any] | None
) -> None:
    """What comes early is received before the removal; the rest is asked for anew if it can be.

    The server sends wrong payloads of records that it looked up before.
    """
    anew = when is None
    first: Script = [REQUEST, STARTED, REQUEST, batch(1), REQUEST, batch(2, 3), REQUEST, answer()]
    rest: Script = [REQUEST, batch(4, last=True)]
    if anew:
        rest = [REQUEST, STARTED, REQUEST, batch(2, 3, 4, last=True)]
    with ScriptedServer([*first, *rest]) as server:
        bucket = flavour.client(server.url).bucket("bucket")
        found = bucket.query("entry", when=when)
        assert (await anext(found)).timestamp == 1
        await bucket.remove_record("entry", 1)
        assert await payloads(found) == {2: b"2", 3: b"3", 4: b"4"}
        asked = [POST, GET, GET, DELETE, *([POST, GET] if anew else [GET])]
        assert (methods(server), server.connections) == (asked, 1)
        if anew:
            assert json.loads(server.requests[4].body)["start"] == 2


async def test_a_removal_from_another_entry_disturbs_no_query(flavour: Flavour) -> None:
    script: Script = [REQUEST, STARTED, REQUEST, batch(1), REQUEST, batch(2)]
    script = [*script, REQUEST, answer(), REQUEST, batch(3, last=True)]
    with ScriptedServer(script) as server:
        bucket = flavour.client(server.url).bucket("bucket")
        found = bucket.query("entry")
        assert (await anext(found)).timestamp == 1
        await bucket.remove_record("other", 1)
        assert await times(found) == [2, 3]
        assert methods(server) == [POST, GET, GET, DELETE, GET]


async def test_an_answer_that_is_too_large_to_wait_is_given_up_for_a_removal(
    flavour: Flavour,
) -> None:
    huge = answer(headers={"x-reduct-time-2": f"{10**9},"}, length=10**9)
    first: Script = [REQUEST, STARTED, REQUEST, batch(1), REQUEST, huge, HOLD]
    second: Script = [REQUEST, answer(), REQUEST, STARTED, REQUEST, batch(3, last=True)]
    with ScriptedServer(first, second) as server:
        bucket = flavour.client(server.url).bucket("bucket")
        found = bucket.query("entry")
        assert (await anext(found)).timestamp == 1
        await bucket.remove_record("entry", 2)
        assert await times(found) == [3]
        assert methods(server) == [POST, GET, GET, DELETE, POST, GET]


async def test_a_closed_client_ends_what_comes_early(flavour: Flavour) -> None:
    with ScriptedServer([REQUEST, STARTED, REQUEST, batch(1), REQUEST, HOLD]) as server:
        client = flavour.client(server.url)
        found = client.bucket("bucket").query("entry")
        assert (await anext(found)).timestamp == 1
        await eventually(lambda: len(server.requests) == 3)
        await client.close()
        with pytest.raises(TransportError):
            await anext(found)


@pytest.mark.parametrize("records", [20, 85])
@pytest.mark.parametrize("prefetch", [True, False])
async def test_payloads_are_right_though_the_loop_removes(
    bucket: Bucket, flavour: Flavour, records: int, prefetch: bool
) -> None:
    """With small answers 578 of these 1,100 payloads were those of their neighbours."""
    batched = flavour.package.Batch()
    for us in range(1100):
        batched.add(us, f"payload of {us}")
    assert await bucket.write_batch("entry", batched) == {}
    when = {"#batch_records": records}
    async for record in bucket.query("entry", when=when, prefetch=prefetch):
        us = record.timestamp
        assert await record.read_all() == f"payload of {us}".encode()
        if us % 100 == 50:
            await bucket.remove_record("entry", us - 1)
    assert us == 1099
