"""What other clients of this API get wrong: data and names, B1 to B13 (numbers of the list).

B14 to B17 are in test_subscribe.py, B22 to B29 in test_trouble.py.
"""

import array
import asyncio
import io
import time
import types
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduct_async import Bucket, NotFoundError
from reduct_core import transport
from tests.flavours import Flavour
from tests.recording import Recorder
from tests.servers import Server
from tests.stored import (
    BINARY,
    Stored,
    contents,
    keys,
    label_names,
    label_values,
    labels_of,
    payloads,
    times,
    write_all,
)

# --- B1 to B4: wrong data, lost data -------------------------------------------------------


async def test_b01_payloads_belong_to_their_records(bucket: Bucket) -> None:
    for timestamp, entry, data in [(1, "a", "a1"), (2, "z", "z2"), (3, "a", "a3"), (4, "z", "z4")]:
        await bucket.write(entry, data, timestamp)
    found = await contents(bucket.query(["a", "z"]))
    assert [(r.entry, r.timestamp, r.data) for r in found] == [
        ("a", 1, b"a1"),
        ("z", 2, b"z2"),
        ("a", 3, b"a3"),
        ("z", 4, b"z4"),
    ]


@given(
    written=st.dictionaries(
        st.tuples(st.sampled_from(["z", "a", "m/x"]), st.integers(0, 30)),
        st.binary(max_size=6),
        max_size=20,
    )
)
@settings(max_examples=25)
async def test_b01_payloads_of_any_mixture(
    bucket: Bucket, flavour: Flavour, written: dict[tuple[str, int], bytes]
) -> None:
    prefix = uuid.uuid4().hex
    batch = flavour.package.RecordBatch()
    for (entry, timestamp), data in written.items():
        batch.add(f"{prefix}/{entry}", timestamp, data)
    await bucket.write_record_batch(batch)
    found = await contents(bucket.query(f"{prefix}*"))
    assert {(r.entry.removeprefix(f"{prefix}/"), r.timestamp): r.data for r in found} == written
    assert [r.timestamp for r in found] == sorted(timestamp for _, timestamp in written)


async def test_b02_updates_leave_other_labels_alone(bucket: Bucket, flavour: Flavour) -> None:
    await bucket.write("a", b"", 1)
    await bucket.write("a", b"", 2, labels={"q": "old"})
    await bucket.write("a", b"", 3)
    batch = flavour.package.RecordBatch()
    batch.add("a", 1, labels={"q": "1"})
    batch.add("a", 2, labels={"n": "2"})
    batch.add("a", 3, labels={"q": None})
    assert await bucket.update_record_batch(batch) == {}
    assert await labels_of(bucket, "a", 1) == {"q": "1"}
    assert await labels_of(bucket, "a", 2) == {"q": "old", "n": "2"}
    assert await labels_of(bucket, "a", 3) == {}


@pytest.mark.parametrize(
    ("call", "keywords"),
    [
        (lambda bucket, **k: bucket.remove_query("a", **k), ["wehn", "each_n", "limit", "include"]),
        (lambda bucket, **k: bucket.query("a", **k), ["strat", "continuos", "continuous"]),
        (lambda bucket, **k: bucket.subscribe("a", **k), ["pol_interval", "ttl"]),
        (lambda bucket, **k: bucket.create_query_link("a", **k), ["expires_at", "limit"]),
        (lambda bucket, **k: bucket.write("a", b"", **k), ["label", "ts"]),
        (lambda bucket, **k: bucket.read("a", **k), ["ts"]),
        (lambda bucket, **k: bucket.update("a", 1, {}, **k), ["timestmap"]),
    ],
)
async def test_b03_unknown_keywords_are_errors(
    bucket: Bucket, call: Callable[..., Any], keywords: list[str]
) -> None:
    await write_all(bucket, "a", *range(1, 6))
    for keyword in keywords:
        with pytest.raises(TypeError, match=keyword):
            await call(bucket, **{keyword: 2})
    assert await times(bucket.query("a")) == [1, 2, 3, 4, 5]


async def test_b03_a_removal_without_restriction_is_asked_for(
    recorded: Bucket, recorder: Recorder
) -> None:
    await write_all(recorded, "a", *range(1, 6))
    before = len(recorder.sent)
    conditions: list[Any] = [None, {}, True, {"#batch_records": 1}]
    for when in conditions:
        with pytest.raises(ValueError, match="everything=True"):
            await recorded.remove_query("a", when=when)
    with pytest.raises(ValueError, match="contradicts"):
        await recorded.remove_query("a", 1, everything=True)
    # Texts are constants that are true, unless they refer to something.
    for constant in ('{"&x": {"$eq": 1}}', "x", "true", " "):
        with pytest.raises(ValueError, match="when"):
            await recorded.remove_query("a", when=constant)
    assert len(recorder.sent) == before
    assert await recorded.remove_query("a", everything=True) == 5
    assert await times(recorded.query("a")) == []


