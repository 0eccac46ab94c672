"""How subscriptions filter, end, and get over trouble, in both flavours."""

from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from reduct_async import Bucket, Client, Permissions
from tests.flavours import Flavour
from tests.recording import HANG_SECONDS, Recorder, until
from tests.servers import Server
from tests.test_subscribe import reading, recorded, take, times

LARGE = 9 * 1024 * 1024
"""Bytes of a record that is streamed."""

NEVER = 10_000.0
"""Seconds between polls, so that whatever ends earlier was not ended by a poll."""


# --- what comes ----------------------------------------------------------------------------


async def test_when_selects(bucket: Bucket) -> None:
    when = {"&kind": {"$eq": "a"}}
    async with reading(bucket.subscribe("entry", when=when, poll_interval=0.05)) as found:
        for timestamp, kind in enumerate("abbaba"):
            await bucket.write("entry", b"", timestamp=timestamp, labels={"kind": kind})
        await until(lambda: times(found) == [0, 3, 5])


async def test_when_with_directives(bucket: Bucket) -> None:
    """Limits of answers are no memory; 3 answers give all records."""
    for timestamp in range(5):
        await bucket.write("entry", b"", timestamp=timestamp)
    async with bucket.subscribe("entry", when={"#batch_records": 2}) as subscription:
        assert times(await take(subscription, 5)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "when",
    [
        {"$limit": 1},
        {"$each_n": 2},
        {"$each_t": "1s"},
        {"$gate": ["1s", {"&a": {"$gt": 1}}]},
        {"#ctx_before": "1s", "&a": {"$eq": 1}},
        {"#ctx_after": 2, "&a": {"$eq": 1}},
        {"$and": [{"&a": {"$eq": 1}}, {"$not": [{"$limit": [3]}]}]},
    ],
)
async def test_conditions_with_a_memory_are_refused(bucket: Bucket, when: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"when: (\$|#)\w+ forgets"):
        bucket.subscribe("entry", when=when)


async def test_filters_keep_their_memory(bucket: Bucket, flavour: Flavour, server: Server) -> None:
    """Each record comes by a poll of its own."""
    watched, recorder = recorded(bucket, flavour, server)
    subscription = watched.subscribe("entry", each_n=2, exclude={"x": "1"}, poll_interval=0.03)
    async with reading(subscription) as found:
        for timestamp, x in enumerate("0100010"):
            await bucket.write("entry", b"", timestamp=timestamp, labels={"x": x})
            seen = len(recorder.sent)
            await until(lambda: len(recorder.sent) > seen + 6)  # noqa: B023
        assert times(found) == [0, 3, 6]


async def test_limit_ends_it(bucket: Bucket, flavour: Flavour, server: Server) -> None:
    watched, recorder = recorded(bucket, flavour, server)
    for timestamp in range(5):
        await bucket.write("entry", b"", timestamp=timestamp)
    async with watched.subscribe("entry", limit=3, poll_interval=0.02) as subscription:
        with anyio.fail_after(HANG_SECONDS):
            assert times([record async for record in subscription]) == [0, 1, 2]
        sent = len(recorder.sent)
        await anyio.sleep(0.1)
        assert len(recorder.sent) == sent
        assert subscription.cursors == {"entry": 3}


async def test_heads(bucket: Bucket, flavour: Flavour) -> None:
    await bucket.write("entry", b"data", timestamp=1, labels={"kind": "a"})
    async with bucket.subscribe("entry", head=True) as subscription:
        (record,) = await take(subscription, 1)
        assert (record.timestamp, record.size, record.labels) == (1, 4, {"kind": "a"})
        with pytest.raises(flavour.package.ReductError, match="head=True"):
            await record.read_all()


async def test_large_records(bucket: Bucket, flavour: Flavour) -> None:
    """A streamed record is read in pieces, or passed over."""
    payloads = [b"small", b"a" * LARGE, b"b" * LARGE, b"last"]
    for timestamp, payload in enumerate(payloads):
        await bucket.write("entry", payload, timestamp=timestamp)
    async with bucket.subscribe("entry") as subscription:
        small, first = await take(subscription, 2)
        pieces = [len(piece) async for piece in first.read(1_000_000)]
        assert pieces == [1_000_000] * 9 + [LARGE - 9_000_000]
        skipped, last = await take(subscription, 2)
        assert await last.read_all() == b"last"
        assert await small.read_all() == b"small"
        with pytest.raises(flavour.package.ReductError, match="moved on"):
            await skipped.read_all()


