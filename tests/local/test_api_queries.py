"""Creation of queries and removal by query, by raw calls."""

import json
from contextlib import closing

import pytest

import reduct_local
from tests.differential.wire import Answer
from tests.local.raw_calls import Raw, with_prefix
from tests.servers import Server


def post(raw: Raw, target: str, **fields: object) -> Answer:
    return raw("POST", target, body=json.dumps(fields).encode())


def removed(answer: Answer) -> int:
    assert answer.status == 200, answer
    return int(json.loads(answer.body)["removed_records"])


def times(raw: Raw, store: str, answer: Answer) -> list[int]:
    """Read the query of an answer in batches; return the timestamps."""
    assert answer.status == 200, answer
    number = json.loads(answer.body)["id"]
    batch = raw("GET", f"/b/{store}/e/batch?q={number}")
    return sorted(map(int, with_prefix(batch, "x-reduct-time-"))) if batch.status == 200 else []


@pytest.fixture
def filled(raw: Raw, store: str) -> str:
    """A bucket with records at 0, 10 ... 50 of `e` and one of `f`."""
    headers = {f"x-reduct-time-{time}": f"1,,n={time}" for time in range(0, 60, 10)}
    assert raw("POST", f"/b/{store}/e/batch", headers, b"012345").status == 200
    assert raw("POST", f"/b/{store}/f?ts=7", body=b"f").status == 200
    return store


def test_json_query(raw: Raw, filled: str) -> None:
    answer = post(raw, f"/b/{filled}/e/q", query_type="QUERY", start=10, stop=30)
    assert answer.header("content-type") == "application/json"
    assert times(raw, filled, answer) == [10, 20]
    conditional = post(raw, f"/b/{filled}/e/q", query_type="QUERY", when={"&n": {"$gt": 20}})
    assert times(raw, filled, conditional) == [30, 40, 50]


def test_single_reads_of_a_query(raw: Raw, filled: str) -> None:
    number = json.loads(post(raw, f"/b/{filled}/e/q", query_type="QUERY", start=40).body)["id"]
    target = f"/b/{filled}/e?q={number}"
    assert [raw("GET", target).body for _ in range(2)] == [b"4", b"5"]
    ended = raw("GET", target)
    assert (ended.status, ended.body, ended.header("x-reduct-error")) == (204, b"", "No content")
    assert raw("GET", target).status == 400


def test_query_by_parameters(raw: Raw, filled: str) -> None:
    answer = raw("GET", f"/b/{filled}/e/q?start=10&stop=30&limit=1&include-n=10&ttl=5")
    assert times(raw, filled, answer) == [10, 20]
    assert times(raw, filled, raw("GET", f"/b/{filled}/e/q")) == [0, 10, 20, 30, 40, 50]
    assert times(raw, filled, raw("GET", f"/b/{filled}/e/q?start=20&start=30")) == [30, 40, 50]


def test_head_starts_a_query_too(raw: Raw, filled: str) -> None:
    first, second = (json.loads(raw("GET", f"/b/{filled}/e/q").body)["id"] for _ in range(2))
    assert raw("HEAD", f"/b/{filled}/e/q").status == 200
    assert json.loads(raw("GET", f"/b/{filled}/e/q").body)["id"] - second == 2 * (second - first)


@pytest.mark.parametrize(
    "query", ["start=x", "stop=-1", "ttl=1.5", "continuous=1", "continuous=True", "start=9&stop=1"]
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_refused_parameters(raw: Raw, filled: str, query: str, method: str) -> None:
    assert raw(method, f"/b/{filled}/e/q?{query}").status == 422
    assert raw("GET", f"/b/{filled}/none/q?{query}").status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"{",
        b'{"query_type":"query"}',
        b'{"query_type":1}',
        b'{"query_type":"QUERY","start":-1}',
        b'{"query_type":"QUERY","start":1.0}',
        b'{"query_type":"QUERY","start":"1"}',
        b'{"query_type":"QUERY","continuous":1}',
        b'{"query_type":"QUERY","entries":"e"}',
    ],
)
@pytest.mark.parametrize("target", ["/b/{}/e/q", "/io/{}/q"])
def test_refused_json(raw: Raw, auth_server: Server, filled: str, body: bytes, target: str) -> None:
    assert raw("POST", target.format(filled), body=body).status == 422
    # Before the token is looked at.
    with closing(Raw(auth_server.url)) as stranger:
        assert stranger("POST", target.format(filled), body=body).status == 422


@pytest.mark.parametrize("when", [{"$unknown": [1]}, {"#unknown": 1}, []])
def test_conditions_are_looked_at_after_everything_else(
    raw: Raw, auth_server: Server, filled: str, when: object
) -> None:
    fields = {"query_type": "QUERY", "when": when}
    assert post(raw, f"/b/{filled}/e/q", **fields).status == 422
    assert post(raw, f"/io/{filled}/q", **fields).status == 422
    assert post(raw, f"/b/{filled}/none/q", **fields).status == 404
    assert post(raw, f"/io/none{filled}/q", **fields).status == 404
    with closing(Raw(auth_server.url)) as stranger:
        assert post(stranger, f"/b/{filled}/e/q", **fields).status == 401


