"""What a new user does wrong, on a server: the right result, or one clear error."""

import gc
import uuid
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import anyio
import httpx
import pytest

import reduct_async
import reduct_sync
from reduct_async import (
    AuthenticationError,
    Batch,
    Bucket,
    Client,
    NotFoundError,
    RecordBatch,
    ReductError,
    Retry,
    TransportError,
)
from tests.calls import CALLS, PROBES, URL, Answer, Answers, trouble_of
from tests.flavours import Flavour
from tests.scripted_server import DEADLINE
from tests.servers import Server

LARGE = 9_000_000
"""Bytes of a payload that is streamed."""

# --- making a client -----------------------------------------------------------------------

BAD_URLS: list[Any] = [
    "",
    "localhost",
    "localhost:8383",
    "//localhost",
    "http://",
    "http:///path",
    "http://:8383",
    " http://localhost",
    "http://local host",
    "http://localhost:port",
    "http://localhost:70000",
    "http://localhost:-1",
    "ftp://localhost",
    "http://[::1",
    "http://300.1.1.1",
    "http://my..server",
    "http://.",
    "http://" + "a" * 64 + ".test",
    "http://local\nhost",
    "http://local\ud800host",
    "http://user:password@localhost",
    "http://localhost?x=1",
    "http://localhost#x",
    "http://localhost/api/v1",
    "http://localhost/base/api/v1/",
]


@pytest.mark.parametrize("url", BAD_URLS)
async def test_wrong_urls(flavour: Flavour, url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        flavour.client(url)


@pytest.mark.parametrize("url", [None, 5, b"http://localhost", httpx.URL("http://localhost")])
async def test_urls_of_another_type(flavour: Flavour, url: Any) -> None:
    with pytest.raises(TypeError, match="url must be a str"):
        flavour.client(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost", "http://localhost/api/v1/list"),
        ("http://localhost:8383/", "http://localhost:8383/api/v1/list"),
        ("HTTP://LOCALHOST/Base//", "http://localhost/Base/api/v1/list"),
        ("https://[::1]:1/a/b", "https://[::1]:1/a/b/api/v1/list"),
        ("https://bücher.test", "https://xn--bcher-kva.test/api/v1/list"),
        ("http://my_server", "http://my_server/api/v1/list"),
        ("http://" + "a" * 63 + ".test", "http://" + "a" * 63 + ".test/api/v1/list"),
    ],
)
async def test_right_urls(flavour: Flavour, url: str, expected: str) -> None:
    answers = Answers(Answer(body=b'{"buckets": []}'))
    await flavour.client(url, transport=answers.transport).list()
    assert str(answers.requests[0].url) == expected


BAD_ARGUMENTS: list[tuple[str, Any, type[Exception]]] = [
    ("api_token", 5, TypeError),
    ("api_token", b"token", TypeError),
    ("api_token", "", ValueError),
    ("api_token", "with space", ValueError),
    ("api_token", "line\n", ValueError),
    ("api_token", "größe", ValueError),
    ("timeout", "5", (TypeError, ValueError)),  # type: ignore[list-item]
    ("timeout", True, (TypeError, ValueError)),  # type: ignore[list-item]
    ("timeout", 0, ValueError),
    ("timeout", -1, ValueError),
    ("timeout", float("nan"), ValueError),
    ("timeout", 1e12, ValueError),
    ("timeout", httpx.Timeout(-1), ValueError),
    ("extra_headers", "name: value", TypeError),
    ("extra_headers", [("name", "value")], TypeError),
    ("extra_headers", {"name": 5}, TypeError),
    ("extra_headers", {5: "value"}, TypeError),
    ("extra_headers", {"na me": "value"}, ValueError),
    ("extra_headers", {"name": "line\n"}, ValueError),
    ("extra_headers", {"name": " value "}, ValueError),
    ("extra_headers", {"name": "größe"}, ValueError),
    ("extra_headers", {"Content-Length": "5"}, ValueError),
    ("extra_headers", {f"name-{number}": "" for number in range(9)}, ValueError),
    ("user_agent", 5, TypeError),
    ("user_agent", "line\n", ValueError),
    ("user_agent", "größe", ValueError),
    ("limits", None, TypeError),
    ("limits", 5, TypeError),
    ("retry", 3, TypeError),
    ("transport", 5, TypeError),
    ("transport", httpx.Client, TypeError),
    ("session", object(), TypeError),
]


