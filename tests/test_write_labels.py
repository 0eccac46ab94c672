"""Labels and content types of single records on a server: writing and updating them."""

import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduct_async import Batch, Bucket, NotFoundError
from tests.flavours import Flavour
from tests.recording import Recorder
from tests.servers import Server
from tests.stored import (
    BINARY,
    content,
    label_names,
    label_values,
    labels_of,
    write_all,
)

# --- labels and content types --------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (10, "10"),
        (-(2**70), str(-(2**70))),
        (1.5, "1.5"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (np.True_, "true"),
        (np.int8(-5), "-5"),
        (np.float32(1.5), "1.5"),
        (np.str_("numpy"), "numpy"),
        ("a" * 10_000, "a" * 10_000),
        ("a\tb", "a\tb"),
    ],
)
async def test_values_of_labels(bucket: Bucket, value: Any, text: str) -> None:
    await bucket.write("entry", b"", 1, labels={"label": value})
    async with bucket.read("entry") as record:
        assert record.labels == {"label": text}
    assert await labels_of(bucket, "entry", 1) == {"label": text}


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        ({"a": None}, ValueError),
        ({"a": Decimal(1)}, TypeError),
        ({"a": [1]}, TypeError),
        ({"a": b"1"}, TypeError),
        ({"a": "ä"}, ValueError),
        ({"a": "a\nb"}, ValueError),
        ({"a": "a\rb"}, ValueError),
        ({"a": "a\x00"}, ValueError),
        ({"a": " a"}, ValueError),
        ({"a": "a "}, ValueError),
        ({"": "a"}, ValueError),
        ({"a b": "a"}, ValueError),
        ({"a/b": "a"}, ValueError),
        ({"ä": "a"}, ValueError),
        ({"a=b": "a"}, ValueError),
        ({"a,b": "a"}, ValueError),
        ({"a\n": "a"}, ValueError),
        ({"@a": "a"}, ValueError),
        ({1: "a"}, TypeError),
        ({"a": "1", "A": "2"}, ValueError),
        ({"a": "x" * 500_000}, ValueError),
        ([("a", "b")], TypeError),
        ("a", TypeError),
    ],
)
async def test_labels_that_are_not_sent(
    flavour: Flavour, server: Server, labels: Any, error: type[Exception]
) -> None:
    recorder = Recorder(flavour)
    bucket = flavour.client(server.url, transport=recorder.transport).bucket("bucket")
    with pytest.raises(error, match="label"):
        await bucket.write("entry", b"data", 1, labels=labels)
    with pytest.raises(error, match="label"):
        await bucket.write_batch("entry", batch_of(flavour, labels))
    assert recorder.requests == []


def batch_of(flavour: Flavour, labels: Any) -> Batch:
    """Return a batch of one record."""
    batch: Batch = flavour.package.Batch()
    batch.add(1, b"data", labels=labels)
    return batch


@given(labels=st.dictionaries(label_names, label_values, max_size=4))
@settings(max_examples=50)
async def test_labels_are_stored_as_they_are_or_refused(
    bucket: Bucket, labels: dict[str, str]
) -> None:
    """What is accepted comes back from every call, whichever protocol it uses."""
    entry = uuid.uuid4().hex
    try:
        await bucket.write(entry, b"data", 1, labels=labels)
    except ValueError:
        assert any('"' in value for value in labels.values())
        assert entry not in [listed.name for listed in await bucket.get_entry_list()]
        return
    async with bucket.read(entry) as record:
        assert record.labels == labels
    assert await labels_of(bucket, entry, 1) == labels
    (record,) = [record async for record in bucket.query([entry, "none"])]
    # An empty value cannot be told from none in the protocol for several entries.
    assert {name: record.labels.get(name, "") for name in labels} == labels
    assert record.labels.keys() <= labels.keys()