def test_extensions_are_unknown(raw: Raw, filled: str) -> None:
    fields = {"query_type": "QUERY", "ext": {"images": {"scale": 2}}}
    assert post(raw, f"/b/{filled}/e/q", **fields).status == 422
    assert post(raw, f"/io/{filled}/q", **fields).status == 422


def test_large_bodies(raw: Raw, filled: str) -> None:
    body = json.dumps({"query_type": "QUERY", "x": "x" * 2_100_000}).encode()
    assert raw("POST", f"/b/{filled}/e/q", body=body).status == 200
    answer = raw("POST", f"/io/{filled}/q", body=body)
    assert (answer.status, answer.header("x-reduct-error")) == (413, None)


def test_remove_by_json(raw: Raw, filled: str) -> None:
    target = f"/b/{filled}/e/q"
    assert removed(post(raw, target, query_type="REMOVE", start=10, stop=30)) == 2
    assert removed(post(raw, target, query_type="REMOVE", when={"&n": {"$eq": 50}})) == 1
    assert times(raw, filled, raw("GET", target)) == [0, 30, 40]


def test_remove_over_entries(raw: Raw, filled: str) -> None:
    target = f"/io/{filled}/q"
    assert removed(post(raw, target, query_type="REMOVE", entries=["e"], start=0, stop=20)) == 2
    assert removed(post(raw, target, query_type="REMOVE", entries=["*"])) == 5


@pytest.mark.parametrize("target", ["/b/{}/e/q", "/io/{}/q", "/b/none{}/e/q", "/io/none{}/q"])
def test_remove_needs_a_filter(raw: Raw, filled: str, target: str) -> None:
    path = target.format(filled)
    assert post(raw, path, query_type="REMOVE").status == 422
    assert post(raw, path, query_type="REMOVE", start=None, include={"a": 1}).status == 422
    status = 404 if "none" in target else 200
    assert post(raw, path, query_type="REMOVE", strict=False, start=99, stop=99).status == status


def test_removal_creates_the_entry(raw: Raw, filled: str) -> None:
    answer = post(raw, f"/b/{filled}/x/y/q", query_type="REMOVE", start=0, stop=9)
    assert removed(answer) == 0
    assert raw("DELETE", f"/b/{filled}/z/q").status == 422
    names = [entry["name"] for entry in json.loads(raw("GET", f"/b/{filled}").body)["entries"]]
    assert names == ["e", "f", "x", "x/y", "z"]
    assert post(raw, f"/b/{filled}/e!/q", query_type="REMOVE", start=0).status == 422


def test_remove_by_parameters(raw: Raw, filled: str) -> None:
    assert removed(raw("DELETE", f"/b/{filled}/e/q?start=10&stop=30")) == 2
    # Filters that do not exist any more are ignored: everything goes.
    assert removed(raw("DELETE", f"/b/{filled}/e/q?include-n=0")) == 4
    assert raw("DELETE", f"/b/{filled}/e/$meta/q?start=0").status == 422
    assert raw("DELETE", f"/b/none{filled}/e/q?start=0").status == 404


def test_permissions(auth_server: Server) -> None:
    with closing(Raw(auth_server.url, auth_server.token)) as owner:
        bucket = owner.new_bucket()
        owner("POST", f"/b/{bucket}/e?ts=1", body=b"x")
        values = {}
        for kind in ("read", "write"):
            permissions = json.dumps({"permissions": {kind: [bucket]}}).encode()
            answer = owner("POST", f"/tokens/{bucket}-{kind}", body=permissions)
            values[kind] = json.loads(answer.body)["value"]
        for kind, token in values.items():
            with closing(Raw(auth_server.url, token)) as raw:
                for target in (f"/b/{bucket}/e/q", f"/io/{bucket}/q"):
                    found = [
                        post(raw, target, query_type=query_type, start=0, stop=0).status
                        for query_type in ("QUERY", "REMOVE")
                    ]
                    assert found == ([200, 403] if kind == "read" else [403, 200]), target
        owner("DELETE", f"/b/{bucket}")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'["QUERY",null,0,9,null,null,null,null,null,null]', 422),
        (b'{"query_type":{"QUERY":null}}', 422),
        (b'{"query_type":"QUERY","ignored":"\\ud800"}', 422),
        (b'{"query_type":"QUERY","ignored":"\xff"}', 422),
        (b'{"query_type":"QUERY","ignored":1e999}', 422),
        (b'{"query_type":"QUERY","query_type":"QUERY"}', 200),
    ],
)
def test_odd_json(body: bytes, status: int) -> None:
    """Not as the real server, whose parser decides the other way."""
    with reduct_local.Server() as server, closing(Raw(server.url)) as raw:
        assert raw("POST", f"/io/{raw.new_bucket()}/q", body=body).status == status
