"""Query links on a server: whoever has one can download the record, and nothing else."""

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio.to_thread
import httpx
import pytest

from reduct_async import ApiError, Bucket, NotFoundError, PermissionDeniedError, Permissions
from tests.flavours import Flavour
from tests.recording import Recorder
from tests.servers import NewServer, Server
from tests.stored import write_all


async def download(link: str) -> httpx.Response:
    """Return what a stranger gets for a link."""
    return await anyio.to_thread.run_sync(httpx.get, link)


@pytest.fixture
async def filled(bucket: Bucket) -> Bucket:
    """A bucket with records of two entries."""
    await write_all(bucket, "entry", 1, 2, 3, labels={"a": 1})
    await write_all(bucket, "deep/er", 4)
    return bucket


async def test_the_first_record(filled: Bucket, server: Server) -> None:
    link = await filled.create_query_link("entry")
    assert link.startswith(f"{server.url}/api/v1/links/entry_1.bin?")
    answer = await download(link)
    assert (answer.status_code, answer.content) == (200, b"1")
    assert answer.headers["x-reduct-label-a"] == "1"


@pytest.mark.parametrize(
    ("entries", "arguments", "expected"),
    [
        ("entry", {"record_index": 2}, b"3"),
        ("entry", {"start": 2}, b"2"),
        ("entry", {"start": 2, "record_index": 1}, b"3"),
        ("entry", {"when": {"$timestamp": {"$gt": 2}}}, b"3"),
        ("entry", {"record_timestamp": 2}, b"2"),
        ("entry", {"record_entry": "entry", "record_timestamp": 2}, b"2"),
        ("*", {"record_entry": "deep/er", "record_timestamp": 4}, b"4"),
        ("*", {"record_index": 3}, b"4"),
        ("deep/er", {}, b"4"),
        (["entry", "deep/er"], {"stop": 2}, b"1"),
    ],
)
async def test_the_chosen_record(
    filled: Bucket, entries: str | list[str], arguments: dict[str, Any], expected: bytes
) -> None:
    answer = await download(await filled.create_query_link(entries, **arguments))
    assert (answer.status_code, answer.content) == (200, expected)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("report.csv", "report.csv"),
        ("folder/a b.bin", "folder/a%20b.bin"),
        ("grün?#%.txt", "gr%C3%BCn%3F%23%25.txt"),
    ],
)
async def test_file_names(filled: Bucket, name: str, path: str) -> None:
    link = await filled.create_query_link("entry", file_name=name)
    assert f"/api/v1/links/{path}?" in link
    assert (await download(link)).content == b"1"


@pytest.mark.parametrize("name", ["", "/", "a/../b", "..", "a\n"])
async def test_bad_file_names(filled: Bucket, name: str) -> None:
    with pytest.raises(ValueError, match="file_name"):
        await filled.create_query_link("entry", file_name=name)


async def test_no_such_record(filled: Bucket) -> None:
    with pytest.raises(NotFoundError, match="3 records, none at position 3"):
        await filled.create_query_link("entry", record_index=3)
    with pytest.raises(NotFoundError, match="no-such"):
        await filled.create_query_link("no-such")


async def test_what_the_query_does_not_select_is_not_given(filled: Bucket) -> None:
    link = await filled.create_query_link("entry", 2, record_timestamp=1)
    assert (await download(link)).status_code == 404


async def test_a_link_ends(filled: Bucket) -> None:
    end = datetime.now(UTC) + timedelta(seconds=100)
    for moment in (end, end.timestamp(), end.isoformat(), round(end.timestamp() * 1_000_000)):
        link = await filled.create_query_link("entry", expire_at=moment)
        assert (await download(link)).content == b"1"
    soon = await filled.create_query_link("entry", expire_at=time.time() + 1)
    with anyio.fail_after(30):
        while (answer := await download(soon)).status_code == 200:
            await anyio.sleep(0.2)
    assert answer.status_code == 422
    for over in (1, time.time() - 1, datetime(2020, 1, 1)):
        with pytest.raises(ValueError, match=r"expire_at=.* is over"):
            await filled.create_query_link("entry", expire_at=over)


