"""Forwarding by replications, on the embedded and on the real server."""

import gzip
from collections.abc import Callable, Iterator

import httpx
import pytest
import zstandard

from tests.local.fake_destination import Reply, fake_destination
from tests.local.replicating import (
    api,
    done,
    entries,
    hourly,
    read,
    status,
    update,
    wait_until,
    write,
)
from tests.servers import NewServer


@pytest.fixture
def source(new_server: NewServer) -> Iterator[httpx.Client]:
    """A server of its own with the bucket `src`."""
    with new_server() as server, api(server.url) as client:
        done(client.post("/b/src"))
        yield client


@pytest.fixture
def destination(new_server: NewServer) -> Iterator[httpx.Client]:
    """Another server."""
    with new_server() as server, api(server.url) as client:
        yield client


def settings_for(destination: httpx.Client | str) -> dict[str, object]:
    """Return the settings of a replication from bucket `src` to bucket `dst` of a server."""
    if isinstance(destination, httpx.Client):
        destination = str(destination.base_url).removesuffix("/api/v1/")
    return {"src_bucket": "src", "dst_bucket": "dst", "dst_host": destination}


def replicate(
    source: httpx.Client, destination: httpx.Client | str, name: str = "copy", **change: object
) -> None:
    """Create a replication from bucket `src` to bucket `dst` of another server."""
    done(source.post(f"/replications/{name}", json=settings_for(destination) | change))


# --- what arrives --------------------------------------------------------------------------


def test_new_records_arrive(source: httpx.Client, destination: httpx.Client) -> None:
    write(source, "src/old", b"before", 1)
    replicate(source, destination)
    write(source, "src/cam/left", b"picture", 5, place="a,b", score="7")
    done(
        source.post(
            "/b/src/text",
            params={"ts": 2**64 - 1},
            content=b"",
            headers={"content-type": "text/x-odd; charset=utf-8"},
        )
    )
    batch = {"x-reduct-time-7": "1,", "x-reduct-time-6": "2,,k=v"}
    done(source.post("/b/src/cam/left/batch", content=b"abc", headers=batch))

    wait_until(lambda: entries(destination, "dst") == {"cam/left": 3, "text": 1})
    wait_until(lambda: status(source, "copy")["pending_records"] == 0)
    assert read(destination, "dst/cam/left", 5) == (b"picture", {"place": "a,b", "score": "7"})
    assert read(destination, "dst/cam/left", 6) == (b"ab", {"k": "v"})
    assert read(destination, "dst/cam/left", 7) == (b"c", {})
    stored = destination.get("/b/dst/text", params={"ts": 2**64 - 1})
    assert stored.headers["content-type"] == "text/x-odd; charset=utf-8"
    assert stored.headers["content-length"] == "0"
    wait_until(lambda: hourly(source, "copy")["ok"] == 240)
    assert hourly(source, "copy") == {"ok": 240, "errored": 0, "errors": {}}


def test_more_records_than_a_batch_takes(source: httpx.Client, destination: httpx.Client) -> None:
    replicate(source, destination, mode="paused")
    for ts in range(200):
        write(source, "src/e", b"%d" % ts, ts)
    wait_until(lambda: status(source, "copy")["pending_records"] == 200)
    done(source.patch("/replications/copy/mode", json={"mode": "enabled"}))
    wait_until(lambda: entries(destination, "dst") == {"e": 200})
    assert read(destination, "dst/e", 123) == (b"123", {})


def test_a_large_record_arrives(source: httpx.Client, destination: httpx.Client) -> None:
    replicate(source, destination)
    data = bytes(range(256)) * 5000
    write(source, "src/e", data, 1)
    wait_until(lambda: read(destination, "dst/e", 1) == (data, {}))


