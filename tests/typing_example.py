"""What a type checker sees of the public calls, in both flavours; read by mypy, never run.

`assert_type` makes a table of the results. The wrong uses at the end are errors of the kinds
noted, and mypy tells where one is none any more. `test_typing.py` holds the table complete.
"""

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, assert_type

import httpx
import numpy

import reduct_async
import reduct_sync
from reduct_async import (
    BucketFullInfo,
    BucketInfo,
    BucketSettings,
    EntryInfo,
    FullTokenInfo,
    LifecycleDetailInfo,
    LifecycleInfo,
    LifecycleMode,
    LifecycleSettings,
    LifecycleType,
    Permissions,
    QuotaType,
    ReductError,
    ReplicationDetailInfo,
    ReplicationInfo,
    ReplicationMode,
    ReplicationSettings,
    Retry,
    ServerInfo,
    Status,
    Token,
    WriteReport,
)
from reduct_core.batches import Item

REPLICATION = ReplicationSettings(src_bucket="a", dst_bucket="b", dst_host="http://b")
LIFECYCLE = LifecycleSettings(bucket="a", older_than="1d")


async def client_async(client: reduct_async.Client) -> None:
    """Show the results of `reduct_async.Client`."""
    assert_type(client.api_version, tuple[int, int] | None)
    assert_type(client.transport, httpx.AsyncBaseTransport | None)
    assert_type(await client.info(), ServerInfo)
    assert_type(await client.is_alive(), bool)
    assert_type(await client.is_ready(), bool)
    assert_type(await client.wait_ready(), None)
    assert_type(await client.list(), list[BucketInfo])
    assert_type(client.bucket("name"), reduct_async.Bucket)
    assert_type(await client.get_bucket("name"), reduct_async.Bucket)
    assert_type(await client.create_bucket("name"), reduct_async.Bucket)
    assert_type(await client.get_token_list(), list[Token])
    assert_type(await client.get_token("name"), FullTokenInfo)
    assert_type(await client.create_token("name", Permissions(read=["a"])), str)
    assert_type(await client.rotate_token("name"), str)
    assert_type(await client.remove_token("name"), None)
    assert_type(await client.me(), FullTokenInfo)
    assert_type(await client.get_replications(), list[ReplicationInfo])
    assert_type(await client.get_replication_detail("name"), ReplicationDetailInfo)
    assert_type(await client.create_replication("name", REPLICATION), None)
    assert_type(await client.update_replication("name", REPLICATION), None)
    assert_type(await client.set_replication_mode("name", ReplicationMode.PAUSED), None)
    assert_type(await client.delete_replication("name"), None)
    assert_type(await client.get_lifecycles(), list[LifecycleInfo])
    assert_type(await client.get_lifecycle_detail("name"), LifecycleDetailInfo)
    assert_type(await client.create_lifecycle("name", LIFECYCLE), None)
    assert_type(await client.update_lifecycle("name", LIFECYCLE), None)
    assert_type(await client.set_lifecycle_mode("name", "disabled"), None)
    assert_type(await client.delete_lifecycle("name"), None)
    assert_type(await client.close(), None)
    async with client as entered:
        assert_type(entered, reduct_async.Client)


def client_sync(client: reduct_sync.Client) -> None:
    """Show the results of `reduct_sync.Client`."""
    assert_type(client.api_version, tuple[int, int] | None)
    assert_type(client.transport, httpx.BaseTransport | None)
    assert_type(client.info(), ServerInfo)
    assert_type(client.is_alive(), bool)
    assert_type(client.is_ready(), bool)
    assert_type(client.wait_ready(), None)
    assert_type(client.list(), list[BucketInfo])
    assert_type(client.bucket("name"), reduct_sync.Bucket)
    assert_type(client.get_bucket("name"), reduct_sync.Bucket)
    assert_type(client.create_bucket("name"), reduct_sync.Bucket)
    assert_type(client.get_token_list(), list[Token])
    assert_type(client.get_token("name"), FullTokenInfo)
    assert_type(client.create_token("name", Permissions(read=["a"])), str)
    assert_type(client.rotate_token("name"), str)
    assert_type(client.remove_token("name"), None)
    assert_type(client.me(), FullTokenInfo)
    assert_type(client.get_replications(), list[ReplicationInfo])
    assert_type(client.get_replication_detail("name"), ReplicationDetailInfo)
    assert_type(client.create_replication("name", REPLICATION), None)
    assert_type(client.update_replication("name", REPLICATION), None)
    assert_type(client.set_replication_mode("name", ReplicationMode.PAUSED), None)
    assert_type(client.delete_replication("name"), None)
    assert_type(client.get_lifecycles(), list[LifecycleInfo])
    assert_type(client.get_lifecycle_detail("name"), LifecycleDetailInfo)
    assert_type(client.create_lifecycle("name", LIFECYCLE), None)
    assert_type(client.update_lifecycle("name", LIFECYCLE), None)
    assert_type(client.set_lifecycle_mode("name", "disabled"), None)
    assert_type(client.delete_lifecycle("name"), None)
    assert_type(client.close(), None)
    with client as entered:
        assert_type(entered, reduct_sync.Client)