async def test_b03_removals_by_query(bucket: Bucket) -> None:
    for entry in ("a", "b", "c/d"):
        await write_all(bucket, entry, *range(10), labels={"x": 1})
    assert await bucket.remove_query("a", 2, 4) == 2
    assert await bucket.remove_query(["a", "b"], when={"$timestamp": {"$gte": 8}}) == 4
    assert await bucket.remove_query("c*", stop=5) == 5
    assert await bucket.remove_query("*", when={"&none": {"$eq": 1}}) == 0
    assert await bucket.remove_query("no-such", 0) == 0
    assert await times(bucket.query("a")) == [0, 1, 4, 5, 6, 7]
    assert await times(bucket.query("b")) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert await times(bucket.query("c/d")) == [5, 6, 7, 8, 9]
    assert await bucket.remove_query("c/d", when="&x") == 5


def test_b03_models_know_their_fields(flavour: Flavour) -> None:
    for model in ("BucketSettings", "Permissions", "ReplicationSettings", "LifecycleSettings"):
        with pytest.raises(TypeError, match="unknown"):
            getattr(flavour.package, model)(unknown=1)


async def test_b04_zero_is_a_time(bucket: Bucket) -> None:
    await bucket.write("a", b"zero", 0)
    await bucket.write("a", b"nine", 9)
    async with bucket.read("a", timestamp=0) as record:
        assert (record.timestamp, await record.read_all()) == (0, b"zero")
    assert await times(bucket.query("a", start=0, stop=0)) == []
    assert await times(bucket.query("a", stop=0)) == []
    assert await bucket.remove_query("a", start=0, stop=0) == 0
    assert await bucket.remove_query("a", stop=0) == 0
    await bucket.update("a", 0, {"x": 1})
    assert await labels_of(bucket, "a", 0) == {"x": "1"}
    link = await bucket.create_query_link("a", record_timestamp=0)
    assert "/a_0.bin?" in link
    await bucket.remove_record("a", 0)
    assert await times(bucket.query("a")) == [9]


# --- B5, B6: names and lists that reach too far --------------------------------------------


async def test_b05_names_address_what_they_say(bucket: Bucket) -> None:
    await write_all(bucket, "x", 5)
    for name in ("x#y", "x?y", "x%2Fy", "x y", "x;y", "x\\y", "ü"):
        with pytest.raises(NotFoundError):
            await bucket.remove_record(name, 5)
        with pytest.raises(NotFoundError):
            await bucket.remove_entry(name)
        with pytest.raises(ValueError, match="entry name"):
            await bucket.write(name, b"1", 7)
        assert await contents(bucket.query(name)) == []
        assert await bucket.remove_query(name, 0) == 0
    assert await keys(bucket.query("*")) == [("x", 5)]


@pytest.mark.parametrize("name", ["../other", "..", ".", "x/..", "x/./y", "", "/x", "x/", "x//y"])
async def test_b05_names_cannot_climb(
    recorded: Bucket, recorder: Recorder, flavour: Flavour, name: str
) -> None:
    batch = flavour.package.Batch()
    batch.add(1)
    calls: list[Callable[[], Any]] = [
        lambda: recorded.remove_entry(name),
        lambda: recorded.rename_entry(name, "new"),
        lambda: recorded.rename_entry("old", name),
        lambda: recorded.remove_record(name, 5),
        lambda: recorded.write(name, b"", 5),
        lambda: recorded.update(name, 5, {"a": 1}),
        lambda: recorded.write_batch(name, batch),
        lambda: recorded.update_batch(name, batch),
        lambda: recorded.remove_batch(name, batch),
        lambda: recorded.write_attachments(name, {"a": 1}),
        lambda: recorded.read_attachments(name),
        lambda: recorded.read(name).__aenter__(),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="entry"):
            await call()
    if not name.startswith("/"):
        with pytest.raises(ValueError, match="entry"):
            await contents(recorded.query(name))
    assert recorder.sent == []


