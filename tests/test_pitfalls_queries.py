"""What other clients of this API get wrong: queries, tokens, links, times: B18 to B21, B30 to B39.

B14 to B17 are in test_subscribe.py, B22 to B29 in test_trouble.py.
"""

import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import anyio.to_thread
import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduct_async import Bucket, NotFoundError, PermissionDeniedError, Permissions, Record
from tests.flavours import Flavour
from tests.recording import Recorder
from tests.servers import Server
from tests.stored import contents, gone, keys, labels_of, payloads, times, write_all

# --- B18 to B21: reading, limits of answers and requests -----------------------------------


async def test_b18_every_record_stays_readable(bucket: Bucket, flavour: Flavour) -> None:
    batch = flavour.package.Batch()
    for n in range(100):
        batch.add(n, b"x" * 10)
    await bucket.write_batch("a", batch)
    records: list[Record] = [record async for record in bucket.query("a")]
    assert len(records) == 100
    for n in (84, 85, 99, 0, 99):
        assert await records[n].read_all() == b"x" * 10


async def test_b18_reading_twice_is_no_empty_payload(bucket: Bucket) -> None:
    await bucket.write("a", b"0123456789", 1)
    async for record in bucket.query("a"):
        assert [piece async for piece in record.read(4)] == [b"0123", b"4567", b"89"]
        assert await record.read_all() == b"0123456789"
        assert await record.read_all() == b"0123456789"


async def test_b19_large_labels(bucket: Bucket) -> None:
    """85 of these heads would be 850 kB, far beyond what the transport takes."""
    for n in range(30):
        await bucket.write("a", b"%d" % n, n, labels={"big": f"{n}" * 5000})
    for entries in ("a", ["a", "b"], "*"):
        found = await contents(bucket.query(entries))
        assert [r.labels["big"] for r in found] == [f"{n}" * 5000 for n in range(30)]
        assert len([r async for r in bucket.query(entries, head=True)]) == 30


async def test_b19_many_and_long_names(bucket: Bucket, flavour: Flavour) -> None:
    batch = flavour.package.RecordBatch()
    wanted = [(f"{'n' * 110}-{n:03}", n) for n in range(170)]
    for entry, timestamp in wanted:
        batch.add(entry, timestamp, labels={f"label-{timestamp}": "1"})
    await bucket.write_record_batch(batch)
    assert await keys(bucket.query("*")) == wanted


async def test_b19_more_records_than_other_clients_take(bucket: Bucket, flavour: Flavour) -> None:
    batch = flavour.package.Batch()
    for n in range(600):
        batch.add(n)
    await bucket.write_batch("a", batch)
    for entries in ("a", ["a", "b"]):
        found = await times(bucket.query(entries, when={"#batch_records": 300}))
        assert found == list(range(600))


async def test_b19_a_larger_head_is_a_clear_error(
    bucket: Bucket, flavour: Flavour, server: Server
) -> None:
    """A condition that is no object has no place for the limits."""
    client = flavour.client(server.url, transport=flavour.stock_transport())
    stock = client.bucket(bucket.name)
    for n in range(20):
        await bucket.write("a", b"", n, labels={"big": "1" * 20_000})
    with pytest.raises(flavour.package.ProtocolError, match=r"100 KiB.*#batch_records"):
        await contents(stock.query("a", when="&big"))
    assert len(await contents(bucket.query("a", when="&big"))) == 20
    assert len(await contents(bucket.query("a", when={"&big": {"$gt": 0}}))) == 20


@pytest.mark.parametrize("count", [98, 250])
async def test_b20_large_batches_are_split(
    flavour: Flavour, server: Server, bucket: Bucket, count: int
) -> None:
    """With as many headers of the user as are allowed."""
    extra = {f"x-extra-{n}": "1" for n in range(8)}
    client = flavour.client(server.url, "unused-token", extra_headers=extra)
    one, many = flavour.package.Batch(), flavour.package.RecordBatch()
    for n in range(count):
        one.add(n, b"x", labels={"a": n})
        many.add("bc"[n % 2], n, b"x", labels={"a": n})
    writer = client.bucket(bucket.name)
    assert await writer.write_batch("a", one) == {}
    assert await writer.write_record_batch(many) == {}
    assert await times(bucket.query("a")) == list(range(count))
    assert len(await times(bucket.query(["b", "c"]))) == count
    assert await writer.update_batch("a", one) == {}
    assert await writer.update_record_batch(many) == {}
    assert await writer.remove_batch("a", one) == {}
    assert await writer.remove_record_batch(many) == {}
    assert await times(bucket.query("*")) == []