@pytest.mark.parametrize("count", [60, 1000])
async def test_many_labels(bucket: Bucket, count: int) -> None:
    labels = {f"label-{n}": f"{n}" for n in range(count)}
    await bucket.write("entry", b"data", 1, labels=labels)
    assert await labels_of(bucket, "entry", 1) == labels
    await bucket.update("entry", 1, {name: f"new-{value}" for name, value in labels.items()})
    expected = {name: f"new-{value}" for name, value in labels.items()}
    assert await labels_of(bucket, "entry", 1) == expected
    async with bucket.read("entry") as record:
        assert (record.labels, await record.read_all()) == (expected, b"data")


async def test_names_of_labels_keep_their_case(bucket: Bucket) -> None:
    await bucket.write("entry", b"data", 1, labels={"Score": 1, "CAMERA": "a, b"})
    assert await labels_of(bucket, "entry", 1) == {"Score": "1", "CAMERA": "a, b"}
    await bucket.update("entry", 1, {"Score": 2})
    assert await labels_of(bucket, "entry", 1) == {"Score": "2", "CAMERA": "a, b"}
    # Names come as HTTP headers here, which have no case.
    async with bucket.read("entry") as record:
        assert record.labels == {"score": "2", "camera": "a, b"}


async def test_what_no_call_can_carry(flavour: Flavour, server: Server) -> None:
    recorder = Recorder(flavour)
    bucket = flavour.client(server.url, transport=recorder.transport).bucket("bucket")
    with pytest.raises(ValueError, match="no call of the server can carry"):
        await bucket.write("entry", b"", 1, labels={"Name": 'comma, and "quote"'})
    with pytest.raises(ValueError, match="no call of the server can carry"):
        await bucket.update("entry", 1, {"Name": '"quote"'})
    assert recorder.requests == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (None, BINARY),
        ("image/jpeg", "image/jpeg"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("Application/X-Mixed", "Application/X-Mixed"),
    ],
)
async def test_content_types(bucket: Bucket, kind: str | None, expected: str) -> None:
    await bucket.write("entry", b"data", 1, content_type=kind)
    async with bucket.read("entry") as record:
        assert record.content_type == expected


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("", ValueError),
        ("a\nb", ValueError),
        ("ä", ValueError),
        ('multipart/x; boundary="a,b"', ValueError),
        (5, TypeError),
    ],
)
async def test_content_types_that_are_not_sent(
    bucket: Bucket, kind: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="content_type"):
        await bucket.write("entry", b"data", 1, content_type=kind)
    assert await bucket.get_entry_list() == []


# --- updating and removing -----------------------------------------------------------------

changes = st.dictionaries(
    st.sampled_from(["a", "b", "C", "d-1"]),
    st.none() | st.sampled_from(["", "1", "a,b", "x=y", "true", 5, False]),
    max_size=3,
)


def text(value: Any) -> str:
    """Return a label value as it is stored."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


@given(steps=st.lists(changes, min_size=1, max_size=5))
@settings(max_examples=25)
async def test_updates_change_what_they_name(bucket: Bucket, steps: list[dict[str, Any]]) -> None:
    entry = uuid.uuid4().hex
    await bucket.write(entry, b"data", 1, labels={"a": "0", "keep": "k"})
    expected = {"a": "0", "keep": "k"}
    for step in steps:
        await bucket.update(entry, 1, step)
        expected |= {name: text(value) for name, value in step.items() if value is not None}
        expected = {
            name: value
            for name, value in expected.items()
            if value != "" and step.get(name, value) is not None
        }
        assert await labels_of(bucket, entry, 1) == expected
    async with bucket.read(entry, 1) as record:
        assert (await content(record)).data == b"data"


async def test_update_of_what_does_not_exist(bucket: Bucket) -> None:
    await write_all(bucket, "entry", 1)
    with pytest.raises(NotFoundError):
        await bucket.update("entry", 2, {"a": 1})
    with pytest.raises(NotFoundError):
        await bucket.update("other", 1, {"a": 1})
    assert [entry.name for entry in await bucket.get_entry_list()] == ["entry"]
