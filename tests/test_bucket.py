"""Buckets on a server: settings, statistics, entries, renaming, removing, hierarchy."""

import uuid
from typing import Any

import anyio
import pytest

from reduct_async import (
    ApiError,
    Bucket,
    BucketSettings,
    Client,
    ConflictError,
    NotFoundError,
    QuotaType,
    Status,
)
from tests.flavours import Flavour
from tests.recording import Recorder
from tests.servers import Server
from tests.stored import gone, keys, payloads, settled, times, write_all


async def entry_names(bucket: Bucket) -> list[str]:
    """Return the names of all entries that are not being removed."""
    return [e.name for e in await bucket.get_entry_list() if e.status is Status.READY]


# --- settings and statistics ---------------------------------------------------------------


async def test_settings_change_one_by_one(bucket: Bucket) -> None:
    await bucket.set_settings(BucketSettings(quota_type=QuotaType.FIFO, quota_size=10**9))
    await bucket.set_settings(BucketSettings(max_block_records=7))
    await bucket.set_settings(BucketSettings(quota_size=2 * 10**9))
    assert await bucket.get_settings() == BucketSettings(
        quota_type=QuotaType.FIFO,
        quota_size=2 * 10**9,
        max_block_size=64_000_000,
        max_block_records=7,
    )


async def test_settings_that_say_nothing_change_nothing(bucket: Bucket) -> None:
    before = await bucket.get_settings()
    await bucket.set_settings(BucketSettings())
    assert await bucket.get_settings() == before


async def test_settings_take_the_text_of_an_enumeration(bucket: Bucket) -> None:
    quota: Any = "HARD"
    await bucket.set_settings(BucketSettings(quota_type=quota))
    assert (await bucket.get_settings()).quota_type is QuotaType.HARD


async def test_settings_may_be_handed_back(bucket: Bucket) -> None:
    await bucket.set_settings(BucketSettings(quota_type=QuotaType.FIFO, quota_size=10**9))
    settings = await bucket.get_settings()
    await bucket.set_settings(settings)
    assert await bucket.get_settings() == settings


async def test_settings_must_be_settings(bucket: Bucket) -> None:
    for settings in ({"quota_size": 1}, None):
        wrong: Any = settings
        with pytest.raises(TypeError, match="settings"):
            await bucket.set_settings(wrong)


async def test_settings_that_the_server_refuses(bucket: Bucket) -> None:
    with pytest.raises(ApiError) as caught:
        await bucket.set_settings(BucketSettings(quota_size=-1))
    assert caught.value.status_code == 422


async def test_info(bucket: Bucket) -> None:
    empty = await bucket.info()
    assert (empty.name, empty.entry_count, empty.status) == (bucket.name, 0, Status.READY)
    assert (empty.latest_record, empty.is_provisioned) == (0, False)
    await write_all(bucket, "a", 10, 20)
    await write_all(bucket, "b", 5)
    info = await bucket.info()
    assert (info.entry_count, info.oldest_record, info.latest_record) == (2, 5, 20)
    assert info.size > 0


async def test_entries(bucket: Bucket) -> None:
    await write_all(bucket, "b", 10, 20, 30)
    await write_all(bucket, "a", 2**63)
    first, second = await bucket.get_entry_list()
    assert (first.name, first.record_count, first.oldest_record) == ("a", 1, 2**63)
    assert (second.name, second.record_count, second.block_count) == ("b", 3, 1)
    assert (second.oldest_record, second.latest_record) == (10, 30)
    assert second.size > 0
    assert second.status is Status.READY


async def test_full_info_is_all_of_it(bucket: Bucket) -> None:
    await write_all(bucket, "a", 10)
    full = await bucket.get_full_info()
    assert full.info == await bucket.info()
    assert full.settings == await bucket.get_settings()
    assert full.entries == await bucket.get_entry_list()


async def test_a_missing_bucket(client: Client) -> None:
    bucket = client.bucket("no-such")
    for call in (bucket.info, bucket.get_settings, bucket.get_entry_list, bucket.remove):
        with pytest.raises(NotFoundError, match="no-such"):
            await call()
    with pytest.raises(NotFoundError, match="no-such"):
        await bucket.set_settings(BucketSettings(quota_size=1))
    with pytest.raises(NotFoundError, match="no-such"):
        await bucket.rename(f"new-{uuid.uuid4().hex}")


# --- quotas --------------------------------------------------------------------------------


async def test_a_hard_quota_refuses(bucket: Bucket) -> None:
    await bucket.set_settings(BucketSettings(quota_type=QuotaType.HARD, quota_size=1000))
    with pytest.raises(ApiError, match="exceeded") as caught:
        await bucket.write("entry", bytes(2000), 1)
    assert caught.value.status_code == 400
    await bucket.write("entry", bytes(10), 1)
    assert await payloads(bucket.query("entry")) == {1: bytes(10)}


async def test_a_fifo_quota_drops_the_oldest(bucket: Bucket) -> None:
    await bucket.set_settings(
        BucketSettings(quota_type=QuotaType.FIFO, quota_size=50_000, max_block_records=1)
    )
    for timestamp in range(1, 11):
        await bucket.write("entry", bytes(10_000), timestamp)
    left = await times(bucket.query("entry"))
    assert left == list(range(11 - len(left), 11))
    assert 2 <= len(left) <= 5


# --- renaming and removing -----------------------------------------------------------------