@pytest.mark.parametrize(("name", "value", "expected"), BAD_ARGUMENTS)
async def test_wrong_arguments_of_a_client(
    flavour: Flavour, name: str, value: Any, expected: type[Exception]
) -> None:
    with pytest.raises(expected, match=name):
        flavour.client(URL, **{name: value})


@pytest.mark.parametrize("kwargs", [{"attempts": 0}, {"attempts": 1.5}, {"backoff": -1}])
def test_wrong_retries(kwargs: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        Retry(**kwargs)


async def test_transport_of_the_other_flavour(flavour: Flavour) -> None:
    """The stock transports are of one kind each; the other one has no method to call."""
    other = httpx.AsyncHTTPTransport() if flavour.name == "sync" else httpx.HTTPTransport()
    with pytest.raises(TypeError, match="transport must be an httpx"):
        flavour.client(URL, transport=other)


# --- the wrong token, bucket or entry ------------------------------------------------------

AUTHENTICATED = [name for name in CALLS if name not in PROBES]


@pytest.mark.parametrize("token", ["wrong-token", None])
async def test_wrong_token(flavour: Flavour, auth_server: Server, token: str | None) -> None:
    client = flavour.client(auth_server.url, token)
    for name in AUTHENTICATED:
        found = await trouble_of(CALLS[name], client, flavour)
        assert found, name
        assert [error for error in found if type(error) is not AuthenticationError] == [], name


OF_A_BUCKET = [
    name
    for name in CALLS
    if hasattr(Bucket, name.removeprefix("bucket ").split()[0]) and "info" not in name
    # The server looks for the record of a link when the link is used.
    if name != "create_query_link at"
]


async def test_missing_bucket(flavour: Flavour, server: Server) -> None:
    """The bucket of these calls does not exist; batches tell it of each record."""
    client = flavour.client(server.url)
    for name in [*OF_A_BUCKET, "bucket info", "get_full_info", "get_bucket"]:
        found = await trouble_of(CALLS[name], client, flavour)
        assert found, name
        assert [error for error in found if type(error) is not NotFoundError] == [], name
        assert all("bucket" in error.message.lower() for error in found), name


async def test_misspelt_entry(bucket: Bucket) -> None:
    await bucket.write("sensor", b"data", timestamp=1)
    name = "sensro"
    for call in (
        lambda: bucket.update(name, 1, {"a": "1"}),
        lambda: bucket.remove_record(name, 1),
        lambda: bucket.remove_entry(name),
        lambda: bucket.rename_entry(name, "new"),
        lambda: records(bucket.query(name, missing="raise")),
        lambda: records(bucket.query([name, "sensor"], missing="raise")),
        lambda: bucket.create_query_link(name),
    ):
        with pytest.raises(NotFoundError) as caught:
            await call()
        assert name in caught.value.message
    with pytest.raises(NotFoundError, match=name):
        async with bucket.read(name):
            pass


async def test_b39_misspelt_entry_in_a_query(bucket: Bucket) -> None:
    await bucket.write("sensor", b"data", timestamp=1)
    for entries in ("sensro", ["sensro", "sensor"]):
        found = [] if entries == "sensro" else [("sensor", 1)]
        assert await records(bucket.query(entries)) == found
        with pytest.warns(UserWarning, match="has no entry 'sensro'"):
            assert await records(bucket.query(entries, missing="warn")) == found
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert await records(bucket.query("sensor", missing="warn")) == [("sensor", 1)]
        assert await records(bucket.query(["sens*", "x*"], missing="raise")) == [("sensor", 1)]


async def records(query: AsyncIterator[Any]) -> list[tuple[str, int]]:
    return [(record.entry, record.timestamp) async for record in query]


# --- wrong types ---------------------------------------------------------------------------

BAD_CALLS: dict[str, Callable[[Bucket, Flavour], Awaitable[Any]]] = {
    "write_batch of a list": lambda b, f: b.write_batch("e", [1]),  # type: ignore[arg-type]
    "write_batch of a RecordBatch": lambda b, f: b.write_batch("e", f.package.RecordBatch()),
    "update_batch of a list": lambda b, f: b.update_batch("e", [1]),  # type: ignore[arg-type]
    "update_batch of a RecordBatch": lambda b, f: b.update_batch("e", f.package.RecordBatch()),
    "remove_batch of an int": lambda b, f: b.remove_batch("e", 5),  # type: ignore[arg-type]
    "remove_batch of a RecordBatch": lambda b, f: b.remove_batch("e", f.package.RecordBatch()),
    "write_record_batch of a Batch": lambda b, f: b.write_record_batch(f.package.Batch()),
    "update_record_batch of a Batch": lambda b, f: b.update_record_batch(f.package.Batch()),
    "remove_record_batch of a Batch": lambda b, f: b.remove_record_batch(f.package.Batch()),
    "set_settings of a dict": lambda b, f: b.set_settings({"quota_size": 1}),  # type: ignore[arg-type]
    "set_settings of None": lambda b, f: b.set_settings(None),  # type: ignore[arg-type]
    "rename to an int": lambda b, f: b.rename(5),  # type: ignore[arg-type]
    "entry is an int": lambda b, f: b.write(5, b""),  # type: ignore[arg-type]
    "entry is bytes": lambda b, f: b.write(b"entry", b""),  # type: ignore[arg-type]
    "entry is None": lambda b, f: b.remove_entry(None),  # type: ignore[arg-type]
    "data is None": lambda b, f: b.write("e", None),
    "data is a number": lambda b, f: b.write("e", 1.5),
    "data is a dict": lambda b, f: b.write("e", {"a": 1}, content_length=1),
    "length is text": lambda b, f: b.write("e", iter([b"x"]), content_length="1"),  # type: ignore[arg-type]
    "labels are a list": lambda b, f: b.write("e", b"", labels=[("a", 1)]),  # type: ignore[arg-type]
    "labels are text": lambda b, f: b.update("e", 1, "a=1"),  # type: ignore[arg-type]
    "a label is a list": lambda b, f: b.write("e", b"", labels={"a": [1]}),
    "a name is an int": lambda b, f: b.write("e", b"", labels={1: "a"}),  # type: ignore[dict-item]
    "type is bytes": lambda b, f: b.write("e", b"", content_type=b"text/plain"),  # type: ignore[arg-type]
    "entries is an int": lambda b, f: records(b.query(5)),  # type: ignore[arg-type]
    "entries hold None": lambda b, f: records(b.query(["e", None])),  # type: ignore[list-item]
    "when is a list": lambda b, f: records(b.query("e", when=[1])),  # type: ignore[arg-type]
    "when holds an object": lambda b, f: records(b.query("e", when={"a": object()})),
    "strict is a number": lambda b, f: records(b.query("e", strict=1)),  # type: ignore[arg-type]
    "ttl is text": lambda b, f: records(b.query("e", ttl="5s")),  # type: ignore[arg-type]
    "limit is text": lambda b, f: records(b.query("e", limit="5")),  # type: ignore[arg-type]
    "attachments are a list": lambda b, f: b.write_attachments("e", [1]),  # type: ignore[arg-type]
    "an attachment is no JSON": lambda b, f: b.write_attachments("e", {"a": object()}),
    "attachment keys are one": lambda b, f: b.remove_attachments("e", "key"),
    "timestamp is None": lambda b, f: b.remove_record("e", None),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", BAD_CALLS)
async def test_wrong_types(flavour: Flavour, what: str) -> None:
    answers = Answers(Answer())
    bucket = flavour.client(URL, transport=answers.transport).bucket("bucket")
    with pytest.raises(TypeError):
        await BAD_CALLS[what](bucket, flavour)
    assert answers.requests == []


def test_asynchronous_data_in_the_blocking_flavour() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b""

    answers = Answers(Answer())
    with reduct_sync.Client(URL, transport=answers.transport) as client:
        with pytest.raises(TypeError, match="reduct_async takes it"):
            client.bucket("bucket").write("entry", chunks(), content_length=0)
    assert answers.requests == []


# --- times ---------------------------------------------------------------------------------

BAD_TIMES: list[tuple[Any, type[Exception]]] = [
    (-1, ValueError),
    (2**64, ValueError),
    (-0.5, ValueError),
    (1e300, ValueError),
    (float("nan"), ValueError),
    (float("inf"), ValueError),
    (True, TypeError),
    (date(2026, 1, 1), TypeError),
    (timedelta(1), TypeError),
    (datetime(1969, 12, 31, tzinfo=UTC), ValueError),
    (datetime.min, ValueError),
    (datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), ValueError),
    (datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))), ValueError),
    ("yesterday", ValueError),
    ("", ValueError),
    ("1700000000", ValueError),
    (b"2026-01-01", TypeError),
    ([], TypeError),
]