def test_labels_are_updated(source: httpx.Client, destination: httpx.Client) -> None:
    write(source, "src/e", b"known at the source only", 1, a="1")
    replicate(source, destination)
    write(source, "src/e", b"data", 2, a="1", b="1")
    wait_until(lambda: read(destination, "dst/e", 2) == (b"data", {"a": "1", "b": "1"}))
    update(source, "src/e", 2, a="2", b="", c="3")
    # A label that is removed at the source stays at the destination.
    wait_until(lambda: read(destination, "dst/e", 2) == (b"data", {"a": "2", "b": "1", "c": "3"}))
    # A record that the destination does not have is written as a whole.
    update(source, "src/e", 1, a="5")
    wait_until(lambda: read(destination, "dst/e", 1) is not None)
    assert read(destination, "dst/e", 1) == (b"known at the source only", {"a": "5"})
    wait_until(lambda: hourly(source, "copy")["ok"] == 180)


def test_removals_do_not_arrive(source: httpx.Client, destination: httpx.Client) -> None:
    replicate(source, destination)
    write(source, "src/e", b"data", 1)
    wait_until(lambda: entries(destination, "dst") == {"e": 1})
    done(source.delete("/b/src/e", params={"ts": 1}))
    write(source, "src/e", b"later", 2)
    wait_until(lambda: entries(destination, "dst") == {"e": 2})


PATTERNS: list[tuple[list[str], set[str]]] = [
    ([], {"$meta", "a", "a/$meta", "a/b", "a/b/$meta", "a/b/c", "x", "x/$meta"}),
    (["*"], {"$meta", "a", "a/$meta", "a/b", "a/b/$meta", "a/b/c", "x", "x/$meta"}),
    (["a"], {"a", "a/$meta"}),
    (["//x"], {"x", "x/$meta"}),
    (["a*"], {"a", "a/$meta", "a/b", "a/b/$meta", "a/b/c"}),
    (["a/*"], {"a/$meta", "a/b", "a/b/$meta"}),
    (["a/**"], {"a", "a/$meta", "a/b", "a/b/$meta", "a/b/c"}),
    (["a/*/c"], {"a/b/c"}),
    (["!a"], {"$meta", "a/b", "a/b/$meta", "a/b/c", "x", "x/$meta"}),
    (["*", "!a/b"], {"$meta", "a", "a/$meta", "a/b/c", "x", "x/$meta"}),
    (["!x/$meta"], {"$meta", "a", "a/$meta", "a/b", "a/b/$meta", "a/b/c", "x"}),
    (["a/b", "!a/b/$meta"], {"a/b"}),
    (["x/$meta"], {"x/$meta"}),
    (["$meta"], {"$meta"}),
    (["**"], set()),
    (["!*"], set()),
    (["!"], set()),
]
"""What each list of patterns lets through, as seen on the real server."""


def test_entries_and_their_attachments(source: httpx.Client, destination: httpx.Client) -> None:
    for number, (patterns, _) in enumerate(PATTERNS):
        replicate(source, destination, f"r{number}", dst_bucket=f"d{number}", entries=patterns)
    names = ["a", "a/b", "a/b/c", "x", "$meta", "a/$meta", "a/b/$meta", "x/$meta"]
    for entry in names:
        write(source, f"src/{entry}", b"data", 1, key="k")
    for number, (_, expected) in enumerate(PATTERNS):
        wait_until(lambda n=number, e=expected: arrived(destination, f"d{n}", names) == e)  # type: ignore[misc]


def arrived(client: httpx.Client, bucket: str, names: list[str]) -> set[str]:
    """Return which entries of a bucket have the record at 1."""
    return {entry for entry in names if read(client, f"{bucket}/{entry}", 1) is not None}


def test_conditions_are_strict(source: httpx.Client, destination: httpx.Client) -> None:
    when = {"$or": [{"&score": {"$gt": 10}}, {"&always": {"$eq": True}}]}
    replicate(source, destination, when=when)
    write(source, "src/e", b"too low", 1, score="10", always="false")
    write(source, "src/e", b"no score, an error", 2, always="true")
    write(source, "src/e", b"good", 3, score="11")
    write(source, "src/e", b"no label, an error", 4, score="3")
    write(source, "src/e/$meta", b"attachments always pass", 5, key="k")
    write(source, "src/e", b"the last", 6, score="3", always="true")
    wait_until(lambda: entries(destination, "dst").get("e") == 2)
    assert [read(destination, "dst/e", ts) is not None for ts in (1, 2, 3, 4, 6)] == [
        False,
        False,
        True,
        False,
        True,
    ]
    wait_until(lambda: read(destination, "dst/e/$meta", 5) is not None)