async def test_base_url(filled: Bucket) -> None:
    link = await filled.create_query_link("entry", base_url="https://example.org/store")
    assert link.startswith("https://example.org/store/api/v1/links/entry_1.bin?")
    for wrong in ("example.org", "ftp://example.org", "http://", ""):
        with pytest.raises(ValueError, match="base_url"):
            await filled.create_query_link("entry", base_url=wrong)


async def test_a_server_that_listens_everywhere(flavour: Flavour, new_server: NewServer) -> None:
    """It would name the address 0.0.0.0, where nobody finds it."""
    with new_server(env={"RS_PUBLIC_URL": "http://0.0.0.0:8383"}) as server:
        client = flavour.client(server.url)
        bucket = await client.create_bucket("bucket")
        await bucket.write("entry", b"data", 1)
        link = await bucket.create_query_link("entry")
        assert link.startswith(server.url)
        assert (await download(link)).content == b"data"


async def test_the_rights_of_a_link_are_those_of_its_maker(
    flavour: Flavour, auth_server: Server
) -> None:
    admin = flavour.client(auth_server.url, auth_server.token)
    bucket = await admin.create_bucket(f"link-{uuid.uuid4().hex}")
    await bucket.write("entry", b"data", 1)
    name = f"token-{uuid.uuid4().hex}"
    value = await admin.create_token(name, Permissions(read=[bucket.name]))
    reader = flavour.client(auth_server.url, value).bucket(bucket.name)
    link = await reader.create_query_link("entry")
    assert (await download(link)).content == b"data"
    assert value not in link
    await admin.rotate_token(name)
    assert (await download(link)).status_code == 422

    value = await admin.create_token(f"writer-{name}", Permissions(write=[bucket.name]))
    writer = flavour.client(auth_server.url, value).bucket(bucket.name)
    for chosen in (None, 1):
        with pytest.raises(PermissionDeniedError):
            await writer.create_query_link("entry", record_timestamp=chosen)


async def test_the_whole_query_is_in_the_link(
    flavour: Flavour, server: Server, filled: Bucket
) -> None:
    recorder = Recorder(flavour)
    bucket = flavour.client(server.url, transport=recorder.transport).bucket(filled.name)
    await bucket.create_query_link(
        ["entry", "e*"],
        1,
        9,
        {"&a": {"$eq": 1}},
        strict=True,
        ext={"select": {"a": [1]}},
        record_entry="entry",
        record_timestamp=2,
        expire_at=4_000_000_000.0,
    )
    (request,) = recorder.requests
    body = json.loads(request.content)
    assert body["query"] == {
        "query_type": "QUERY",
        "entries": ["entry", "e*"],
        "start": 1,
        "stop": 9,
        "ttl": body["query"]["ttl"],
        "when": {"&a": {"$eq": 1}},
        "strict": True,
        "ext": {"select": {"a": [1]}},
    }
    assert (body["bucket"], body["expire_at"]) == (filled.name, 4_000_000_000)
    assert (body["record_entry"], body["record_timestamp"]) == ("entry", 2)


async def test_extensions_are_the_servers_matter(filled: Bucket) -> None:
    with pytest.raises(ApiError, match="Unknown extension 'select'"):
        await filled.create_query_link("entry", ext={"select": {}})


@pytest.mark.parametrize(
    ("entries", "arguments"),
    [
        ("entry", {"record_index": -1}),
        ("entry", {"record_index": True}),
        ("entry", {"record_index": 1.0}),
        ("entry", {"record_index": 1, "record_timestamp": 1}),
        ("entry", {"record_entry": "entry"}),
        ("*", {"record_timestamp": 1}),
        (["a", "b"], {"record_timestamp": 1}),
        ("*", {"record_entry": "..", "record_timestamp": 1}),
    ],
)
async def test_choices_that_are_none(
    flavour: Flavour, server: Server, entries: str | list[str], arguments: dict[str, Any]
) -> None:
    recorder = Recorder(flavour)
    bucket = flavour.client(server.url, transport=recorder.transport).bucket("bucket")
    with pytest.raises(ValueError, match=r"record_|entry name"):
        await bucket.create_query_link(entries, **arguments)
    assert recorder.sent == []