TIMED: dict[str, Callable[[Bucket, Any], Awaitable[Any]]] = {
    "write": lambda b, time: b.write("e", b"x", time),
    "update": lambda b, time: b.update("e", time, {"a": "1"}),
    "remove_record": lambda b, time: b.remove_record("e", time),
    "remove_query start": lambda b, time: b.remove_query("e", start=time),
    "remove_query stop": lambda b, time: b.remove_query("e", stop=time),
    "query start": lambda b, time: records(b.query("e", start=time)),
    "query stop": lambda b, time: records(b.query("e", stop=time)),
    "subscribe": lambda b, time: records(b.subscribe("e", start=time)),
    "create_query_link": lambda b, time: b.create_query_link("e", record_timestamp=time),
    "expire_at": lambda b, time: b.create_query_link("e", expire_at=time),
}


@pytest.mark.parametrize("call", TIMED)
async def test_wrong_times(flavour: Flavour, call: str) -> None:
    answers = Answers(Answer())
    bucket = flavour.client(URL, transport=answers.transport).bucket("bucket")
    for time, expected in BAD_TIMES:
        with pytest.raises(expected):
            await TIMED[call](bucket, time)
    assert answers.requests == []


async def test_wrong_times_in_batches(flavour: Flavour) -> None:
    for time, expected in BAD_TIMES:
        with pytest.raises(expected):
            flavour.package.Batch().add(time, b"x")
        with pytest.raises(expected):
            flavour.package.RecordBatch().add("e", time, b"x")