async def test_b05_names_of_other_things_cannot_climb(
    flavour: Flavour, server: Server, recorder: Recorder
) -> None:
    client = flavour.client(server.url, transport=recorder.transport)
    for name in ("../b/bucket", "..", ".", "", "a/b", "a/"):
        for call in (
            client.remove_token,
            client.rotate_token,
            client.delete_replication,
            client.delete_lifecycle,
            client.get_bucket,
        ):
            with pytest.raises(ValueError, match="name"):
                await call(name)
    assert recorder.sent == []


async def test_b06_an_empty_list_selects_nothing(recorded: Bucket, recorder: Recorder) -> None:
    await write_all(recorded, "a", 1)
    before = len(recorder.sent)
    for arguments in ({}, {"start": 0}, {"everything": True}):
        with pytest.raises(ValueError, match="entries must not be empty"):
            await recorded.remove_query([], **arguments)
    assert await contents(recorded.query([])) == []
    assert len(recorder.sent) == before
    assert await times(recorded.query("a")) == [1]


@pytest.mark.since_1_21
async def test_b06_exclusions_alone_are_no_restriction(bucket: Bucket) -> None:
    await write_all(bucket, "a", 1)
    await write_all(bucket, "x", 1)
    with pytest.raises(ValueError, match="everything=True"):
        await bucket.remove_query(["!x"])
    assert await keys(bucket.query("*")) == [("a", 1), ("x", 1)]
    assert await bucket.remove_query(["!x"], everything=True) == 1
    assert await keys(bucket.query("*")) == [("x", 1)]


@pytest.mark.parametrize(
    "entries", [["*", "!keep"], "!keep", "a/**", "*/left", "/a", "cam-*-left", "**"]
)
async def test_b06_an_older_server_takes_patterns_for_something_else(
    flavour: Flavour, entries: str | list[str]
) -> None:
    """1.20 would remove from `keep`, too; the server is played, so that this runs everywhere."""
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(f"{request.method} {request.url.path}")
        return httpx.Response(200, headers={"x-reduct-api": "1.20"}, json={"removed_records": 9})

    for asked_before in (False, True):
        client = flavour.client("http://server", transport=httpx.MockTransport(answer))
        bucket = client.bucket("b")
        if asked_before:
            await client.is_alive()
        refused = pytest.raises(flavour.package.ReductError, match=r"need ReductStore 1\.21.*1\.20")
        with refused:
            await bucket.remove_query(entries, start=0)
        with refused:
            await contents(bucket.query(entries))
        with refused:
            await bucket.create_query_link(entries)
    assert set(sent) <= {"HEAD /api/v1/b/b", "GET /api/v1/alive"}


async def test_b06_patterns_that_every_server_knows(bucket: Bucket) -> None:
    for name in ("a", "ab", "b"):
        await write_all(bucket, name, 1)
    assert await keys(bucket.query("a*")) == [("a", 1), ("ab", 1)]
    assert await bucket.remove_query(["a*"], start=0) == 2
    assert await keys(bucket.query("*")) == [("b", 1)]


# --- B7, B8: times that meet ---------------------------------------------------------------


async def test_b07_a_repeated_time_is_an_error(bucket: Bucket, flavour: Flavour) -> None:
    batch = flavour.package.RecordBatch()
    batch.add("a", 1, b"one")
    with pytest.raises(ValueError, match="timestamp 1 of entry 'a' is in the batch already"):
        batch.add("a", 1, b"two")
    batch.add("b", 1, b"other")
    assert (len(batch), batch.size) == (2, 8)
    await bucket.write_record_batch(batch)
    assert await payloads(bucket.query("a")) == {1: b"one"}


async def test_b07_a_repeated_time_replaces_or_shifts(bucket: Bucket, flavour: Flavour) -> None:
    batch = flavour.package.Batch()
    for data in (b"one", b"two", b"three"):
        batch.add(1, data, on_duplicate="replace")
        batch.add(5, data, on_duplicate="shift")
    assert (len(batch), batch.size) == (4, 5 + 11)
    await bucket.write_batch("a", batch)
    assert await payloads(bucket.query("a")) == {1: b"three", 5: b"one", 6: b"two", 7: b"three"}
    with pytest.raises(ValueError, match="on_duplicate='drop'"):
        batch.add(1, b"", on_duplicate="drop")


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> int:
    """A clock that does not tick between two items; its microseconds."""
    clock = types.SimpleNamespace(time_ns=lambda: 1_700_000_000_000_000_000)
    clock.monotonic = time.monotonic
    monkeypatch.setattr(transport, "time", clock)
    return 1_700_000_000_000_000