async def test_b21_a_token_that_may_only_write(flavour: Flavour, auth_server: Server) -> None:
    admin = flavour.client(auth_server.url, auth_server.token)
    bucket = await admin.create_bucket(f"b21-{uuid.uuid4().hex}")
    value = await admin.create_token(f"b21-{uuid.uuid4().hex}", Permissions(write=[bucket.name]))
    writer = flavour.client(auth_server.url, value)
    for handle in (
        writer.bucket(bucket.name),
        await writer.get_bucket(bucket.name),
        await writer.create_bucket(bucket.name, exist_ok=True),
    ):
        await handle.write("a", b"data")
    assert len(await times(bucket.query("a"))) == 3
    with pytest.raises(PermissionDeniedError, match="full access"):
        await writer.create_bucket(f"new-{uuid.uuid4().hex}", exist_ok=True)
    with pytest.raises(PermissionDeniedError, match="read access"):
        await contents(writer.bucket(bucket.name).query("a"))


# --- B30 to B34: tokens, links, empty and odd batches --------------------------------------


async def test_b30_tokens_expire(flavour: Flavour, auth_server: Server) -> None:
    admin = flavour.client(auth_server.url, auth_server.token)
    name = f"b30-{uuid.uuid4().hex}"
    soon = datetime.now() + timedelta(hours=1)
    wrong: Any = {"expire_at": soon}
    for arguments in (wrong, {"ttl_s": 60}, {"expires": soon}):
        with pytest.raises(TypeError, match="unexpected keyword"):
            await admin.create_token(name, Permissions(read=["b"]), **arguments)
    await admin.create_token(name, Permissions(read=["b"]), expires_at=soon, ttl=60)
    token = await admin.get_token(name)
    assert (token.expires_at, token.ttl) == (soon.astimezone(UTC), 60)


async def test_b31_links_of_a_client_that_has_not_asked_yet(
    flavour: Flavour, server: Server, bucket: Bucket
) -> None:
    await write_all(bucket, "a/b", 5)
    fresh = flavour.client(server.url).bucket(bucket.name)
    link = await fresh.create_query_link("a/b")
    assert "/links/a/b_5.bin?" in link
    answer = await anyio.to_thread.run_sync(httpx.get, link)
    assert answer.content == b"5"
    unknown: Any = {"file": "x"}
    with pytest.raises(TypeError, match="'file'"):
        await fresh.create_query_link("a/b", **unknown)


async def test_b31_links_carry_the_whole_query(recorded: Bucket, recorder: Recorder) -> None:
    await recorded.create_query_link(
        "a", 0, strict=True, ext={"x": {}}, record_timestamp=0, file_name=None
    )
    (request,) = recorder.requests
    body = json.loads(request.content)
    assert request.url.path.endswith("/links/a_0.bin")
    assert (body["query"]["start"], body["query"]["strict"]) == (0, True)
    assert body["query"]["ext"] == {"x": {}}


async def test_b32_empty_batches_do_nothing(
    recorded: Bucket, recorder: Recorder, flavour: Flavour
) -> None:
    one, many = flavour.package.Batch(), flavour.package.RecordBatch()
    assert await recorded.write_batch("a", one) == {}
    assert await recorded.update_batch("a", one) == {}
    assert await recorded.remove_batch("a", one) == {}
    assert await recorded.write_record_batch(many) == {}
    assert await recorded.update_record_batch(many) == {}
    assert await recorded.remove_record_batch(many) == {}
    await recorded.write_attachments("a", {})
    assert recorder.sent == []
    await recorded.remove_attachments("a")
    assert await recorded.get_entry_list() == []


async def test_b33_updates_and_removals_do_not_send_data(
    recorded: Bucket, recorder: Recorder, flavour: Flavour
) -> None:
    await write_all(recorded, "a", 1, 2)
    one, many = flavour.package.Batch(), flavour.package.RecordBatch()
    for timestamp in (1, 2):
        one.add(timestamp, b"other data", labels={"x": 1})
        many.add("a", timestamp, b"other data", labels={"y": 1})
    with anyio.fail_after(60):
        assert await recorded.update_batch("a", one) == {}
        assert await recorded.update_record_batch(many) == {}
        assert await labels_of(recorded, "a", 1) == {"x": "1", "y": "1"}
        assert await payloads(recorded.query("a")) == {1: b"1", 2: b"2"}
        assert await recorded.remove_batch("a", one) == {}
    assert all(not r.content for r in recorder.requests if r.method in ("PATCH", "DELETE"))


class WithoutVersion(httpx.HTTPTransport):
    """A proxy that strips the header with the version of the API."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        del response.headers["x-reduct-api"]
        return response


class AsyncWithoutVersion(httpx.AsyncHTTPTransport):
    """The same for the async flavour."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        del response.headers["x-reduct-api"]
        return response