async def test_naive_and_far_away_times(bucket: Bucket) -> None:
    """Naive is local time, as everywhere in Python; the year 9999 is as good as any."""
    naive = datetime(2026, 7, 1, 12, 30, 0, 123456)
    far = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    for moment in (naive, far, 0, "1970-01-01T00:00:00.000001Z"):
        await bucket.write("entry", b"data", moment)
    found = [record async for record in bucket.query("entry")]
    assert [record.timestamp for record in found[:2]] == [0, 1]
    assert found[2].time == naive.astimezone(UTC)
    assert found[2].get_datetime() == naive
    assert found[3].time == far
    assert await bucket.remove_query("entry", start=far) == 1


# --- labels --------------------------------------------------------------------------------


async def write_single(bucket: Bucket, flavour: Flavour, labels: Any) -> None:
    await bucket.write("entry", b"x", 1, labels=labels)


async def write_v1(bucket: Bucket, flavour: Flavour, labels: Any) -> None:
    batch: Batch = flavour.package.Batch()
    batch.add(1, b"x", labels=labels)
    assert await bucket.write_batch("entry", batch) == {}


async def write_v2(bucket: Bucket, flavour: Flavour, labels: Any) -> None:
    batch: RecordBatch = flavour.package.RecordBatch()
    batch.add("entry", 1, b"x", labels=labels)
    batch.add("other", 1, b"y", labels=labels)
    assert await bucket.write_record_batch(batch) == {}


