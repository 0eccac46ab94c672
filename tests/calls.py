"""Every public call that talks to a server, with arguments that are right.

`CALLS` gives each a name and a function that makes the call and takes all that it gives, so that
a test can show every call the same trouble. `test_trouble.py` holds the table complete.
"""

import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import httpx
import pytest
from attrs import frozen

import reduct_async._io
import reduct_async._query
import reduct_sync._io
import reduct_sync._query
from reduct_async import (
    BucketSettings,
    Client,
    FailedRecord,
    LifecycleMode,
    LifecycleSettings,
    Permissions,
    ReplicationMode,
    ReplicationSettings,
    WriteError,
)
from reduct_core.errors import ReductError
from tests.flavours import Flavour

Call: TypeAlias = Callable[[Client, Flavour], Awaitable[Any]]


def of_client(method: str, *args: Any, **kwargs: Any) -> Call:
    """Return a call of a coroutine method of the client."""

    async def call(client: Client, flavour: Flavour) -> Any:
        return await getattr(client, method)(*args, **kwargs)

    return call


def of_bucket(method: str, *args: Any, **kwargs: Any) -> Call:
    """Return a call of a coroutine method of a bucket."""

    async def call(client: Client, flavour: Flavour) -> Any:
        return await getattr(client.bucket("bucket"), method)(*args, **kwargs)

    return call


def with_batch(method: str, *args: Any) -> Call:
    """Return a call that takes a batch of the flavour with two records."""

    async def call(client: Client, flavour: Flavour) -> Any:
        batch = flavour.package.Batch()
        batch.add(1, b"one", labels={"a": "1"})
        batch.add(2, b"two")
        return await getattr(client.bucket("bucket"), method)(*args, batch)

    return call


def with_record_batch(method: str) -> Call:
    """Return a call that takes a batch of the flavour with records of two entries."""

    async def call(client: Client, flavour: Flavour) -> Any:
        batch = flavour.package.RecordBatch()
        batch.add("entry-1", 1, b"one", labels={"a": "1"})
        batch.add("entry-2", 2, b"two")
        return await getattr(client.bucket("bucket"), method)(batch)

    return call


def reading(*args: Any, **kwargs: Any) -> Call:
    """Return a read of one record, its payload taken."""

    async def call(client: Client, flavour: Flavour) -> Any:
        async with client.bucket("bucket").read(*args, **kwargs) as record:
            payload = None if kwargs.get("head") else await record.read_all()
            return record.timestamp, record.labels, record.computed, record.content_type, payload

    return call


def iterating(method: str, *args: Any, **kwargs: Any) -> Call:
    """Return a loop over records, at most a thousand, their payloads taken."""

    async def call(client: Client, flavour: Flavour) -> Any:
        found = []
        async for record in getattr(client.bucket("bucket"), method)(*args, limit=1000, **kwargs):
            payload = None if kwargs.get("head") else await record.read_all()
            found.append((record.entry, record.timestamp, record.labels, payload))
        return found

    return call


async def _chunks() -> AsyncIterator[bytes]:
    yield b"pay"
    yield b"load"


async def _write_stream(client: Client, flavour: Flavour) -> None:
    await client.bucket("bucket").write("entry", _chunks(), timestamp=1, content_length=7)


async def _subscribe(client: Client, flavour: Flavour) -> Any:
    subscription = client.bucket("bucket").subscribe("entry-*", poll_interval=0.001, limit=1)
    async with subscription:
        return [await record.read_all() async for record in subscription]


async def _read_many(client: Client, flavour: Flavour) -> Any:
    wanted = [("entry", 1), ("entry", None)]
    return [await r.read_all() async for r in client.bucket("bucket").read_many(wanted)]


async def _write_many(client: Client, flavour: Flavour) -> None:
    found: ReductError | None = None
    try:
        await client.bucket("bucket").write_many([("entry", b"payload", 1)])
    except WriteError as error:
        found = error.failed[0].error
    if found is not None:
        # Not within `except`: the two would be each other's cause, without end.
        raise found