async def test_rename(client: Client, bucket: Bucket) -> None:
    old, new = bucket.name, f"renamed-{uuid.uuid4().hex}"
    await write_all(bucket, "entry", 1)
    await bucket.rename(new)
    assert bucket.name == new
    assert await payloads(bucket.query("entry")) == {1: b"1"}
    await bucket.write("entry", b"2", 2)
    assert await times(client.bucket(new).query("entry")) == [1, 2]
    with pytest.raises(NotFoundError):
        await client.get_bucket(old)


async def test_rename_to_a_taken_name(client: Client, bucket: Bucket) -> None:
    other = await client.create_bucket(f"taken-{uuid.uuid4().hex}")
    name = bucket.name
    with pytest.raises(ConflictError, match=other.name):
        await bucket.rename(other.name)
    assert bucket.name == name
    assert (await bucket.info()).name == name


@pytest.mark.parametrize("name", ["", "a b", "a/b", "..", "ä"])
async def test_rename_to_a_bad_name(bucket: Bucket, name: str) -> None:
    before = bucket.name
    with pytest.raises(ValueError, match="bucket name"):
        await bucket.rename(name)
    assert bucket.name == before


async def test_remove(client: Client, bucket: Bucket) -> None:
    await write_all(bucket, "entry", 1)
    await bucket.remove()
    with anyio.fail_after(30):
        while bucket.name in [listed.name for listed in await client.list()]:
            await anyio.sleep(0.02)
    with pytest.raises(NotFoundError):
        await bucket.info()
    await client.create_bucket(bucket.name)
    assert await bucket.get_entry_list() == []


async def test_rename_entry(bucket: Bucket) -> None:
    await write_all(bucket, "old", 1, 2, labels={"a": 1})
    await bucket.rename_entry("old", "new")
    assert await entry_names(bucket) == ["new"]
    assert await payloads(bucket.query("new", include={"a": 1})) == {1: b"1", 2: b"2"}
    with pytest.raises(NotFoundError):
        await bucket.rename_entry("old", "newer")


async def test_rename_entry_to_a_taken_name(bucket: Bucket) -> None:
    await write_all(bucket, "a", 1)
    await write_all(bucket, "b", 2)
    with pytest.raises(ConflictError):
        await bucket.rename_entry("a", "b")
    assert await keys(bucket.query("*")) == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("name", ["", "/", "a/", "/a", "a//b", "..", "a/../b", "a b", "ä", "a.b"])
async def test_rename_entry_to_a_bad_name(bucket: Bucket, name: str) -> None:
    await write_all(bucket, "a", 1)
    with pytest.raises(ValueError, match="entry name"):
        await bucket.rename_entry("a", name)
    assert await entry_names(bucket) == ["a"]


async def test_remove_entry(bucket: Bucket) -> None:
    await write_all(bucket, "a", 1)
    await write_all(bucket, "ab", 2)
    await bucket.remove_entry("a")
    await gone(bucket, "a")
    assert await keys(bucket.query("*")) == [("ab", 2)]
    with pytest.raises(NotFoundError, match="'a'"):
        await bucket.remove_entry("a")
    await write_all(bucket, "a", 3)
    assert await times(bucket.query("a")) == [3]


async def test_attachments_are_not_removed_as_an_entry(flavour: Flavour, server: Server) -> None:
    recorder = Recorder(flavour)
    bucket = flavour.client(server.url, transport=recorder.transport).bucket("bucket")
    with pytest.raises(ValueError, match="remove_attachments"):
        await bucket.remove_entry("a/$meta")
    assert recorder.requests == []


# --- hierarchy -----------------------------------------------------------------------------


async def test_parents_are_created_and_stand_alone(bucket: Bucket) -> None:
    await write_all(bucket, "plant/line-1/camera", 1)
    assert await entry_names(bucket) == ["plant", "plant/line-1", "plant/line-1/camera"]
    assert await times(bucket.query("plant")) == []
    await write_all(bucket, "plant", 2)
    assert await keys(bucket.query("plant")) == [("plant", 2)]
    assert await keys(bucket.query("plant/line-1/camera")) == [("plant/line-1/camera", 1)]


async def test_remove_entry_takes_what_is_below(bucket: Bucket) -> None:
    for entry in ("a/b", "a/b/c", "a/b/c/d", "a/bc"):
        await write_all(bucket, entry, 1)
    await bucket.write_attachments("a/b/c", {"key": 1})
    await bucket.remove_entry("a/b")
    await gone(bucket, "a/b")
    assert await entry_names(bucket) == ["a", "a/bc"]
    assert await settled(lambda: bucket.read_attachments("a/b/c")) == {}
    assert await settled(lambda: keys(bucket.query("*"))) == [("a/bc", 1)]


async def test_rename_entry_takes_what_is_below(bucket: Bucket) -> None:
    await write_all(bucket, "a/b", 1)
    await write_all(bucket, "a/b/c", 2)
    await bucket.write_attachments("a/b", {"key": {"nested": [1, 2]}})
    await bucket.rename_entry("a/b", "x/y/z")
    assert await entry_names(bucket) == ["a", "x", "x/y", "x/y/z", "x/y/z/c"]
    assert await payloads(bucket.query("x/y/z")) == {1: b"1"}
    assert await payloads(bucket.query("x/y/z/c")) == {2: b"2"}
    assert await bucket.read_attachments("x/y/z") == {"key": {"nested": [1, 2]}}


async def test_an_entry_cannot_move_below_itself(bucket: Bucket) -> None:
    await write_all(bucket, "a", 1)
    with pytest.raises(ConflictError):
        await bucket.rename_entry("a", "a/b")
    assert await times(bucket.query("a")) == [1]
