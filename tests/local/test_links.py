"""Query links: seals, ranges, and downloads by raw calls."""

import json
import re
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reduct_local
from reduct_local import links
from reduct_local.errors import ApiError
from tests.differential.wire import Answer
from tests.local.raw_calls import Raw
from tests.servers import NewServer, Server

FAR = 4_000_000_000
"""Unix seconds in the year 2096."""

CONTENT = b"0123456789"


def document(bucket: str, /, **changes: object) -> dict[str, object]:
    return {
        "bucket": bucket,
        "entry": "e",
        "record_entry": "e",
        "record_timestamp": 1,
        "query": {"query_type": "QUERY"},
        "expire_at": FAR,
        **changes,
    }


def created(raw: Raw, bucket: str, name: str = "f.txt", /, **changes: object) -> Answer:
    return raw("POST", f"/links/{name}", body=json.dumps(document(bucket, **changes)).encode())


def link(answer: Answer) -> str:
    assert answer.status == 200, answer
    return str(json.loads(answer.body)["link"])


def target(answer: Answer) -> str:
    """Return what of a link follows `/api/v1`."""
    parts = urlsplit(link(answer))
    return f"{parts.path.partition('/api/v1')[2]}?{parts.query}"


@pytest.fixture
def filled(raw: Raw, store: str) -> str:
    """A bucket with records of ten bytes at 1 and 2."""
    raw("POST", f"/b/{store}/e?ts=1", {"Content-Type": "x/y", "x-reduct-label-a": "1"}, CONTENT)
    raw("POST", f"/b/{store}/e?ts=2", body=b"second one")
    return store


# --- seals -------------------------------------------------------------------------------------


def sealed(secret: str = "secret") -> dict[str, str]:
    return links.seal(links.parse_link(document("b")), secret)


def test_seal_is_opened_by_its_secret() -> None:
    request = links.parse_link(document("b", query={"query_type": "QUERY", "start": 2**64 - 1}))
    assert links.unseal(links.seal(request, "secret"), "secret") == request


def test_seals_of_one_request_differ() -> None:
    assert sealed() != sealed()


def test_seal_is_not_opened_by_another_secret() -> None:
    with pytest.raises(ApiError) as caught:
        links.unseal(sealed(), "other")
    assert caught.value.status == 422


@given(name=st.sampled_from(["ct", "s", "n"]), data=st.data())
def test_damaged_seals(name: str, data: st.DataObject) -> None:
    params = sealed()
    place = data.draw(st.integers(0, len(params[name]) - 1))
    char = data.draw(st.sampled_from("AZaz09-_+/= é").filter(lambda c: c != params[name][place]))
    params[name] = params[name][:place] + char + params[name][place + 1 :]
    with pytest.raises(ApiError) as caught:
        links.unseal(params, "secret")
    assert caught.value.status == 422


@pytest.mark.parametrize(("name", "value"), [("s", "AAAA"), ("n", ""), ("n", "AAAA"), ("s", "")])
def test_lengths_that_end_the_real_server(name: str, value: str) -> None:
    with pytest.raises(links.LinkLengthError):
        links.unseal({**sealed(), name: value}, "secret")


def test_request_that_bursts_is_not_unpacked() -> None:
    request = links.parse_link(document("b", entry="x" * (links.MAX_DOCUMENT_SIZE + 1)))
    with pytest.raises(ApiError):
        links.unseal(links.seal(request, "secret"), "secret")


@pytest.mark.parametrize(
    "changes",
    [
        {"bucket": None},
        {"entry": 1},
        {"record_entry": 1},
        {"record_timestamp": -1},
        {"record_timestamp": "1"},
        {"query": None},
        {"query": {}},
        {"query": []},
        {"expire_at": None},
        {"expire_at": "1"},
        {"expire_at": 1.5},
        {"expire_at": True},
        {"expire_at": 9 * 10**15},
        {"base_url": 1},
    ],
)
def test_refused_requests(raw: Raw, changes: dict[str, object]) -> None:
    with pytest.raises(ApiError) as caught:
        links.parse_link(document("b", **changes))
    assert caught.value.status == 422
    assert created(raw, "b", **changes).status == 422