async def test_b08_attachments_do_not_need_a_fine_clock(bucket: Bucket, stopped_clock: int) -> None:
    attachments = {f"key-{n}": n for n in range(10)}
    await bucket.write_attachments("e", attachments)
    assert await bucket.read_attachments("e") == attachments


async def test_b08_writes_do_not_need_a_fine_clock(bucket: Bucket, stopped_clock: int) -> None:
    await asyncio.gather(*(bucket.write("e", b"%d" % n) for n in range(20)))
    found = await payloads(bucket.query("e"))
    assert list(found) == list(range(stopped_clock, stopped_clock + 20))
    assert sorted(found.values()) == sorted(b"%d" % n for n in range(20))


# --- B9 to B13: payloads and labels --------------------------------------------------------


async def test_b09_the_length_is_that_of_the_bytes(bucket: Bucket) -> None:
    await bucket.write("a", "héllo", 1)
    await bucket.write("a", memoryview(array.array("I", [1, 2, 3])), 2)
    await bucket.write("a", io.BytesIO(b"file"), 3)
    await bucket.write("a", (chunk for chunk in [b"gen", b"erator"]), 4, content_length=9)
    assert await payloads(bucket.query("a")) == {
        1: "héllo".encode(),
        2: array.array("I", [1, 2, 3]).tobytes(),
        3: b"file",
        4: b"generator",
    }


async def test_b09_nothing_is_cut_and_nothing_hangs(bucket: Bucket) -> None:
    for length in (3, 10):
        with pytest.raises(ValueError, match=f"content_length={length}"):
            await bucket.write("a", iter([b"abc", b"def"]), 1, content_length=length)
    file = io.BytesIO()
    file.write(b"data")
    with pytest.raises(ValueError, match="seek"):
        await bucket.write("a", file, 1, content_length=file.tell())
    assert await contents(bucket.query("a")) == []


async def test_b10_commas_and_equal_signs(bucket: Bucket, flavour: Flavour) -> None:
    labels = {"tags": "red,admin=true", "eq": "a=b", "comma": ",", "end": "x,"}
    one, many = flavour.package.Batch(), flavour.package.RecordBatch()
    one.add(1, b"x", labels=labels)
    for entry in ("b", "c"):
        many.add(entry, 1, b"x", labels=labels)
    await bucket.write_batch("a", one)
    await bucket.write_record_batch(many)
    await bucket.write("d", b"x", 1, labels=labels)
    for entry in ("a", "b", "c", "d"):
        async with bucket.read(entry) as record:
            assert record.labels == labels
        assert await labels_of(bucket, entry, 1) == labels


async def test_b11_json_in_a_label(bucket: Bucket, flavour: Flavour) -> None:
    labels = {"meta": '{"a": 1, "b": 2}', "zz": "1", "aa": "2"}
    await bucket.write("a", b"x", 1, labels=labels)
    batch = flavour.package.RecordBatch()
    batch.add("a", 2, b"y", labels=labels)
    batch.add("b", 1, b"z", labels=labels)
    assert await bucket.write_record_batch(batch) == {}
    for entries in (["a", "b"], "*"):
        found = await contents(bucket.query(entries))
        assert [(r.data, r.labels) for r in found] == [
            (b"x", labels),
            (b"z", labels),
            (b"y", labels),
        ]


async def test_b11_no_label_is_smuggled_in(bucket: Bucket, flavour: Flavour) -> None:
    """A value that no batch answer can show is refused; all others come back as they were."""
    batch = flavour.package.RecordBatch()
    for hostile in ('a","role="evil', 'x",role=evil', '"', '"a"', 'a",b'):
        stored = flavour.package.RecordBatch()
        try:
            stored.add("a", 1, b"x", labels={"m": hostile})
        except ValueError:
            continue
        batch.add("a", len(batch) + 1, b"x", labels={"m": hostile, "n": "1"})
    assert len(batch) >= 3
    await bucket.write_record_batch(batch)
    for (_, timestamp), record in batch.items():
        for entries in ("a", ["a", "b"]):
            (found,) = await contents(bucket.query(entries, timestamp, timestamp + 1))
            assert found.labels == record.labels