async def write_and_update(bucket: Bucket, flavour: Flavour, labels: Any) -> None:
    await bucket.write("entry", b"x", 1)
    await bucket.update("entry", 1, labels)


writing = pytest.mark.parametrize("write", [write_single, write_v1, write_v2, write_and_update])


@writing
@pytest.mark.parametrize(
    "value", ["a, b", 'say "x"', '{"json": 1}', "k=v,k2=v2", "a" * 10_000, "%41", "&x", "true"]
)
async def test_odd_labels(bucket: Bucket, flavour: Flavour, write: Any, value: str) -> None:
    labels = {"odd": value, "plain": "1"}
    await write(bucket, flavour, labels)
    async with bucket.read("entry") as record:
        assert record.labels == labels
    assert [record.labels async for record in bucket.query("entry")] == [labels]
    assert [record.labels async for record in bucket.query(["entry", "none"])] == [labels]


@writing
@pytest.mark.parametrize(
    "labels",
    [
        {"a": "two\nlines"},
        {"a": "tab\0"},
        {"a": "größe"},
        {"größe": "1"},
        {"a b": "1"},
        {"": "1"},
        {"a": " spaces "},
        {"a": "x" * 600_000},
    ],
)
async def test_labels_that_cannot_be_stored(
    flavour: Flavour, write: Any, labels: dict[str, str]
) -> None:
    answers = Answers(Answer())
    bucket = flavour.client(URL, transport=answers.transport).bucket("bucket")
    with pytest.raises(ValueError, match="label"):
        await write(bucket, flavour, labels)
    assert [request for request in answers.requests if "label" in str(request.headers)] == []


# --- lengths -------------------------------------------------------------------------------


def narrow(flavour: Flavour, server: Server) -> Client:
    """Return a client of one connection: one that leaks makes the next call fail."""
    return flavour.client(
        server.url,
        limits=httpx.Limits(max_connections=1),
        timeout=httpx.Timeout(DEADLINE, pool=5),
        retry=None,
    )


@pytest.mark.parametrize("size", [0, 10, 70_000, 700_000])
@pytest.mark.parametrize("announced", [-1, 1, 1000])
async def test_wrong_content_length(
    flavour: Flavour, server: Server, bucket: Bucket, size: int, announced: int
) -> None:
    """Nothing is stored as if it were complete, and the connection is as good as before."""
    if size + announced < 0:
        announced = 1
    bucket = narrow(flavour, server).bucket(bucket.name)
    with pytest.raises(ValueError, match=f"content_length={size + announced}"):
        await bucket.write("entry", pieces_of(size), 1, content_length=size + announced)
    await bucket.write("entry", b"next", 2)
    assert await records(bucket.query("entry")) == [("entry", 2)]
    with pytest.raises(ReductError) as caught:
        await read(bucket, 1)
    # Not there, not yet given up, or errored: never a record.
    assert caught.value.status_code in (404, 425, 500)


def pieces_of(size: int) -> Iterator[bytes]:
    for begin in range(0, size, 1000):
        yield bytes(min(1000, size - begin))


async def read(bucket: Bucket, timestamp: int) -> bytes:
    async with bucket.read("entry", timestamp) as record:
        return await record.read_all()


# --- reading twice, late, and not to the end -----------------------------------------------