async def test_subscriptions_side_by_side(bucket: Bucket) -> None:
    first = bucket.subscribe("entry", poll_interval=0.05)
    second = bucket.subscribe(["entry", "other"], poll_interval=0.05)
    async with reading(first) as found, reading(second) as rest:
        for timestamp in range(3):
            await bucket.write("entry", b"", timestamp=timestamp)
        await until(lambda: times(found) == times(rest) == [0, 1, 2])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"poll_interval": 0}, ValueError),
        ({"poll_interval": -1.0}, ValueError),
        ({"poll_interval": float("nan")}, ValueError),
        ({"poll_interval": None}, TypeError),
        ({"poll_interval": "1"}, TypeError),
        ({"overlap": -1}, ValueError),
        ({"overlap": float("inf")}, ValueError),
        ({"overlap": None}, TypeError),
        ({"start": "nonsense"}, ValueError),
        ({"start": -1}, ValueError),
        ({"start": {"entry": "nonsense"}}, ValueError),
        ({"start": True}, TypeError),
        ({"entries": []}, ValueError),
        ({"entries": 5}, TypeError),
        ({"stop": 5}, TypeError),
        ({"ttl": 5}, TypeError),
    ],
)
async def test_bad_arguments(
    bucket: Bucket, arguments: dict[str, Any], error: type[Exception]
) -> None:
    """They are refused by the call itself, not by the first poll."""
    with pytest.raises(error):
        bucket.subscribe(**{"entries": "entry", **arguments})


# --- ends ----------------------------------------------------------------------------------


async def test_close_while_idle(bucket: Bucket) -> None:
    await bucket.write("entry", b"", timestamp=1)
    async with reading(bucket.subscribe("entry", poll_interval=NEVER)) as found:
        await until(lambda: len(found) == 1)


async def test_close_from_the_loop(bucket: Bucket) -> None:
    for timestamp in range(5):
        await bucket.write("entry", b"", timestamp=timestamp)
    subscription = bucket.subscribe("entry", poll_interval=NEVER)
    found = []
    async for record in subscription:
        found.append(record)
        if record.timestamp == 2:
            await subscription.close()
    assert times(found) == [0, 1, 2]


async def test_closing_again_and_early(bucket: Bucket) -> None:
    await bucket.write("entry", b"", timestamp=1)
    subscription = bucket.subscribe("entry")
    await subscription.close()
    await subscription.close()
    assert [record async for record in subscription] == []
    async with bucket.subscribe("entry") as subscription:
        await take(subscription, 1)
        await subscription.close()
    await subscription.close()
    assert [record async for record in subscription] == []


async def test_break_leaves_nothing_behind(
    bucket: Bucket, flavour: Flavour, server: Server
) -> None:
    """After a break nothing is asked any more, and the loop may be taken up again."""
    watched, recorder = recorded(bucket, flavour, server)
    for timestamp in range(3):
        await bucket.write("entry", b"", timestamp=timestamp)
    subscription = watched.subscribe("entry", poll_interval=0.01)
    async for record in subscription:
        if record.timestamp == 1:
            break
    sent = list(recorder.sent)
    await anyio.sleep(0.1)
    assert recorder.sent == sent
    assert times(await take(subscription, 1)) == [2]
    await subscription.close()