# --- ranges ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("0-0", [(0, 0)]),
        ("2-4", [(2, 4)]),
        (" 2-4 ", [(2, 4)]),
        ("2-", [(2, 9)]),
        ("-3", [(7, 9)]),
        ("-10", [(0, 9)]),
        ("-11", [(0, 9)]),
        ("-0", []),
        ("0-99", [(0, 9)]),
        ("9-", [(9, 9)]),
        ("10-", []),
        ("10-12", []),
        ("4-2", []),
        ("0-0,5-6", [(0, 0), (5, 6)]),
        ("0-0, 50-60, -1", [(0, 0), (9, 9)]),
        ("0-1,junk", [(0, 1)]),
        ("-", []),
        ("", []),
        ("x", []),
        ("1-x", []),
        ("--1", []),
        ("1-2-3", []),
        ("+1-2", [(1, 2)]),
        ("0-" + "9" * 5000, []),
    ],
)
def test_ranges(header: str, expected: list[tuple[int, int]]) -> None:
    assert links.parse_ranges(f"bytes={header}", 10) == expected


@given(header=st.lists(st.sampled_from("0123456789-, "), max_size=12).map("".join))
def test_ranges_are_within_the_record(header: str) -> None:
    for size in (0, 1, 10):
        for first, last in links.parse_ranges(f"bytes={header}", size):
            assert 0 <= first <= last < size


# --- base URLs ---------------------------------------------------------------------------------

GOOD_URLS = [
    "http://example.com",
    "http://example.com/base/",
    "http:example.com",
    "http:///x",
    "http://[::1]:8/z",
    "http://user:pass@host/x",
    "http://a_b/",
    "ftp://x/y",
    "foo://host",
]

BAD_URLS = [
    "",
    "/x",
    "localhost:8383",
    "http://",
    "http://a b/",
    "http://a%20b/",
    "http://x:99999/",
    "http://x:y/",
    "http://[::1/",
    "file:///x",
    "foo:///bar",
    "mailto:x",
]


@pytest.mark.parametrize("url", GOOD_URLS)
def test_base_url(raw: Raw, url: str) -> None:
    slash = "" if url.endswith("/") else "/"
    assert link(created(raw, "b", base_url=url)).startswith(f"{url}{slash}api/v1/links/f.txt?ct=")


@pytest.mark.parametrize("url", BAD_URLS)
def test_refused_base_url(raw: Raw, url: str) -> None:
    assert created(raw, "b", base_url=url).status == 422


# --- creation ----------------------------------------------------------------------------------


def test_link(raw: Raw, server: Server, filled: str) -> None:
    url = link(created(raw, filled, "a/b%20c%2F.txt"))
    pattern = re.escape(f"{server.url}/api/v1/links/a/b c/.txt") + (
        r"\?ct=[A-Za-z0-9_-]+&s=[A-Za-z0-9_-]{22}&i=AUTHENTICATION-DISABLED&n=[A-Za-z0-9_-]{22}"
    )
    assert re.fullmatch(pattern, url), url


def test_public_url(new_server: NewServer) -> None:
    with new_server(env={"RS_PUBLIC_URL": "https://store.example/x"}) as server:
        with closing(Raw(server.url)) as raw:
            url = link(created(raw, "b"))
    assert url.startswith("https://store.example/x/api/v1/links/f.txt?")


def test_base_path(new_server: NewServer) -> None:
    with new_server(env={"RS_API_BASE_PATH": "/base"}) as server, closing(Raw(server.url)) as raw:
        url = link(created(raw, "b"))
        assert url.startswith(f"http://127.0.0.1:{server.port}/base/api/v1/links/f.txt?")


@pytest.mark.parametrize(
    "changes",
    [{"record_entry": None}, {"record_timestamp": None}, {"query": {"query_type": "REMOVE"}}],
)
def test_requests_without_a_record(raw: Raw, changes: dict[str, object]) -> None:
    assert created(raw, "b", **changes).status == 422


def test_nothing_need_exist(raw: Raw) -> None:
    answer = created(raw, "none", query={"query_type": "QUERY", "when": {"$unknown": [1]}})
    assert raw("GET", target(answer)).status == 404