async def test_b34_the_version_of_the_api_may_be_unknown(
    flavour: Flavour, server: Server, bucket: Bucket
) -> None:
    stripped = WithoutVersion() if flavour.name == "sync" else AsyncWithoutVersion()
    client = flavour.client(server.url, transport=stripped)
    handle = client.bucket(bucket.name)
    assert await contents(handle.query("a")) == []
    batch = flavour.package.RecordBatch()
    for entry in ("a", "b"):
        batch.add(entry, 1, b"x")
    assert await handle.write_record_batch(batch) == {}
    await handle.write_attachments("a", {"key": 1})
    assert await handle.read_attachments("a") == {"key": 1}
    assert await keys(handle.query("*")) == [("a", 1), ("b", 1)]
    assert await handle.remove_query("a", 0) == 1
    assert await handle.remove_record_batch(batch) != {}
    assert client.api_version is None


# --- B35: times ----------------------------------------------------------------------------


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The local time of Berlin."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


async def test_b35_naive_times_are_local(bucket: Bucket, berlin: None) -> None:
    await bucket.write("a", b"", datetime(2024, 1, 1))
    assert await times(bucket.query("a", "2024-01-01T00:00:00", "2024-01-01T00:00:00.000001")) == [
        1_704_063_600_000_000
    ]
    async with bucket.read("a", "2023-12-31T23:00:00Z") as record:
        assert record.time == datetime(2023, 12, 31, 23, tzinfo=UTC)
        assert record.get_datetime() == datetime(2024, 1, 1)


@given(
    moment=st.datetimes(datetime(2004, 1, 1), datetime(2045, 1, 1), timezones=st.just(UTC))
    | st.datetimes(
        datetime(1971, 1, 1),
        datetime(9999, 1, 1),
        timezones=st.just(timezone(timedelta(hours=5, minutes=30))),
    )
)
@settings(max_examples=25)
async def test_b35_datetimes_are_exact(bucket: Bucket, moment: datetime) -> None:
    entry = uuid.uuid4().hex
    await bucket.write(entry, b"", moment)
    async with bucket.read(entry, moment) as record:
        assert record.time == moment
        assert record.get_datetime().astimezone(UTC) == moment
    assert len(await times(bucket.query(entry, moment, moment + timedelta(microseconds=1)))) == 1


@given(us=st.integers(1_072_915_200_000_000, 2_240_611_200_000_000))
@settings(max_examples=25)
async def test_b35_seconds_are_rounded_not_cut(bucket: Bucket, us: int) -> None:
    """Of 2004 to 2041: there, a float of seconds tells microseconds apart."""
    entry = uuid.uuid4().hex
    await bucket.write(entry, b"", us / 1_000_000)
    assert await times(bucket.query(entry)) == [us]
    exact = Fraction(us, 1_000_000)
    assert await times(bucket.query(entry, exact, exact + Fraction(1, 1_000_000))) == [us]
    decimal = Decimal(us) / 1_000_000
    assert await times(bucket.query(entry, decimal, us + 1)) == [us]


async def test_b35_times_of_numpy(bucket: Bucket) -> None:
    await bucket.write("a", b"", np.float32(1.5))
    await bucket.write("a", b"", np.datetime64("1970-01-01T00:00:02.5"))
    await bucket.write("a", b"", np.uint32(3_500_000))
    assert await times(bucket.query("a")) == [1_500_000, 2_500_000, 3_500_000]
    day: Any = date(2024, 1, 1)
    with pytest.raises(TypeError, match=r"timestamp.*\bdate\b"):
        await bucket.write("a", b"", day)


async def test_b35_the_example_of_the_documentation(bucket: Bucket) -> None:
    await bucket.write("a", b"data")
    assert len(await times(bucket.query("a", stop=time.time_ns() / 1000))) == 1


# --- B36 to B39 ----------------------------------------------------------------------------


async def test_b36_bodies_that_nobody_needs_are_not_fetched(
    recorded: Bucket, recorder: Recorder
) -> None:
    await recorded.write_attachments("a", {"key": "x" * 1000, "other": 1})
    await write_all(recorded, "a", 1, 2)
    for call in (
        lambda: recorded.remove_attachments("a", ["key"]),
        lambda: recorded.create_query_link("a", record_index=1),
        lambda: contents_of_heads(recorded),
    ):
        before = len(recorder.requests)
        await call()
        methods = [request.method for request in recorder.requests[before:]]
        assert "HEAD" in methods
        assert "GET" not in methods