async def bucket_async(bucket: reduct_async.Bucket, labels: dict[str, str]) -> None:
    """Show the results of `reduct_async.Bucket`."""
    batch, several = reduct_async.Batch(), reduct_async.RecordBatch()
    assert_type(bucket.name, str)
    assert_type(await bucket.info(), BucketInfo)
    assert_type(await bucket.get_full_info(), BucketFullInfo)
    assert_type(await bucket.get_settings(), BucketSettings)
    assert_type(await bucket.set_settings(BucketSettings(quota_size=1)), None)
    assert_type(await bucket.get_entry_list(), list[EntryInfo])
    assert_type(await bucket.rename("name"), None)
    assert_type(await bucket.remove(), None)
    assert_type(await bucket.rename_entry("old", "new"), None)
    assert_type(await bucket.remove_entry("name"), None)
    manager: AbstractAsyncContextManager[reduct_async.Record] = bucket.read("entry")
    assert_type(await manager.__aenter__(), reduct_async.Record)
    assert_type(bucket.query("entry"), AsyncGenerator[reduct_async.Record, None])
    assert_type(bucket.subscribe("entry"), reduct_async.Subscription)
    assert_type(await bucket.write("entry", b"data", labels=labels), None)
    assert_type(await bucket.write_batch("entry", batch), dict[int, ReductError])
    assert_type(await bucket.write_record_batch(several), dict[str, dict[int, ReductError]])
    assert_type(bucket.writer(), reduct_async.Writer)
    assert_type(await bucket.write_many([("entry", b"data", 1)]), WriteReport)
    assert_type(await bucket.write_many(bucket.query("entry")), WriteReport)
    assert_type(bucket.read_many([("entry", 1)]), AsyncGenerator[reduct_async.Record, None])
    assert_type(await bucket.upload("entry", "path", progress=print), int)
    assert_type(await bucket.download("entry", None, "path", progress=True), reduct_async.Record)
    assert_type(await bucket.update("entry", 1, {"a": 1, "b": None}), None)
    assert_type(await bucket.update_batch("entry", batch), dict[int, ReductError])
    assert_type(await bucket.update_record_batch(several), dict[str, dict[int, ReductError]])
    assert_type(await bucket.remove_record("entry", 1), None)
    assert_type(await bucket.remove_batch("entry", batch), dict[int, ReductError])
    assert_type(await bucket.remove_record_batch(several), dict[str, dict[int, ReductError]])
    assert_type(await bucket.remove_query("entry", start=1), int)
    assert_type(await bucket.create_query_link("entry"), str)
    assert_type(await bucket.write_attachments("entry", {"key": [1]}), None)
    assert_type(await bucket.read_attachments("entry"), dict[str, Any])
    assert_type(await bucket.remove_attachments("entry"), None)