def test_conditions_keep_their_state_by_entry(
    source: httpx.Client, destination: httpx.Client
) -> None:
    replicate(source, destination, when={"$each_n": 2})
    for ts in range(1, 7):
        write(source, "src/a", b"data", ts)
        if ts <= 3:
            write(source, "src/b", b"data", ts)
    wait_until(lambda: entries(destination, "dst") == {"a": 3, "b": 1})
    assert [ts for ts in range(1, 7) if read(destination, "dst/a", ts)] == [2, 4, 6]


def test_context_of_matches(source: httpx.Client, destination: httpx.Client) -> None:
    replicate(source, destination, when={"&hit": {"$eq": True}, "#ctx_before": 1})
    for ts, hit in ((1, "false"), (2, "false"), (3, "true"), (4, "false")):
        write(source, "src/e", b"data", ts, hit=hit)
    wait_until(lambda: entries(destination, "dst") == {"e": 2})
    assert [ts for ts in range(1, 5) if read(destination, "dst/e", ts)] == [2, 3]


@pytest.mark.parametrize("prefix", ["robot-1", "/robot-1/", "a/b"])
def test_prefix(source: httpx.Client, destination: httpx.Client, prefix: str) -> None:
    replicate(source, destination, dst_prefix=prefix)
    write(source, "src/cam/left", b"data", 1)
    wait_until(lambda: entries(destination, "dst") == {f"{prefix.strip('/')}/cam/left": 1})


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_compressed(source: httpx.Client, destination: httpx.Client, compression: str) -> None:
    replicate(source, destination, compression=compression)
    write(source, "src/e", b"x" * 100_000, 1, a="1")
    wait_until(lambda: read(destination, "dst/e", 1) == (b"x" * 100_000, {"a": "1"}))


# --- on the wire ---------------------------------------------------------------------------