@pytest.mark.parametrize("size", [1, LARGE])
async def test_close_while_a_record_is_in_hand(
    bucket: Bucket, flavour: Flavour, server: Server, size: int
) -> None:
    """Closing takes a while where a payload is still on its way; its reader goes on meanwhile."""
    closing = anyio.Event()

    async def hook(_request: httpx.Request) -> None:
        if in_hand:
            closing.set()
            await anyio.sleep(0.1)

    in_hand = False
    await bucket.write("entry", bytes(size), timestamp=1)
    await bucket.write("entry", b"", timestamp=2)
    recorder = Recorder(flavour, closing=hook)
    client = flavour.client(server.url, transport=recorder.transport)
    subscription = client.bucket(bucket.name).subscribe("entry")
    await take(subscription, 1)
    in_hand = True

    async def close() -> None:
        await subscription.close()
        closing.set()

    with anyio.fail_after(HANG_SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(close)
            await closing.wait()
            assert await anext(aiter(subscription), None) is None
    assert all(connection.is_idle() for connection in recorder.pool.connections)


async def test_closed_client_ends_a_subscription(
    bucket: Bucket, flavour: Flavour, server: Server
) -> None:
    client = flavour.client(server.url)
    await bucket.write("entry", b"", timestamp=1)
    subscription = client.bucket(bucket.name).subscribe("entry", poll_interval=0.05)
    await take(subscription, 1)
    await client.close()
    with pytest.raises(flavour.package.ReductError, match="the client is closed"):
        await take(subscription, 1)


async def test_missing_bucket(client: Client, flavour: Flavour) -> None:
    subscription = client.bucket("absent").subscribe("entry")
    with pytest.raises(flavour.package.NotFoundError, match="absent"):
        await take(subscription, 1)


async def test_removed_bucket(client: Client, bucket: Bucket, flavour: Flavour) -> None:
    await bucket.write("entry", b"", timestamp=1)
    subscription = bucket.subscribe("entry", poll_interval=0.05)
    await take(subscription, 1)
    await bucket.remove()
    with pytest.raises(flavour.package.ApiError) as caught:
        await take(subscription, 1)
    assert caught.value.status_code in {404, 409}


async def test_token_without_read_permission(flavour: Flavour, auth_server: Server) -> None:
    admin = flavour.client(auth_server.url, auth_server.token)
    bucket = await admin.create_bucket(f"write-only-{flavour.name}")
    permissions = Permissions(write=[bucket.name])
    token = await admin.create_token(f"writer-{flavour.name}", permissions)
    writer = flavour.client(auth_server.url, token).bucket(bucket.name)
    await writer.write("entry", b"", timestamp=1)
    with pytest.raises(flavour.package.PermissionDeniedError, match="read"):
        await take(writer.subscribe("entry"), 1)


async def test_strict_condition_that_cannot_be_evaluated(bucket: Bucket, flavour: Flavour) -> None:
    await bucket.write("entry", b"", timestamp=1)
    when = {"&absent": {"$eq": 1}}
    with pytest.raises(flavour.package.ReductError, match="absent"):
        await take(bucket.subscribe("entry", when=when, strict=True), 1)


# --- trouble -------------------------------------------------------------------------------


async def test_server_that_is_down_at_the_beginning(flavour: Flavour, server: Server) -> None:
    """Only a subscription that worked once waits for the server."""
    transport = Recorder(flavour, _lose).transport
    client = flavour.client(server.url, transport=transport, retry=None)
    with pytest.raises(flavour.package.TransportError):
        await take(client.bucket("any").subscribe("entry"), 1)


async def _lose(_request: httpx.Request) -> None:
    raise httpx.ReadError("lost")


def _status(code: int) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(code, headers={"x-reduct-error": "made up"})


LISTING = [_status(code) for code in [425, 429, 500, 502, 503, 504]]


@pytest.mark.parametrize(
    ("request_line", "troubles"),
    [
        ("GET /b/{}", [*LISTING, None]),
        ("POST /b/{}/entry/q", [_status(404), _status(409), *LISTING, None]),
        ("GET /b/{}/entry/batch", [_status(404), *LISTING, None]),
    ],
)
async def test_trouble_is_waited_out(
    bucket: Bucket,
    flavour: Flavour,
    server: Server,
    request_line: str,
    troubles: list[Callable[[], httpx.Response] | None],
) -> None:
    """Each kind of request fails in every way; None is a lost connection. All comes once."""
    left = list(troubles)

    async def hook(_request: httpx.Request) -> httpx.Response | None:
        line = request_line.format(bucket.name)
        if len(recorder.requests) < 5 or recorder.sent[-1] != line or not left:
            return None
        trouble = left.pop(0)
        if trouble is None:
            raise httpx.ReadError("lost")
        return trouble()

    watched, recorder = recorded(bucket, flavour, server, hook)
    await bucket.write("entry", b"0", timestamp=0)
    async with reading(watched.subscribe("entry", poll_interval=0.02)) as found:
        await until(lambda: len(recorder.sent) > 5)
        for timestamp in range(1, 40):
            await bucket.write("entry", b"%d" % timestamp, timestamp=timestamp)
            await anyio.sleep(0.02)
            if not left:
                break
        await bucket.write("entry", b"40", timestamp=40)
        await until(lambda: not left and 40 in times(found))
        assert times(found) == [*range(timestamp + 1), 40]
        assert [await record.read_all() for record in found[1:-1]] == [
            b"%d" % us for us in range(1, timestamp + 1)
        ]