def bucket_sync(bucket: reduct_sync.Bucket, labels: dict[str, str]) -> None:
    """Show the results of `reduct_sync.Bucket`."""
    batch, several = reduct_sync.Batch(), reduct_sync.RecordBatch()
    assert_type(bucket.name, str)
    assert_type(bucket.info(), BucketInfo)
    assert_type(bucket.get_full_info(), BucketFullInfo)
    assert_type(bucket.get_settings(), BucketSettings)
    assert_type(bucket.set_settings(BucketSettings(quota_size=1)), None)
    assert_type(bucket.get_entry_list(), list[EntryInfo])
    assert_type(bucket.rename("name"), None)
    assert_type(bucket.remove(), None)
    assert_type(bucket.rename_entry("old", "new"), None)
    assert_type(bucket.remove_entry("name"), None)
    manager: AbstractContextManager[reduct_sync.Record] = bucket.read("entry")
    assert_type(manager.__enter__(), reduct_sync.Record)
    assert_type(bucket.query("entry"), Generator[reduct_sync.Record, None, None])
    assert_type(bucket.subscribe("entry"), reduct_sync.Subscription)
    assert_type(bucket.write("entry", b"data", labels=labels), None)
    assert_type(bucket.write_batch("entry", batch), dict[int, ReductError])
    assert_type(bucket.write_record_batch(several), dict[str, dict[int, ReductError]])
    assert_type(bucket.writer(), reduct_sync.Writer)
    assert_type(bucket.write_many([("entry", b"data", 1)]), WriteReport)
    assert_type(bucket.write_many(bucket.query("entry")), WriteReport)
    assert_type(bucket.read_many([("entry", 1)]), Generator[reduct_sync.Record, None, None])
    assert_type(bucket.upload("entry", "path", progress=print), int)
    assert_type(bucket.download("entry", None, "path", progress=True), reduct_sync.Record)
    assert_type(bucket.update("entry", 1, {"a": 1, "b": None}), None)
    assert_type(bucket.update_batch("entry", batch), dict[int, ReductError])
    assert_type(bucket.update_record_batch(several), dict[str, dict[int, ReductError]])
    assert_type(bucket.remove_record("entry", 1), None)
    assert_type(bucket.remove_batch("entry", batch), dict[int, ReductError])
    assert_type(bucket.remove_record_batch(several), dict[str, dict[int, ReductError]])
    assert_type(bucket.remove_query("entry", start=1), int)
    assert_type(bucket.create_query_link("entry"), str)
    assert_type(bucket.write_attachments("entry", {"key": [1]}), None)
    assert_type(bucket.read_attachments("entry"), dict[str, Any])
    assert_type(bucket.remove_attachments("entry"), None)


async def records_async(bucket: reduct_async.Bucket) -> None:
    """Show what `reduct_async` gives of records."""
    async with bucket.read("entry", timestamp=1) as record:
        assert_type(record, reduct_async.Record)
        assert_type(await record.read_all(), bytes)
        assert_type(record.read(1024), AsyncGenerator[bytes, None])
    async for record in bucket.query("entry"):
        assert_type(record, reduct_async.Record)
    async with bucket.subscribe("entry") as subscription:
        assert_type(subscription, reduct_async.Subscription)
        assert_type(subscription.cursors, dict[str, int])
        async for record in subscription:
            assert_type(record, reduct_async.Record)
        assert_type(await subscription.close(), None)


def records_sync(bucket: reduct_sync.Bucket) -> None:
    """Show what `reduct_sync` gives of records."""
    with bucket.read("entry", timestamp=1) as record:
        assert_type(record, reduct_sync.Record)
        assert_type(record.read_all(), bytes)
        assert_type(record.read(1024), Generator[bytes, None, None])
    for record in bucket.query("entry"):
        assert_type(record, reduct_sync.Record)
    with bucket.subscribe("entry") as subscription:
        assert_type(subscription, reduct_sync.Subscription)
        assert_type(subscription.cursors, dict[str, int])
        for record in subscription:
            assert_type(record, reduct_sync.Record)
        assert_type(subscription.close(), None)


def metadata(record: reduct_async.Record | reduct_sync.Record) -> None:
    """Show the attributes of records, the same in both flavours."""
    assert_type(record.timestamp, int)
    assert_type(record.entry, str)
    assert_type(record.size, int)
    assert_type(record.content_type, str)
    assert_type(record.labels, dict[str, str])
    assert_type(record.computed, dict[str, str])
    assert_type(record.last, bool)
    assert_type(record.time, datetime)
    assert_type(record.get_datetime(), datetime)


def batches(
    ours: reduct_async.Batch, blocking: reduct_sync.Batch, several: reduct_async.RecordBatch
) -> None:
    """Show what batches give."""
    assert_type(ours.add(1, b"data", labels={"a": 1}), None)
    assert_type(several.add("entry", 1, b"data", on_duplicate="shift"), None)
    assert_type(ours.items(), list[tuple[tuple[str | None, int], reduct_async.Record]])
    assert_type(blocking.items(), list[tuple[tuple[str | None, int], reduct_sync.Record]])
    assert_type(ours.contents(), Mapping[tuple[str | None, int], Item])
    assert_type(ours.size, int)
    assert_type(ours.last_access, float)
    assert_type(ours.clear(), None)
    assert_type(len(several), int)


def models(info: BucketInfo, settings: BucketSettings, error: ReductError) -> None:
    """Show attributes of models and errors."""
    assert_type(info.name, str)
    assert_type(info.size, int)
    assert_type(info.status, Status)
    assert_type(settings.quota_type, QuotaType | None)
    assert_type(settings.quota_size, int | None)
    assert_type(settings.to_dict(), dict[str, Any])
    assert_type(BucketSettings.from_dict({}), BucketSettings)
    assert_type(LIFECYCLE.type, LifecycleType)
    assert_type(LIFECYCLE.mode, LifecycleMode | None)
    assert_type(error.status_code, int)
    assert_type(error.message, str)
    assert_type(error.method, str | None)