async def test_b11_what_others_stored_is_readable(bucket: Bucket, server: Server) -> None:
    """One odd record, stored past this client, does not hide its neighbours."""
    await bucket.write("a", b"before", 1, labels={"x": "1"})
    odd = {
        "x-reduct-label-m": 'a","role="evil',
        "x-reduct-label-n": 'b,"c=d',
        "content-type": 'multipart/x; boundary="a,b"',
    }
    url = f"{server.url}/api/v1/b/{bucket.name}/a?ts=2"
    with httpx.Client() as plain:
        assert plain.post(url, content=b"odd", headers=odd).status_code == 200
    await bucket.write("a", b"after", 3, labels={"y": "2"})
    for entries in ("a", ["a", "b"], "*"):
        first, second, third = await contents(bucket.query(entries))
        assert first == Stored("a", 1, b"before", {"x": "1"}, BINARY)
        assert (second.timestamp, second.data) == (2, b"odd")
        assert third == Stored("a", 3, b"after", {"y": "2"}, BINARY)


async def test_b12_one_encoder_for_all_calls(bucket: Bucket, flavour: Flavour) -> None:
    labels = {"score": 10, "ok": True, "ratio": 0.5, "text": "x"}
    stored = {"score": "10", "ok": "true", "ratio": "0.5", "text": "x"}
    one, many = flavour.package.Batch(), flavour.package.RecordBatch()
    one.add(1, b"", labels=labels)
    many.add("c", 1, labels=labels)
    many.add("d", 1, labels=labels)
    await bucket.write("a", b"", 1, labels=labels)
    await bucket.write_batch("b", one)
    await bucket.write_record_batch(many)
    await bucket.write("e", b"", 1)
    await bucket.update("e", 1, labels)
    await bucket.write("f", b"", 1)
    await bucket.update_batch("f", one)
    for entry in "abcdef":
        assert await labels_of(bucket, entry, 1) == stored
        assert await times(bucket.query(entry, when={"&ok": {"$eq": True}})) == [1]


@pytest.mark.parametrize("name", ["Score", "CamelCase-1"])
async def test_b12_names_keep_their_case_in_every_call(
    bucket: Bucket, flavour: Flavour, name: str
) -> None:
    batch = flavour.package.Batch()
    batch.add(1, b"", labels={name: 1})
    await bucket.write("a", b"", 1, labels={name: 1})
    await bucket.write_batch("b", batch)
    for entry in "ab":
        assert await labels_of(bucket, entry, 1) == {name: "1"}
        assert await times(bucket.query(entry, when={f"&{name}": {"$eq": 1}})) == [1]
        assert await times(bucket.query(entry, include={name: 1})) == [1]


async def test_b12_none_removes_in_updates_alone(bucket: Bucket, flavour: Flavour) -> None:
    with pytest.raises(ValueError, match="label 'n' is None"):
        await bucket.write("a", b"", 1, labels={"n": None})
    await bucket.write("a", b"", 1, labels={"n": 1, "m": 2})
    await bucket.update("a", 1, {"n": None})
    assert await labels_of(bucket, "a", 1) == {"m": "2"}


@given(labels=st.dictionaries(label_names, label_values, max_size=3))
@settings(max_examples=25)
async def test_b12_single_writes_and_batches_agree(
    bucket: Bucket, flavour: Flavour, labels: dict[str, str]
) -> None:
    entry = uuid.uuid4().hex
    batch = flavour.package.Batch()
    try:
        batch.add(2, b"", labels=labels)
    except ValueError:
        with pytest.raises(ValueError, match="label"):
            await bucket.write(entry, b"", 1, labels=labels)
        return
    await bucket.write(entry, b"", 1, labels=labels)
    assert await bucket.write_batch(entry, batch) == {}
    assert [record.labels async for record in bucket.query(entry)] == [labels, labels]


async def test_b13_computed_labels_do_not_stick(flavour: Flavour) -> None:
    """The server has no extensions here, so it is played."""
    headers = {
        "x-reduct-entries": "a",
        "x-reduct-start-ts": "1",
        "x-reduct-labels": "plain,@score",
        "x-reduct-0-0": "1,text/plain,0=kept,1=9",
        "x-reduct-0-1": "1",
        "x-reduct-0-2": "1,,1=7",
        "x-reduct-last": "true",
    }

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(200, json={"id": 1})
        return httpx.Response(200, headers=headers, content=b"abc")

    client = flavour.client("http://server", transport=httpx.MockTransport(answer))
    found = [record async for record in client.bucket("b").query(["a", "b"])]
    assert [record.computed for record in found] == [{"@score": "9"}, {}, {"@score": "7"}]
    assert [record.labels for record in found] == [{"plain": "kept"}] * 3
    with pytest.raises(ValueError, match="'@score'"):
        await client.bucket("b").write("a", b"", 1, labels=found[0].computed)