async def contents_of_heads(bucket: Bucket) -> list[int]:
    """Return the sizes that a query for metadata tells."""
    return [record.size async for record in bucket.query("a", head=True)]


async def test_b36_pieces_have_the_size_asked_for(bucket: Bucket) -> None:
    data = bytes(120_000)
    await bucket.write("a", data, 1)
    await bucket.write("a", data, 2)
    async for record in bucket.query("a"):
        sizes = [len(piece) async for piece in record.read(50_000)]
        assert sizes == [50_000, 50_000, 20_000]


async def test_b37_small_chunks_are_joined(flavour: Flavour) -> None:
    """Each chunk that is sent costs the server a wake-up."""
    seen: list[int] = []

    class Chunks(httpx.BaseTransport, httpx.AsyncBaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            assert isinstance(request.stream, httpx.SyncByteStream)
            seen.extend(len(chunk) for chunk in request.stream)
            return httpx.Response(200)

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            assert isinstance(request.stream, httpx.AsyncByteStream)
            seen.extend([len(chunk) async for chunk in request.stream])
            return httpx.Response(200)

    bucket = flavour.client("http://server", transport=Chunks()).bucket("bucket")
    await bucket.write("entry", iter([b"x" * 10] * 20_000), 1, content_length=200_000)
    assert sum(seen) == 200_000
    assert all(size >= 65_536 for size in seen[:-1])


CLAIMED = ["cam/batch", "cam/q", "a/b/batch", "rename", "batch", "q", "cam/rename", "x/batch/q"]


@pytest.mark.parametrize("name", CLAIMED)
async def test_b38_names_that_the_routes_claim(bucket: Bucket, flavour: Flavour, name: str) -> None:
    parent = name.rpartition("/")[0]
    if parent:
        await write_all(bucket, parent, 1, 2)
    await bucket.write(name, b"one", 1, labels={"a": 1}, content_type="text/plain")
    await bucket.write(name, (chunk for chunk in [b"t", b"wo"]), 2, content_length=3)
    batch = flavour.package.Batch()
    batch.add(3, b"three")
    assert await bucket.write_batch(name, batch) == {}
    assert await payloads(bucket.query(name)) == {1: b"one", 2: b"two", 3: b"three"}
    async with bucket.read(name, 1) as record:
        assert (await record.read_all(), record.content_type) == (b"one", "text/plain")
    async with bucket.read(name, 2, head=True) as record:
        assert (record.entry, record.size) == (name, 3)
    with pytest.raises(NotFoundError):
        async with bucket.read(name, 4):
            pytest.fail("there is no such record")

    await bucket.update(name, 1, {"b": 2})
    assert await labels_of(bucket, name, 1) == {"a": "1", "b": "2"}
    batch.clear()
    batch.add(1, labels={"a": None})
    assert await bucket.update_batch(name, batch) == {}
    assert await labels_of(bucket, name, 1) == {"b": "2"}
    await bucket.remove_record(name, 2)
    assert await bucket.remove_batch(name, batch) == {}
    assert await times(bucket.query(name)) == [3]
    with pytest.raises(NotFoundError):
        await bucket.remove_record(name, 2)
    assert await bucket.remove_query(name, 0) == 1
    if parent:
        assert await times(bucket.query(parent)) == [1, 2]


@pytest.mark.parametrize("name", ["cam/batch", "cam/q", "rename"])
async def test_b38_what_no_call_can_do_is_refused(
    recorded: Bucket, recorder: Recorder, name: str
) -> None:
    await recorded.write(name, b"one", 1)
    before = len(recorder.sent)
    with pytest.raises(ValueError, match="rename_entry"):
        await recorded.remove_entry(name)
    with pytest.raises(ValueError, match="timestamp="):
        async with recorded.read(name):
            pytest.fail("the latest record cannot be asked for")
    assert len(recorder.sent) == before
    await recorded.rename_entry(name, "free")
    async with recorded.read("free") as record:
        assert await record.read_all() == b"one"
    await recorded.remove_entry("free")
    await gone(recorded, "free")


async def test_b39_a_misspelt_entry_can_be_told(bucket: Bucket) -> None:
    await write_all(bucket, "sensor", 1)
    assert await times(bucket.query("sensro")) == []
    for entries in ("sensro", ["sensor", "sensro"]):
        with pytest.raises(NotFoundError, match="'sensro'"):
            await times(bucket.query(entries, missing="raise"))
        with pytest.warns(UserWarning, match="'sensro'"):
            await times(bucket.query(entries, missing="warn"))
    assert await times(bucket.query("sens*", missing="raise")) == [1]
    assert await times(bucket.query("none*", missing="raise")) == []
