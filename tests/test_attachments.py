"""Attachments on a server: JSON documents of an entry, by key."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduct_async import Bucket, Client, NotFoundError
from tests.flavours import Flavour
from tests.recording import Recorder
from tests.servers import Server
from tests.stored import contents, keys, write_all

documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)

odd_keys = st.sampled_from(["1", "true", "m1", "5s", "&x", "@x", "$x", "a b", "a,b", '"q"', "x=y"])
attachment_keys = odd_keys | st.text("abcXYZ019_.-/", min_size=1, max_size=8)


@given(
    first=st.dictionaries(attachment_keys, documents, max_size=4),
    second=st.dictionaries(attachment_keys, documents, max_size=4),
    gone=st.lists(attachment_keys, max_size=3),
)
@settings(max_examples=30)
async def test_attachments_are_a_dict(
    bucket: Bucket, first: dict[str, Any], second: dict[str, Any], gone: list[str]
) -> None:
    """Keys are compared as text, also where the server would take them for something else."""
    await bucket.remove_attachments("entry")
    await bucket.write_attachments("entry", first)
    assert await bucket.read_attachments("entry") == first
    await bucket.write_attachments("entry", second)
    expected = first | second
    assert await bucket.read_attachments("entry") == expected
    await bucket.remove_attachments("entry", gone)
    expected = {key: value for key, value in expected.items() if key not in gone}
    assert await bucket.read_attachments("entry") == expected
    await bucket.remove_attachments("entry")
    assert await bucket.read_attachments("entry") == {}


async def test_attachments_stay_out_of_the_records(bucket: Bucket) -> None:
    await write_all(bucket, "entry", 1)
    await bucket.write_attachments("entry", {"schema": {"unit": "mm"}})
    assert await keys(bucket.query("*")) == [("entry", 1)]
    assert [entry.name for entry in await bucket.get_entry_list()] == ["entry"]
    await bucket.remove_query("*", everything=True)
    assert await bucket.read_attachments("entry") == {"schema": {"unit": "mm"}}


async def test_an_entry_that_does_not_exist(bucket: Bucket) -> None:
    assert await bucket.read_attachments("entry") == {}
    await bucket.remove_attachments("entry")
    await bucket.remove_attachments("entry", ["key"])
    assert await bucket.get_entry_list() == []
    await bucket.write_attachments("entry", {"key": 1})
    assert [entry.name for entry in await bucket.get_entry_list()] == ["entry"]


async def test_a_missing_bucket(client: Client) -> None:
    bucket = client.bucket("no-such")
    for call in (bucket.read_attachments, bucket.remove_attachments):
        with pytest.raises(NotFoundError, match="no-such"):
            await call("entry")
    with pytest.raises(NotFoundError, match="no-such"):
        await bucket.write_attachments("entry", {"key": 1})


async def test_many_attachments(bucket: Bucket) -> None:
    many = {f"key-{n}": {"n": n} for n in range(120)}
    await bucket.write_attachments("a/b", many)
    assert await bucket.read_attachments("a/b") == many
    await bucket.remove_attachments("a/b", [f"key-{n}" for n in range(1, 120)])
    assert await bucket.read_attachments("a/b") == {"key-0": {"n": 0}}


async def test_attachments_are_written_one_by_one(
    flavour: Flavour, server: Server, bucket: Bucket
) -> None:
    """Replacing removes the older record, and the server loses records of the same request."""
    recorder = Recorder(flavour)
    recorded = flavour.client(server.url, transport=recorder.transport).bucket(bucket.name)
    for _ in range(2):
        await recorded.write_attachments("entry", {"a": 1, "b": 2, "c": 3})
    assert len(recorder.sent) == 6
    assert {request.method for request in recorder.requests} == {"POST"}
    assert await bucket.read_attachments("entry") == {"a": 1, "b": 2, "c": 3}


async def test_attachments_of_an_entry_and_of_those_below(bucket: Bucket) -> None:
    await bucket.write_attachments("a", {"key": "a"})
    await bucket.write_attachments("a/b", {"key": "b"})
    await bucket.remove_attachments("a")
    assert await bucket.read_attachments("a") == {}
    assert await bucket.read_attachments("a/b") == {"key": "b"}


async def test_they_are_json_to_others(bucket: Bucket) -> None:
    await bucket.write_attachments("entry", {"key": {"text": "é"}})
    (stored,) = await contents(bucket.query("entry/$meta"))
    assert (stored.content_type, stored.labels) == ("application/json", {"key": "key"})
    assert json.loads(stored.data) == {"text": "é"}


async def test_unknown_keys_and_an_empty_list_remove_nothing(bucket: Bucket) -> None:
    await bucket.write_attachments("entry", {"key": 1})
    await bucket.remove_attachments("entry", [])
    await bucket.remove_attachments("entry", ["other", "ke", "key1"])
    assert await bucket.read_attachments("entry") == {"key": 1}


@pytest.mark.parametrize(
    ("attachments", "error", "text"),
    [
        ([("key", 1)], TypeError, "attachments"),
        ("key", TypeError, "attachments"),
        (None, TypeError, "attachments"),
        ({"": 1}, ValueError, "key"),
        ({1: 1}, ValueError, "key"),
        ({"ä": 1}, ValueError, "key"),
        ({"a\nb": 1}, ValueError, "key"),
        ({"key": b"bytes"}, TypeError, "'key'"),
        ({"key": {1, 2}}, TypeError, "'key'"),
        ({"key": float("nan")}, ValueError, "'key'"),
        ({"good": 1, "key": object()}, TypeError, "'key'"),
    ],
)
async def test_what_is_not_sent(
    flavour: Flavour,
    server: Server,
    attachments: Any,
    error: type[Exception],
    text: str,
) -> None:
    recorder = Recorder(flavour)
    bucket = flavour.client(server.url, transport=recorder.transport).bucket("bucket")
    with pytest.raises(error, match=text):
        await bucket.write_attachments("entry", attachments)
    assert recorder.sent == []


@pytest.mark.parametrize("name", ["", "..", "a//b", "a/$meta", "$meta"])
async def test_names_stay_in_their_place(flavour: Flavour, server: Server, name: str) -> None:
    recorder = Recorder(flavour)
    bucket = flavour.client(server.url, transport=recorder.transport).bucket("bucket")
    for call in (bucket.read_attachments, bucket.remove_attachments):
        with pytest.raises(ValueError, match="entry"):
            await call(name)
    with pytest.raises(ValueError, match="entry"):
        await bucket.write_attachments(name, {"key": 1})
    assert recorder.sent == []


@pytest.mark.parametrize(
    ("gone", "error"), [("key", TypeError), ([""], ValueError), ([None], ValueError)]
)
async def test_keys_to_remove_are_checked(
    bucket: Bucket, gone: Any, error: type[Exception]
) -> None:
    await bucket.write_attachments("entry", {"key": 1, "k": 2})
    with pytest.raises(error, match="key"):
        await bucket.remove_attachments("entry", gone)
    assert await bucket.read_attachments("entry") == {"key": 1, "k": 2}


async def test_a_foreign_attachment_that_is_no_json(bucket: Bucket, flavour: Flavour) -> None:
    await bucket.write("entry/$meta", b"{", 1, labels={"key": "broken"})
    with pytest.raises(flavour.package.ProtocolError, match="'broken' is not JSON"):
        await bucket.read_attachments("entry")
    await bucket.remove_attachments("entry", ["broken"])
    assert await bucket.read_attachments("entry") == {}
