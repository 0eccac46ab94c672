"""The examples of the server's own client documentation, as a user of each flavour types them.

They are written natively, once for `reduct_async` and once for `reduct_sync`.
"""

import time
import uuid
from collections.abc import AsyncIterator, Iterator

import anyio
import pytest

import reduct_async
import reduct_sync
from tests.servers import Server

CHUNKS = [b"1234567890" * 100, b"abcdefghij" * 100, b"the end"]


async def data_generator() -> AsyncIterator[bytes]:
    """Yield the data asynchronously."""
    for chunk in CHUNKS:
        await anyio.sleep(0)
        yield chunk


def blocking_data_generator() -> Iterator[bytes]:
    """Yield the data."""
    yield from CHUNKS


# --- reduct_async --------------------------------------------------------------------------


@pytest.mark.anyio
async def test_async_quick_start(server: Server) -> None:
    name = f"quick-{uuid.uuid4().hex}"
    async with reduct_async.Client(server.url) as client:
        bucket = await client.create_bucket(
            name,
            reduct_async.BucketSettings(
                quota_type=reduct_async.QuotaType.FIFO, quota_size=1_000_000_000
            ),
            exist_ok=True,
        )
        now = time.time()
        await bucket.write("sensor-1", b"<Blob data>", timestamp=now, labels={"score": 10})
        await bucket.write("sensor-1", b"<Blob data>", timestamp=now + 1, labels={"score": 20})
        found = []
        async for record in bucket.query(
            "sensor-1", start=now, stop=now + 2, when={"&score": {"$gt": 10}}
        ):
            found.append((record.labels, await record.read_all()))
        assert found == [({"score": "20"}, b"<Blob data>")]
        await bucket.remove()


@pytest.mark.anyio
async def test_async_write_and_read(server: Server) -> None:
    async with reduct_async.Client(server.url) as client:
        bucket = await client.create_bucket(f"write-{uuid.uuid4().hex}")
        await bucket.write("entry-1", b"some data", timestamp="2024-01-01T00:00:00Z")
        size = sum(map(len, CHUNKS))
        await bucket.write(
            "entry-1", data_generator(), timestamp=1_704_067_201_000_000, content_length=size
        )

        async with bucket.read("entry-1", timestamp="2024-01-01T00:00:00Z") as record:
            assert record.timestamp == 1_704_067_200_000_000
            assert record.size == 9
            assert await record.read_all() == b"some data"
        async with bucket.read("entry-1") as record:
            received = b""
            async for chunk in record.read(n=1024):
                received += chunk
            assert received == b"".join(CHUNKS)

        count = 0
        async for record in bucket.query("entry-1", stop=time.time_ns() / 1000):
            async for chunk in record.read(n=1024):
                count += len(chunk)
        assert count == 9 + size
        await bucket.remove()


@pytest.mark.anyio
async def test_async_subscribe(server: Server) -> None:
    async with reduct_async.Client(server.url) as client:
        bucket = await client.create_bucket(f"subscribe-{uuid.uuid4().hex}")

        async def writer() -> None:
            for n in range(10):
                await bucket.write("entry-1", b"Some data %d" % n, labels={"good": n % 2 == 0})
                await anyio.sleep(0.01)

        async def subscriber() -> list[bytes]:
            received = []
            async for record in bucket.subscribe(
                "entry-1", poll_interval=0.05, when={"&good": {"$eq": True}}
            ):
                received.append(await record.read_all())
                if len(received) == 5:
                    break
            return received

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(writer)
                assert await subscriber() == [b"Some data %d" % n for n in (0, 2, 4, 6, 8)]
        await bucket.remove()


@pytest.mark.anyio
async def test_async_batches_and_labels(server: Server) -> None:
    async with reduct_async.Client(server.url) as client:
        bucket = await client.create_bucket(f"batch-{uuid.uuid4().hex}")
        batch = reduct_async.Batch()
        batch.add("2024-02-02T10:00:00Z", b"Records #1")
        batch.add("2024-02-02T10:00:01Z", b"Records #2")
        batch.add("2024-02-02T10:00:02Z", b"Records #3")
        errors = await bucket.write_batch("entry-1", batch)
        for timestamp, error in errors.items():
            pytest.fail(f"record {timestamp}: {error}")

        await bucket.update("entry-1", "2024-02-02T10:00:00Z", labels={"key": "value"})
        await bucket.remove_record("entry-1", "2024-02-02T10:00:01Z")
        removed = await bucket.remove_query(
            "entry-1", start="2024-02-02T10:00:02Z", stop="2024-02-02T10:00:03Z"
        )
        assert removed == 1
        (record,) = [record async for record in bucket.query("entry-1")]
        assert (record.labels, await record.read_all()) == ({"key": "value"}, b"Records #1")
        await bucket.rename_entry("entry-1", "entry-2")
        await bucket.remove_entry("entry-2")