async def _writer(client: Client, flavour: Flavour) -> Any:
    found: list[FailedRecord] = []
    async with client.bucket("bucket").writer(on_error=found.append) as writer:
        await writer.write("entry", b"payload", 1, labels={"a": "1"})
    return {one.timestamp: one.error for one in found}


async def _download(client: Client, flavour: Flavour) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            await client.bucket("bucket").download("entry", 1, f"{folder}/file")
        finally:
            assert set(os.listdir(folder)) <= {"file"}


_REPLICATION = ReplicationSettings(
    src_bucket="bucket",
    dst_bucket="other",
    dst_host="http://127.0.0.1:1",
    mode=ReplicationMode.PAUSED,
)
_LIFECYCLE = LifecycleSettings(bucket="bucket", older_than="1d", mode=LifecycleMode.DISABLED)

CALLS: Mapping[str, Call] = {
    "info": of_client("info"),
    "is_alive": of_client("is_alive"),
    "is_ready": of_client("is_ready"),
    "wait_ready": of_client("wait_ready", timeout=0),
    "list": of_client("list"),
    "get_bucket": of_client("get_bucket", "bucket"),
    "create_bucket": of_client("create_bucket", "bucket"),
    "create_bucket exist_ok": of_client("create_bucket", "bucket", BucketSettings(), True),
    "get_token_list": of_client("get_token_list"),
    "get_token": of_client("get_token", "token"),
    "create_token": of_client("create_token", "token", Permissions(read=["bucket"])),
    "rotate_token": of_client("rotate_token", "token"),
    "remove_token": of_client("remove_token", "token"),
    "me": of_client("me"),
    "get_replications": of_client("get_replications"),
    "get_replication_detail": of_client("get_replication_detail", "task"),
    "create_replication": of_client("create_replication", "task", _REPLICATION),
    "update_replication": of_client("update_replication", "task", _REPLICATION),
    "set_replication_mode": of_client("set_replication_mode", "task", "paused"),
    "delete_replication": of_client("delete_replication", "task"),
    "get_lifecycles": of_client("get_lifecycles"),
    "get_lifecycle_detail": of_client("get_lifecycle_detail", "policy"),
    "create_lifecycle": of_client("create_lifecycle", "policy", _LIFECYCLE),
    "update_lifecycle": of_client("update_lifecycle", "policy", _LIFECYCLE),
    "set_lifecycle_mode": of_client("set_lifecycle_mode", "policy", "disabled"),
    "delete_lifecycle": of_client("delete_lifecycle", "policy"),
    "get_full_info": of_bucket("get_full_info"),
    "bucket info": of_bucket("info"),
    "get_settings": of_bucket("get_settings"),
    "set_settings": of_bucket("set_settings", BucketSettings(quota_size=1)),
    "get_entry_list": of_bucket("get_entry_list"),
    "rename": of_bucket("rename", "new-name"),
    "remove": of_bucket("remove"),
    "rename_entry": of_bucket("rename_entry", "old", "new"),
    "remove_entry": of_bucket("remove_entry", "entry"),
    "read": reading("entry"),
    "read at": reading("entry", timestamp=1),
    "read head": reading("entry", head=True),
    "read claimed name": reading("cam/batch", timestamp=1),
    "query": iterating("query", "entry"),
    "query head": iterating("query", "entry", head=True),
    "query several": iterating("query", ["entry-1", "entry-2"]),
    "query pattern": iterating("query", "entry-*"),
    "query pattern head": iterating("query", "entry-*", head=True),
    "query missing": iterating("query", ["entry-1", "entry-2"], missing="raise"),
    "subscribe": _subscribe,
    "write": of_bucket("write", "entry", b"payload", 1, labels={"a": "1"}),
    "write stream": _write_stream,
    "write upper case": of_bucket("write", "entry", b"payload", 1, labels={"A": "1"}),
    "write_batch": with_batch("write_batch", "entry"),
    "write_record_batch": with_record_batch("write_record_batch"),
    "writer": _writer,
    "write_many": _write_many,
    "read_many": _read_many,
    "upload": of_bucket("upload", "entry", __file__, 1),
    "download": _download,
    "update": of_bucket("update", "entry", 1, {"a": "2"}),
    "update upper case": of_bucket("update", "entry", 1, {"A": "2"}),
    "update_batch": with_batch("update_batch", "entry"),
    "update_record_batch": with_record_batch("update_record_batch"),
    "remove_record": of_bucket("remove_record", "entry", 1),
    "remove_batch": with_batch("remove_batch", "entry"),
    "remove_record_batch": with_record_batch("remove_record_batch"),
    "remove_query": of_bucket("remove_query", "entry-*", start=1),
    "create_query_link": of_bucket("create_query_link", "entry"),
    "create_query_link at": of_bucket("create_query_link", "entry", record_timestamp=1),
    "write_attachments": of_bucket("write_attachments", "entry", {"key": [1, 2]}),
    "read_attachments": of_bucket("read_attachments", "entry"),
    "remove_attachments": of_bucket("remove_attachments", "entry"),
}