@pytest.mark.parametrize(("method", "status"), [("POST", 405), ("GET", 404)])
def test_name_is_needed(raw: Raw, method: str, status: int) -> None:
    body = json.dumps(document("b")).encode() if method == "POST" else b""
    assert raw(method, "/links/", body=body).status == status


# --- download ----------------------------------------------------------------------------------


def test_download(raw: Raw, filled: str) -> None:
    answer = raw("GET", target(created(raw, filled)))
    assert (answer.status, answer.body) == (200, CONTENT)
    assert answer.header("content-type") == "x/y"
    assert answer.header("content-length") == "10"
    assert answer.header("accept-ranges") == "bytes"
    assert answer.header("x-reduct-time") == "1"
    assert answer.header("x-reduct-entry") == "e"
    assert answer.header("x-reduct-label-a") == "1"
    assert answer.header("content-disposition") == "attachment"
    head = raw("HEAD", target(created(raw, filled)))
    assert (head.status, head.body, head.header("content-length")) == (200, b"", "10")


@pytest.mark.parametrize(
    ("header", "status", "body", "content_range"),
    [
        ("bytes=0-1", 206, b"01", "bytes 0-1/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=0-0,8-9", 206, b"089", "bytes 0-0/10"),
        ("bytes=0-1,x", 206, b"01", "bytes 0-1/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=3-1", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=x", 416, b"", "bytes */10"),
    ],
)
def test_range(
    raw: Raw, filled: str, header: str, status: int, body: bytes, content_range: str
) -> None:
    answer = raw("GET", target(created(raw, filled)), {"Range": header})
    assert (answer.status, answer.body) == (status, body)
    assert answer.header("content-range") == content_range
    assert answer.header("content-length") == str(len(body))
    assert answer.header("accept-ranges") == "bytes"


@pytest.mark.parametrize(
    ("header", "status", "size", "content_range"),
    [
        ("bytes=0-5000000", 206, 2_000_000, "bytes 0-1999999/2000000"),
        ("bytes=-5000000", 206, 2_000_000, "bytes 0-1999999/2000000"),
        ("bytes=1000000-1999999", 206, 1_000_000, "bytes 1000000-1999999/2000000"),
        ("bytes=5000000-6000000", 416, 0, "bytes */2000000"),
        ("items=0-1", 200, 2_000_000, None),
    ],
)
def test_range_is_clamped(
    caplog: pytest.LogCaptureFixture, header: str, status: int, size: int, content_range: str | None
) -> None:
    """Not on the real server: it pads, hangs up, or ends."""
    content = bytes(range(250)) * 8000
    with reduct_local.Server() as server, closing(Raw(server.url)) as raw:
        bucket = raw.new_bucket()
        raw("POST", f"/b/{bucket}/e?ts=1", body=content)
        answer = raw("GET", target(created(raw, bucket)), {"Range": header})
    assert (answer.status, len(answer.body)) == (status, size)
    assert answer.header("content-range") == content_range
    assert answer.body == content[len(content) - size :]
    assert ("ends the real server" in caplog.text) == header.startswith("items")


def test_another_record_of_the_query(raw: Raw, filled: str) -> None:
    path = target(created(raw, filled))
    assert raw("GET", f"{path}&e=e&ts=2").body == b"second one"
    assert raw("GET", f"{path}&e=e&ts=3").status == 404
    assert raw("GET", f"{path}&e=x&ts=1").status == 404
    assert raw("GET", f"{path}&e=e").status == 422
    assert raw("GET", f"{path}&ts=2").status == 422
    assert raw("GET", f"{path}&e=e&ts=x").status == 422


def test_record_must_be_in_the_query(raw: Raw, filled: str) -> None:
    query = {"query_type": "QUERY", "start": 2, "stop": 9}
    assert raw("GET", target(created(raw, filled, query=query))).status == 404
    assert raw("GET", target(created(raw, filled, record_timestamp=2, query=query))).status == 200
    entries = {"query_type": "QUERY", "entries": ["x"]}
    assert raw("GET", target(created(raw, filled, query=entries))).status == 404
    condition = {"query_type": "QUERY", "when": {"&a": {"$eq": 1}}}
    assert raw("GET", target(created(raw, filled, query=condition))).status == 200
    wrong = {"query_type": "QUERY", "when": {"$unknown": [1]}}
    assert raw("GET", target(created(raw, filled, query=wrong))).status == 422


def test_record_behind_many_batches(raw: Raw, store: str) -> None:
    for part in range(3):
        headers = {f"x-reduct-time-{part * 80 + time}": "1," for time in range(80)}
        raw("POST", f"/b/{store}/e/batch", headers, b"x" * 80)
    assert raw("GET", target(created(raw, store, record_timestamp=239))).status == 200
    assert raw("GET", target(created(raw, store, record_timestamp=240))).status == 404


@pytest.mark.parametrize("name", ["ct", "s", "i", "n"])
def test_parameters_are_needed(raw: Raw, filled: str, name: str) -> None:
    path = target(created(raw, filled))
    assert (
        raw("GET", re.sub(rf"[?&]{name}=[^&]*", "&", path, count=1).replace("&", "?", 1)).status
        == 422
    )


def test_damaged_link(raw: Raw, filled: str) -> None:
    path = target(created(raw, filled))
    assert raw("GET", path.replace("ct=", "ct=AAAA")).status == 422
    assert raw("GET", path.replace("ct=", "ct=!")).status == 422


def test_expired_link(raw: Raw, filled: str) -> None:
    assert raw("GET", target(created(raw, filled, expire_at=1))).status == 422
    assert raw("GET", target(created(raw, filled, expire_at=-5))).status == 422


def test_link_expires_by_the_clock() -> None:
    clock = reduct_local.ManualClock(FAR * 1_000_000)
    with reduct_local.Server(clock=clock) as server, closing(Raw(server.url)) as raw:
        bucket = raw.new_bucket()
        raw("POST", f"/b/{bucket}/e?ts=1", body=CONTENT)
        path = target(created(raw, bucket, expire_at=FAR + 10))
        clock.advance(10)
        assert raw("GET", path).status == 200
        clock.advance(0.5)
        assert raw("GET", path).status == 422


def test_continuous_query_without_the_record() -> None:
    """The real server would search for ever."""
    env = {"RS_IO_BATCH_TIMEOUT": "1", "RS_IO_BATCH_RECORDS_TIMEOUT": "1"}
    with reduct_local.Server(env=env) as server, closing(Raw(server.url)) as raw:
        bucket = raw.new_bucket()
        raw("POST", f"/b/{bucket}/e?ts=1", body=CONTENT)
        query = {"query_type": "QUERY", "continuous": True}
        assert raw("GET", target(created(raw, bucket, query=query))).status == 200
        path = target(created(raw, bucket, query=query, record_timestamp=2))
        assert raw("GET", path).status == 404


def test_query_without_contents(caplog: pytest.LogCaptureFixture) -> None:
    with reduct_local.Server() as server, closing(Raw(server.url)) as raw:
        bucket = raw.new_bucket()
        raw("POST", f"/b/{bucket}/e?ts=1", body=CONTENT)
        query = {"query_type": "QUERY", "only_metadata": True}
        path = target(created(raw, bucket, query=query))
        assert raw("GET", path).status == 422
        assert raw("HEAD", path).status == 200
    assert "only_metadata" in caplog.text


def test_removed_record_is_gone_at_once() -> None:
    """The real server may deliver it from a cache for ten minutes."""
    with reduct_local.Server() as server, closing(Raw(server.url)) as raw:
        bucket = raw.new_bucket()
        raw("POST", f"/b/{bucket}/e?ts=1", body=CONTENT)
        path = target(created(raw, bucket))
        assert raw("GET", path).status == 200
        assert raw("PATCH", f"/b/{bucket}/e?ts=1", {"x-reduct-label-a": "1"}).status == 200
        assert raw("GET", path).header("x-reduct-label-a") == "1"
        assert raw("DELETE", f"/b/{bucket}/e?ts=1").status == 200
        assert raw("GET", path).status == 404


def test_lengths_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with reduct_local.Server() as server, closing(Raw(server.url)) as raw:
        path = target(created(raw, "b"))
        assert raw("GET", re.sub("&n=[^&]*", "&n=AAAA", path)).status == 422
    assert "ends the real server" in caplog.text


# --- tokens ------------------------------------------------------------------------------------


def new_token(owner: Raw, name: str, bucket: str) -> str:
    body = json.dumps({"permissions": {"read": [bucket]}}).encode()
    return str(json.loads(owner("POST", f"/tokens/{name}", body=body).body)["value"])


def test_link_lives_with_its_token(auth_server: Server) -> None:
    with closing(Raw(auth_server.url, auth_server.token)) as owner:
        bucket = owner.new_bucket()
        owner("POST", f"/b/{bucket}/e?ts=1", body=CONTENT)
        value = new_token(owner, bucket, bucket)
        with closing(Raw(auth_server.url, value)) as reader:
            path = target(created(reader, bucket))
            assert f"&i={bucket}&" in path
            assert created(reader, "other").status == 403
        with closing(Raw(auth_server.url)) as stranger:
            assert created(stranger, bucket).status == 401
            assert created(stranger, bucket, query={}).status == 422
            assert stranger("GET", path).status == 200
            assert stranger("GET", path.replace(f"i={bucket}", "i=none")).status == 404
            assert stranger("GET", path.replace(f"i={bucket}", "i=init-token")).status == 422
            assert owner("POST", f"/tokens/{bucket}/rotate").status == 200
            assert stranger("GET", path).status == 422
            assert owner("DELETE", f"/tokens/{bucket}").status == 200
            assert stranger("GET", path).status == 404
        owner("DELETE", f"/b/{bucket}")


def test_link_needs_the_permission_of_its_token(auth_server: Server) -> None:
    with closing(Raw(auth_server.url, auth_server.token)) as owner:
        bucket = owner.new_bucket()
        new_token(owner, bucket, bucket)
        value = json.loads(owner("POST", f"/tokens/{bucket}/rotate").body)["value"]
        with closing(Raw(auth_server.url, value)) as reader:
            path = target(created(reader, bucket))
        # A removed bucket is taken out of the permissions.
        owner("DELETE", f"/b/{bucket}")
        assert owner("GET", path).status == 403
        owner("DELETE", f"/tokens/{bucket}")


def test_link_of_an_expired_token() -> None:
    clock = reduct_local.ManualClock(1_000_000_000_000_000)
    with reduct_local.Server(token="secret", clock=clock) as server:
        with closing(Raw(server.url, "secret")) as owner:
            bucket = owner.new_bucket()
            owner("POST", f"/b/{bucket}/e?ts=1", body=CONTENT)
            body = {"permissions": {"read": ["*"]}, "expires_at": "2001-09-09T02:00:00Z"}
            value = json.loads(owner("POST", "/tokens/t", body=json.dumps(body).encode()).body)
            with closing(Raw(server.url, value["value"])) as reader:
                path = target(created(reader, bucket))
            assert owner("GET", path).status == 200
            clock.advance(3600)
            assert owner("GET", path).status == 401


def test_link_outlives_a_restart(new_server: NewServer) -> None:
    with new_server(token="secret") as server:
        with closing(Raw(server.url, "secret")) as raw:
            bucket = raw.new_bucket()
            raw("POST", f"/b/{bucket}/e?ts=1", body=CONTENT)
            value = new_token(raw, "t", bucket)
        with closing(Raw(server.url, value)) as raw:
            path = target(created(raw, bucket))
        server.restart()
        with closing(Raw(server.url)) as raw:
            assert raw("GET", path).body == CONTENT


def test_egress_limit(new_server: NewServer) -> None:
    env = {"RS_RATE_LIMIT_EGRESS": "15/h"}
    with new_server(env=env) as server, closing(Raw(server.url)) as raw:
        bucket = raw.new_bucket()
        raw("POST", f"/b/{bucket}/e?ts=1", body=CONTENT)
        path = target(created(raw, bucket))
        assert raw("GET", path, {"Range": "bytes=0-4"}).status == 206
        assert raw("GET", path).status == 200
        assert raw("GET", path, {"Range": "bytes=0-0"}).status == 429