# --- reduct_sync ---------------------------------------------------------------------------


def test_sync_quick_start(server: Server) -> None:
    name = f"quick-{uuid.uuid4().hex}"
    with reduct_sync.Client(server.url) as client:
        bucket = client.create_bucket(
            name,
            reduct_sync.BucketSettings(
                quota_type=reduct_sync.QuotaType.FIFO, quota_size=1_000_000_000
            ),
            exist_ok=True,
        )
        now = time.time()
        bucket.write("sensor-1", b"<Blob data>", timestamp=now, labels={"score": 10})
        bucket.write("sensor-1", b"<Blob data>", timestamp=now + 1, labels={"score": 20})
        found = []
        for record in bucket.query(
            "sensor-1", start=now, stop=now + 2, when={"&score": {"$gt": 10}}
        ):
            found.append((record.labels, record.read_all()))
        assert found == [({"score": "20"}, b"<Blob data>")]
        bucket.remove()


def test_sync_write_and_read(server: Server) -> None:
    with reduct_sync.Client(server.url) as client:
        bucket = client.create_bucket(f"write-{uuid.uuid4().hex}")
        bucket.write("entry-1", b"some data", timestamp="2024-01-01T00:00:00Z")
        size = sum(map(len, CHUNKS))
        bucket.write(
            "entry-1",
            blocking_data_generator(),
            timestamp=1_704_067_201_000_000,
            content_length=size,
        )

        with bucket.read("entry-1", timestamp="2024-01-01T00:00:00Z") as record:
            assert record.timestamp == 1_704_067_200_000_000
            assert record.size == 9
            assert record.read_all() == b"some data"
        with bucket.read("entry-1") as record:
            received = b""
            for chunk in record.read(n=1024):
                received += chunk
            assert received == b"".join(CHUNKS)

        count = 0
        for record in bucket.query("entry-1", stop=time.time_ns() / 1000):
            for chunk in record.read(n=1024):
                count += len(chunk)
        assert count == 9 + size
        bucket.remove()


def test_sync_subscribe(server: Server) -> None:
    with reduct_sync.Client(server.url) as client:
        bucket = client.create_bucket(f"subscribe-{uuid.uuid4().hex}")
        for n in range(5):
            bucket.write("entry-1", b"Some data %d" % n, labels={"good": n % 2 == 0})
        received = []
        for record in bucket.subscribe(
            "entry-1", poll_interval=0.05, when={"&good": {"$eq": True}}
        ):
            received.append(record.read_all())
            if len(received) == 5:
                break
            # A single-threaded program may write from within its own loop.
            n = 2 * len(received) + 4
            bucket.write("entry-1", b"Some data %d" % n, labels={"good": True})
        assert received == [b"Some data %d" % n for n in (0, 2, 4, 6, 8)]
        bucket.remove()


def test_sync_batches_and_labels(server: Server) -> None:
    with reduct_sync.Client(server.url) as client:
        bucket = client.create_bucket(f"batch-{uuid.uuid4().hex}")
        batch = reduct_sync.Batch()
        batch.add("2024-02-02T10:00:00Z", b"Records #1")
        batch.add("2024-02-02T10:00:01Z", b"Records #2")
        batch.add("2024-02-02T10:00:02Z", b"Records #3")
        errors = bucket.write_batch("entry-1", batch)
        for timestamp, error in errors.items():
            pytest.fail(f"record {timestamp}: {error}")

        bucket.update("entry-1", "2024-02-02T10:00:00Z", labels={"key": "value"})
        bucket.remove_record("entry-1", "2024-02-02T10:00:01Z")
        removed = bucket.remove_query(
            "entry-1", start="2024-02-02T10:00:02Z", stop="2024-02-02T10:00:03Z"
        )
        assert removed == 1
        (record,) = bucket.query("entry-1")
        assert (record.labels, record.read_all()) == ({"key": "value"}, b"Records #1")
        bucket.rename_entry("entry-1", "entry-2")
        bucket.remove_entry("entry-2")