PROBES = frozenset({"is_alive", "is_ready", "wait_ready"})
"""Calls for which a server that cannot be used is an answer, not an error."""

WRITES = frozenset(
    {
        "write",
        "write stream",
        "write upper case",
        "write_batch",
        "write_record_batch",
        "writer",
        "write_many",
        "upload",
        "update",
        "update upper case",
        "update_batch",
        "update_record_batch",
        "remove_record",
        "remove_batch",
        "remove_record_batch",
        "remove_query",
        "write_attachments",
        "create_bucket",
        "create_token",
        "rotate_token",
        "remove_token",
        "create_replication",
        "update_replication",
        "delete_replication",
        "set_replication_mode",
        "create_lifecycle",
        "update_lifecycle",
        "delete_lifecycle",
        "set_lifecycle_mode",
        "set_settings",
        "rename",
        "remove",
        "rename_entry",
        "remove_entry",
    }
)
"""Calls whose first request changes something on the server."""


URL = "http://reduct.test"
"""An address for clients whose transport is not the network."""


@frozen
class Answer:
    """What a server answers, framed or not: nothing is corrected or completed.

    Headers are sent as UTF-8; other bytes are written as surrogates (``surrogateescape``).
    """

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class Answers:
    """Gives prepared answers in turn, the last one for ever, and keeps the requests.

    A loop that never ends is an AssertionError, which no client turns into something else.
    """

    most = 200

    def __init__(self, *answers: Answer) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = answers
        self.transport = httpx.MockTransport(self._handle)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        answer = self._answers[min(len(self.requests), len(self._answers) - 1)]
        self.requests.append(request)
        assert len(self.requests) <= self.most, "an endless loop"
        raw = [(_encode(name), _encode(value)) for name, value in answer.headers]
        return httpx.Response(answer.status, headers=raw, stream=httpx.ByteStream(answer.body))


def no_sleep(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let clients note the seconds they would wait, in the list returned, instead of waiting."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    for module in (reduct_async._io, reduct_async._query):
        monkeypatch.setattr(module, "sleep", sleep)
    for module in (reduct_sync._io, reduct_sync._query):
        monkeypatch.setattr(module, "sleep", pauses.append)
    return pauses


async def trouble_of(call: Call, client: Client, flavour: Flavour) -> list[ReductError]:
    """Return the error of a call, or those that it returned for single records."""
    try:
        return errors_in(await call(client, flavour))
    except ReductError as error:
        return [error]


def errors_in(result: Any) -> list[ReductError]:
    """Return the errors of single records that a batch call returned."""
    if isinstance(result, ReductError):
        return [result]
    if isinstance(result, Mapping):
        return [error for value in result.values() for error in errors_in(value)]
    return []