def unpack_zstd(data: bytes) -> bytes:
    """Return the content of a frame that does not tell its size."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "zstd": unpack_zstd,
    "gzip": gzip.decompress,
}


@pytest.mark.parametrize("compression", ["none", "zstd", "gzip"])
def test_what_is_sent(source: httpx.Client, compression: str) -> None:
    with fake_destination() as fake:
        settings = {
            "src_bucket": "src",
            "dst_bucket": "d st",
            "dst_host": f"{fake.url}/base",
            "dst_token": "secret",
            "compression": compression,
        }
        done(source.post("/replications/r", json=settings))
        write(source, "src/a/b", b"data", 5, x="1,2", y="z")
        wait_until(lambda: len(fake.requests) == 2)
        update(source, "src/a/b", 5, x="")
        wait_until(lambda: len(fake.requests) == 3)
        opening, writing, updating = fake.requests
    assert (opening.method, opening.target) == ("GET", "/base/api/v1/b/d%20st")
    batch = "/base/api/v1/b/d%20st/a/b/batch"
    assert (writing.method, writing.target) == ("POST", batch)
    assert (updating.method, updating.target) == ("PATCH", batch)
    for request in (opening, writing, updating):
        assert request.headers["authorization"] == "Bearer secret"
    assert writing.headers["x-reduct-time-5"] == '4,application/octet-stream,x="1,2",y=z'
    assert updating.headers["x-reduct-time-5"] == "0,,y=z"
    assert UNPACK[compression](writing.body) == b"data"
    coding = None if compression == "none" else compression
    assert writing.headers.get("content-encoding") == coding
    assert writing.headers.get("content-length") == ("4" if coding is None else None)


def test_an_older_destination_gets_no_compressed_bodies(source: httpx.Client) -> None:
    with fake_destination() as fake:
        fake.api_version = "1.20"
        replicate(source, fake.url, compression="gzip")
        write(source, "src/e", b"data", 5)
        wait_until(lambda: len(fake.requests) == 2)
        assert fake.requests[1].body == b"data"
        assert "content-encoding" not in fake.requests[1].headers


def test_a_missing_bucket_is_created_when_it_is_needed(source: httpx.Client) -> None:
    with fake_destination() as fake:
        fake.expect("GET", Reply(404))
        replicate(source, fake.url)
        write(source, "src/e", b"data", 5)
        wait_until(lambda: len(fake.requests) == 3)
        assert [(request.method, request.target) for request in fake.requests] == [
            ("GET", "/api/v1/b/dst"),
            ("POST", "/api/v1/b/dst"),
            ("POST", "/api/v1/b/dst/e/batch"),
        ]


def test_records_that_cannot_be_updated_are_written(source: httpx.Client) -> None:
    with fake_destination() as fake:
        write(source, "src/e", b"data", 5, a="1")
        replicate(source, fake.url)
        for reply in (Reply(404), Reply(200, {"x-reduct-error-5": "404,no record"})):
            fake.requests.clear()
            fake.expect("PATCH", reply)
            update(source, "src/e", 5, a="2")
            wait_until(lambda: fake.methods()[-1:] == ["POST"])
            assert fake.requests[-1].headers["x-reduct-time-5"] == (
                "4,application/octet-stream,a=2"
            )
        wait_until(lambda: hourly(source, "copy")["ok"] == 120)


@pytest.mark.parametrize(
    ("reply", "code", "message"),
    [
        (Reply(422, {"x-reduct-error": "bad head"}), "422", "bad head"),
        (Reply(500), "500", "Unknown"),
        (Reply(404, {"x-reduct-error": "no bucket"}), "404", "no bucket"),
        (Reply(200, {"x-reduct-error-5": "409,exists, already"}), "409", "exists, already"),
    ],
)
def test_refused_records_are_dropped_and_counted(
    source: httpx.Client, reply: Reply, code: str, message: str
) -> None:
    with fake_destination() as fake:
        replicate(source, fake.url)
        fake.expect("POST", reply)
        write(source, "src/e", b"data", 5)
        wait_until(lambda: hourly(source, "copy")["errored"] == 60)
        write(source, "src/e", b"data", 6)
        wait_until(lambda: hourly(source, "copy")["ok"] == 60)
        assert hourly(source, "copy") == {
            "ok": 60,
            "errored": 60,
            "errors": {code: {"count": 1, "last_message": message}},
        }
        info = status(source, "copy")
        assert (info["pending_records"], info["is_active"]) == (0, True)
        assert "x-reduct-time-5" not in fake.requests[-1].headers


@pytest.mark.parametrize("code", [429, 502, 503, 504])
def test_after_an_outage_the_rest_is_sent(source: httpx.Client, code: int) -> None:
    with fake_destination() as fake:
        replicate(source, fake.url)
        fake.expect("POST", Reply(code, {"x-reduct-error": "later"}))
        write(source, "src/e", b"data", 5)
        wait_until(lambda: not status(source, "copy")["is_active"])
        write(source, "src/e", b"more", 6)
        wait_until(lambda: status(source, "copy")["pending_records"] == 2)
        assert fake.methods() == ["GET", "POST"]
        # New settings are tried at once.
        done(source.put("/replications/copy", json=settings_for(fake.url)))
        wait_until(lambda: status(source, "copy")["pending_records"] == 0)
        assert status(source, "copy")["is_active"]
        assert fake.methods() == ["GET", "POST", "GET", "POST"]
        assert {"x-reduct-time-5", "x-reduct-time-6"} <= set(fake.requests[-1].headers)


# --- modes and changes ---------------------------------------------------------------------


def test_paused_collects_and_disabled_does_not(
    source: httpx.Client, destination: httpx.Client
) -> None:
    replicate(source, destination, mode="paused")
    # A paused replication looks whether the destination is there.
    wait_until(lambda: status(source, "copy")["is_active"])
    write(source, "src/e", b"data", 1)
    wait_until(lambda: status(source, "copy")["pending_records"] == 1)
    done(source.patch("/replications/copy/mode", json={"mode": "disabled"}))
    write(source, "src/e", b"data", 2)
    assert entries(destination, "dst") == {}
    info = status(source, "copy")
    assert (info["is_active"], info["pending_records"]) == (False, 1)
    done(source.patch("/replications/copy/mode", json={"mode": "enabled"}))
    write(source, "src/e", b"data", 3)
    wait_until(lambda: entries(destination, "dst") == {"e": 2})
    assert read(destination, "dst/e", 2) is None
    wait_until(lambda: status(source, "copy")["is_active"])


def test_paused_without_destination_is_not_active(source: httpx.Client) -> None:
    replicate(source, "http://127.0.0.1:1", mode="paused")
    wait_until(lambda: not status(source, "copy")["is_active"])


def test_an_update_takes_the_other_settings_and_forgets_counts(
    source: httpx.Client, destination: httpx.Client
) -> None:
    replicate(source, destination)
    write(source, "src/a", b"data", 1)
    wait_until(lambda: hourly(source, "copy")["ok"] == 60)
    other = settings_for(destination) | {"dst_bucket": "other", "entries": ["b"]}
    done(source.put("/replications/copy", json=other))
    assert hourly(source, "copy")["ok"] == 0
    write(source, "src/a", b"data", 2)
    write(source, "src/b", b"data", 2)
    wait_until(lambda: entries(destination, "other") == {"b": 1})
    assert entries(destination, "dst") == {"a": 1}


def test_an_update_keeps_the_token_unless_it_says_otherwise(source: httpx.Client) -> None:
    with fake_destination() as fake:
        settings = settings_for(fake.url)
        done(source.post("/replications/r", json=settings | {"dst_token": "secret"}))
        expected = ["Bearer secret", "Bearer secret", "Bearer other", None]
        changes: list[dict[str, object]] = [
            {},
            {"dst_token": None},
            {"dst_token": "other"},
            {"dst_token": ""},
        ]
        for number, change in enumerate(changes):
            fake.requests.clear()
            done(source.put("/replications/r", json=settings | change))
            write(source, "src/e", b"data", number)
            wait_until(lambda: fake.methods()[-1:] == ["POST"])
            assert fake.requests[-1].headers.get("authorization") == expected[number]


def test_what_waits_survives_a_restart(new_server: NewServer, destination: httpx.Client) -> None:
    with new_server() as server, api(server.url) as source:
        done(source.post("/b/src"))
        write(source, "src/e", b"data", 1, a="1")
        replicate(source, destination, mode="paused", when={"&a": {"$gt": 0}}, dst_prefix="p")
        update(source, "src/e", 1, a="2")
        write(source, "src/e", b"new", 2, a="1")
        write(source, "src/f/g", b"more", 2, a="1")
        wait_until(lambda: status(source, "copy")["pending_records"] == 3)
        before = done(source.get("/replications/copy")).json()["settings"]
        server.restart()
        assert done(source.get("/replications/copy")).json()["settings"] == before
        wait_until(lambda: status(source, "copy")["pending_records"] == 3)
        write(source, "src/e", b"after", 3, a="1")
        done(source.patch("/replications/copy/mode", json={"mode": "enabled"}))
        wait_until(lambda: entries(destination, "dst") == {"p/e": 3, "p/f/g": 1})
        assert read(destination, "dst/p/e", 1) == (b"data", {"a": "2"})


def test_a_removed_replication_is_forgotten(
    source: httpx.Client, destination: httpx.Client
) -> None:
    replicate(source, destination, mode="paused")
    write(source, "src/e", b"data", 1)
    wait_until(lambda: status(source, "copy")["pending_records"] == 1)
    done(source.delete("/replications/copy"))
    write(source, "src/e", b"data", 2)
    replicate(source, destination)
    assert status(source, "copy")["pending_records"] == 0
    write(source, "src/e", b"data", 3)
    wait_until(lambda: entries(destination, "dst") == {"e": 1})
    assert read(destination, "dst/e", 3) is not None