async def arguments(bucket: reduct_async.Bucket, blocking: reduct_sync.Bucket) -> None:
    """Show what may be passed; nothing here is an error."""
    for time in (1, 1.5, "2026-01-01", datetime.now(), Decimal("1.5"), numpy.int64(1)):
        await bucket.write("entry", b"data", time)
        await bucket.write("entry", b"data", timestamp=time)
    await bucket.write("entry", numpy.datetime64(1, "s").tobytes(), numpy.datetime64(1, "s"))
    await bucket.write("entry", Path("file"), labels={"a": True, "b": 1.5, "c": numpy.float32(1)})
    await bucket.write("entry", bytearray(), labels={"a": 1})
    bucket.query(["a", "b*"], when={"&a": {"$eq": 1}}, include={"a": 1}, missing="warn")
    bucket.query(("a", "b"), 0, "2026-01-01", 5.5, ext=[{"name": {}}], limit=1)
    bucket.subscribe("entry", "now", 0.5)
    bucket.subscribe("entry", {"entry": 1})
    with open("file", "rb") as file:
        blocking.write("entry", file, labels=None)
    blocking.write("entry", iter([b"a"]), content_length=1)
    reduct_async.Client("http://a", "token", 5, {"a": "b"}, ca_cert=Path("ca"), retry=None)
    reduct_sync.Client("http://a", timeout=httpx.Timeout(5), client_cert=("cert", "key"))
    reduct_sync.Client("http://a", transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    reduct_sync.Client("http://a", retry=Retry(attempts=2), limits=httpx.Limits())


async def wrong_async(client: reduct_async.Client, bucket: reduct_async.Bucket) -> None:
    """Show uses that are errors."""
    client.info()  # type: ignore[unused-coroutine]
    client.inof()  # type: ignore[attr-defined]
    await client.get_bucket(5)  # type: ignore[arg-type]
    await client.create_bucket("name", {"quota_size": 1})  # type: ignore[arg-type]
    await client.create_token("name", Permissions(), expire_at=5)  # type: ignore[call-arg]
    await client.create_token("name", Permissions(), datetime.now())  # type: ignore[call-arg]
    await client.set_replication_mode("name", 1)  # type: ignore[arg-type]
    await bucket.write("entry", b"", 1, None, {"a": 1})  # type: ignore[call-arg]
    await bucket.write("entry", b"", lables={})  # type: ignore[call-arg]
    await bucket.write("entry", b"", timestamp=[])  # type: ignore[arg-type]
    await bucket.write("entry", b"", content_length="5")  # type: ignore[arg-type]
    await bucket.write_batch("entry", reduct_async.RecordBatch())  # type: ignore[arg-type]
    await bucket.write_batch("entry", reduct_sync.Batch())  # type: ignore[arg-type]
    await bucket.remove_query("entry", each_n=2)  # type: ignore[arg-type]
    bucket.query("entry", strat=1)  # type: ignore[call-arg]
    bucket.query("entry", missing="no")  # type: ignore[arg-type]
    bucket.query(5)  # type: ignore[arg-type]
    for _ in bucket.query("entry"):  # type: ignore[attr-defined]
        pass
    with bucket.read("entry"):  # type: ignore[attr-defined]
        pass
    async with bucket.read("entry") as record:
        record.read_all().decode()  # type: ignore[attr-defined]
        record.timestamp = 5  # type: ignore[misc]
    reduct_async.Client()  # type: ignore[call-arg]
    reduct_async.Client("http://a", session=object())  # type: ignore[arg-type]
    reduct_async.Client("http://a", transport=httpx.HTTPTransport())  # type: ignore[arg-type]
    reduct_async.Batch().add(1, on_duplicate="keep")  # type: ignore[arg-type]


def wrong_sync(client: reduct_sync.Client, bucket: reduct_sync.Bucket) -> None:
    """Show uses that are errors."""
    client.inof()  # type: ignore[attr-defined]
    client.get_bucket(5)  # type: ignore[arg-type]
    bucket.write("entry", b"", lables={})  # type: ignore[call-arg]
    bucket.write_batch("entry", reduct_async.Batch())  # type: ignore[arg-type]
    bucket.query("entry", limit="5")  # type: ignore[arg-type]
    with bucket.read("entry") as record:
        record.read_all().encode()  # type: ignore[attr-defined]
    record.read(n="5")  # type: ignore[arg-type]
    reduct_sync.Client("http://a", transport=httpx.AsyncHTTPTransport())  # type: ignore[arg-type]
    reduct_sync.Client("http://a", verify=False)  # type: ignore[call-arg]