async def test_records_after_the_client_was_closed(flavour: Flavour, server: Server) -> None:
    client = flavour.client(server.url)
    bucket = await client.create_bucket(f"test-{uuid.uuid4().hex}")
    for timestamp in range(3):
        await bucket.write("entry", b"data", timestamp)
    found = [record async for record in bucket.query("entry")]
    query = bucket.query("entry")
    waiting = bucket.subscribe("entry")
    first = await anext(query)
    await bucket.remove()
    await client.close()
    for record in [*found, first]:
        assert await record.read_all() == await record.read_all() == b"data"
        assert [piece async for piece in record.read(3)] == [b"dat", b"a"]
    # What was received is handed out; nothing is asked for any more.
    assert await records(query) == [("entry", 1), ("entry", 2)]
    with pytest.raises(TransportError, match="the client is closed"):
        await anext(waiting)


async def test_closing_while_a_payload_is_streamed(
    flavour: Flavour, server: Server, bucket: Bucket
) -> None:
    await bucket.write("entry", bytes(LARGE), 1)
    client = flavour.client(server.url)
    error = None
    try:
        async with client.bucket(bucket.name).read("entry") as record:
            await anext(record.read(1000))
            await client.close()
            with pytest.raises(ReductError):
                await record.read_all()
    except ReductError as exc:
        error = exc
    assert error is None or isinstance(error, TransportError)


@pytest.mark.parametrize("size", [4, LARGE])
@pytest.mark.parametrize("how", ["break", "exception", "close", "one piece"])
async def test_interrupted_queries_leak_nothing(
    flavour: Flavour, server: Server, bucket: Bucket, size: int, how: str
) -> None:
    for timestamp in range(2):
        await bucket.write("entry", bytes(size), timestamp)
    client = narrow(flavour, server)
    bucket = client.bucket(bucket.name)
    for _ in range(3):
        query = bucket.query("entry")
        try:
            async for record in query:
                if how == "exception":
                    raise ZeroDivisionError
                if how == "one piece":
                    async for _piece in record.read(2):
                        break
                break
        except ZeroDivisionError:
            pass
        if how == "close":
            await query.aclose()
        del query
        assert (await bucket.info()).name == bucket.name


@pytest.mark.parametrize("size", [4, LARGE])
async def test_left_reads_leak_nothing(
    flavour: Flavour, server: Server, bucket: Bucket, size: int
) -> None:
    await bucket.write("entry", bytes(size), 1)
    bucket = narrow(flavour, server).bucket(bucket.name)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with bucket.read("entry"):
                raise ZeroDivisionError
        async with bucket.read("entry") as record:
            await anext(record.read(2))
        async with bucket.read("entry", head=True):
            pass
        with pytest.raises(NotFoundError):
            await read(bucket, 2)


async def test_failed_writes_leak_nothing(flavour: Flavour, server: Server, bucket: Bucket) -> None:
    def body() -> Iterator[bytes]:
        yield bytes(200_000)
        raise ZeroDivisionError

    bucket = narrow(flavour, server).bucket(bucket.name)
    for timestamp in range(3):
        with pytest.raises(ZeroDivisionError):
            await bucket.write("entry", body(), timestamp, content_length=300_000)
        with pytest.raises(NotFoundError):
            await bucket.remove_record("none", 1)
    await bucket.write("entry", b"data", 9)


# --- event loops ---------------------------------------------------------------------------


def test_b25_a_client_belongs_to_one_event_loop(server: Server) -> None:
    """Its connections do, so the second loop gets one clear error; closing works there."""
    client = reduct_async.Client(server.url)
    anyio.run(client.info)
    with pytest.raises(ReductError, match="make a client for each event loop"):
        anyio.run(client.info)
    anyio.run(client.close)
    with warnings.catch_warnings():
        # Nobody can close a connection of a loop that has ended, but Python at last.
        warnings.simplefilter("ignore", ResourceWarning)
        del client
        gc.collect()


def test_b25_a_client_may_be_made_outside_of_a_loop(server: Server) -> None:
    client = reduct_async.Client(server.url)

    async def use() -> None:
        async with client:
            await client.info()

    anyio.run(use)


def test_b25_one_client_after_the_other(server: Server) -> None:
    async def use() -> None:
        async with reduct_async.Client(server.url) as client:
            await client.info()

    for backend in ("asyncio", "trio", "asyncio"):
        anyio.run(use, backend=backend)
