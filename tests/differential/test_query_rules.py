"""The rules of queries, one script each, on the real and on the embedded server."""

import json
from typing import Any

import pytest

from tests.differential.pair import Pair
from tests.differential.wire import Call

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

MAX = 2**64 - 1


def bucket(**settings: object) -> Call:
    """Create the bucket of a script."""
    return Call("POST", "/b/<b0>", body=json.dumps(settings).encode() if settings else b"")


def write(timestamp: int, entry: str = "a", data: bytes = b"x", **labels: object) -> Call:
    """Write a record."""
    headers = tuple((f"x-reduct-label-{name}", str(value)) for name, value in labels.items())
    return Call("POST", f"/b/<b0>/{entry}?ts={timestamp}", headers, data)


def writes(count: int, entry: str = "a") -> list[Call]:
    """Write records at 1, 2, ... with a label `n` that counts to 2."""
    return [write(timestamp, entry, n=timestamp % 3) for timestamp in range(1, count + 1)]


def update(timestamp: int, entry: str = "a", **labels: object) -> Call:
    """Change labels of a record."""
    headers = tuple((f"x-reduct-label-{name}", str(value)) for name, value in labels.items())
    return Call("PATCH", f"/b/<b0>/{entry}?ts={timestamp}", headers)


def delete(timestamp: int, entry: str = "a") -> Call:
    """Remove a record."""
    return Call("DELETE", f"/b/<b0>/{entry}?ts={timestamp}", size=None)


def query(entry: str = "a", keep: str = "q", **members: Any) -> Call:
    """Create a query of one entry."""
    body = json.dumps({"query_type": "QUERY", **members}).encode()
    return Call("POST", f"/b/<b0>/{entry}/q", body=body, keep=keep)


def query_all(keep: str = "q", **members: Any) -> Call:
    """Create a query of `/io`."""
    body = json.dumps({"query_type": "QUERY", **members}).encode()
    return Call("POST", "/io/<b0>/q", body=body, keep=keep)


def remove(entry: str = "a", **members: Any) -> Call:
    """Remove by a query of one entry."""
    body = json.dumps({"query_type": "REMOVE", **members}).encode()
    return Call("POST", f"/b/<b0>/{entry}/q", body=body)


def remove_all(**members: Any) -> Call:
    """Remove by a query of `/io`."""
    body = json.dumps({"query_type": "REMOVE", **members}).encode()
    return Call("POST", "/io/<b0>/q", body=body)


def one(entry: str = "a", method: str = "GET", q: str = "q") -> Call:
    """Read a single record of a query."""
    return Call(method, f"/b/<b0>/{entry}?q=<{q}>", size=None)


def batch(entry: str = "a", method: str = "GET", q: str = "q") -> Call:
    """Read a batch of a query of one entry."""
    return Call(method, f"/b/<b0>/{entry}/batch?q=<{q}>", size=None)


def batch_all(method: str = "GET", q: str = "q") -> Call:
    """Read a batch of a query of `/io`."""
    return Call(method, "/io/<b0>/read", (("x-reduct-query-id", f"<{q}>"),), size=None)


LIST = Call("GET", "/b/<b0>", size=None)
N_IS_1 = {"&n": {"$eq": 1}}
META = "a/$meta"
WRONG: list[object] = [[], {"$x": 1}, {"#x": 1}]
QUICK = {"#batch_timeout": "1s", "#record_timeout": "500ms"}

SCRIPTS: dict[str, list[Call]] = {
    "ends": [
        bucket(),
        *writes(2),
        query(),
        one(),
        one(),
        one(),
        one(),
        batch(),
        query(),
        batch(),
        batch(),
        batch(),
        one(),
    ],
    "written after creation": [
        bucket(),
        *writes(1),
        query(stop=MAX),
        *writes(3)[1:],
        batch(),
        batch(),
        query(),
        write(9),
        batch(),
        one(),
    ],
    "written after creation to an empty entry": [
        bucket(),
        write(1),
        delete(1),
        query(start=0, stop=MAX),
        write(2),
        batch(),
        batch(),
    ],
    "labels changed after creation": [
        bucket(),
        *writes(4),
        query(when=N_IS_1),
        update(1, n=2),
        update(2, n=1),
        batch(),
        batch(),
    ],
    "strict": [
        bucket(),
        write(1, n=1),
        write(2),
        write(3, n=1),
        query(when=N_IS_1, strict=True),
        one(),
        one(),
        batch(),
        one(),
        query(when=N_IS_1),
        batch(),
    ],
    "strict and blocks": [
        bucket(max_block_records=2),
        *(write(t, n=1) for t in (1, 2, 3)),
        write(4),
        query(when=N_IS_1, strict=True),
        one(),
        one(),
        one(),
        one(),
        batch(),
        query(when=N_IS_1, strict=True),
        batch(),
        batch(),
        query(when={**N_IS_1, "#batch_records": 1}, strict=True),
        *([batch()] * 4),
    ],
    "no time to live": [
        bucket(),
        *writes(1),
        query(ttl=0),
        batch(),
        one(),
        query_all(ttl=0),
        query_all(ttl=0, entries=["none"]),
        batch_all(),
        remove(ttl=0),
        remove_all(ttl=0),
        remove(ttl=0, start=5, stop=1),
        LIST,
    ],
    "removal": [
        bucket(),
        *writes(8),
        remove(when=N_IS_1),
        LIST,
        remove(continuous=True, start=5),
        remove(start=9, stop=3),
        remove(start=2),
        remove("new", start=0),
        remove("b@d", start=0),
        remove("other", when={"$x": 1}),
        remove(),
        LIST,
        query(),
        batch(),
    ],
    "removal with errors": [
        bucket(max_block_records=2),
        *writes(2),
        write(3),
        write(4, n=1),
        remove(when={"&n": {"$gte": 0}}, strict=True),
        LIST,
        query(start=0, stop=9),
        batch(),
    ],
    "removal from several": [
        bucket(),
        write(1),
        write(2, "b/c"),
        write(3, "d"),
        LIST,
        remove_all(entries=["b/**"], start=0, stop=10),
        remove_all(entries=["*"], start=2),
        remove_all(entries=["d", "a"], start=0, stop=9),
        remove_all(),
        LIST,
    ],
    "several entries": [
        bucket(),
        write(1),
        write(2, "b"),
        write(3, "b"),
        write(3),
        query_all(),
        batch_all(),
        batch_all(),
        query_all(entries=["none"]),
        batch_all(),
        batch_all(),
        query_all(entries=["a", "!a"]),
        batch_all(),
    ],
    "strict over several entries": [
        bucket(),
        write(1, n=1),
        write(2, "b"),
        write(3, n=1),
        query_all(when=N_IS_1, strict=True),
        batch_all(),
        batch_all(),
    ],
    "ranges of several entries": [
        bucket(),
        write(5, "a/b"),
        query_all(start=3),
        query_all(start=0),
        query_all(start=3, stop=9),
        batch_all(),
        query_all(start=3, continuous=True),
    ],
    "ranges": [
        bucket(),
        write(5),
        query(start=6),
        batch(),
        query(start=7),
        query(stop=4),
        query(stop=5),
        batch(),
        query(start=7, continuous=True, ttl=8),
        batch(),
    ],
    "the last time": [
        bucket(),
        write(MAX),
        query(),
        query(start=0),
        batch(),
        query(stop=5),
        query(start=0, stop=MAX),
        batch(),
        query(start=MAX, stop=MAX),
        batch(),
    ],
    "attachments": [
        bucket(),
        *(write(t, META, b"{}", key=f"k{t}") for t in (1, 2, 3)),
        update(2, META, remove="true"),
        query(META),
        batch(META),
        query(META, when={"$each_n": 2}),
        batch(META),
        query(META, when={"$not": [{"&key": {"$eq": "k1"}}]}),
        batch(META),
        query(META, when={"#ctx_before": 1, "&key": {"$eq": "k3"}}),
        batch(META),
        query(META, when={"$limit": 2}),
        batch(META),
        query_all(entries=[META, "a"]),
        batch_all(),
        remove(META, start=0, stop=9),
        query(META, start=0, stop=9),
        batch(META),
        Call("GET", f"/b/<b0>/{META}?ts=2", size=None),
        remove_all(entries=[META], start=0),
    ],
    "odd tombstones": [
        bucket(),
        write(1, META, b"{}", key="k"),
        update(1, META, remove="1"),
        query(META),
        batch(META),
        update(1, META, remove="x"),
        query(META),
        batch(META),
    ],
    "refused": [bucket(), *writes(1), query(when=[]), query(when={"$x": 1}), query(ext={})]
    + [query(ext=None), query(ext=1), query(ext={"x": {}}), query(when={"#ext": {"x": 1}})]
    + [query(when={"#ext": []}), query(when={"#ext": None}), remove(when={"#ext": {"x": 1}})]
    + [remove(ext={"x": 1}, start=0, stop=1), query("none"), query("none", when=[])]
    + [query(when={"#ctx_before": -1}), query(start=-1), query(start=1.5), query(ttl="1")]
    + [query(strict=1), query(continuous="x"), query(only_metadata=None), query(start=None)]
    + [Call("POST", "/b/<b0>/a/q", body=body) for body in (b"{}", b"[]", b'{"query_type":null}')],
    "refused over several entries": [bucket(), *writes(1), query_all(entries="a")]
    + [query_all(entries=[1]), query_all(when=[]), query_all(ext={"x": {}})]
    + [query_all(entries=["none"], when={"#ctx_before": -1}), batch_all()]
    + [query_all(entries=["none"], when=wrong) for wrong in WRONG]
    + [query_all(entries=["none"], ext={"x": {}})],
    "limits": [
        bucket(),
        *(write(t, data=b"12345") for t in range(1, 8)),
        query(when={"#batch_records": 3}),
        *([batch()] * 4),
        query(when={"#batch_size": 9}),
        batch(),
        batch(method="HEAD"),
        query(when={"#batch_metadata_size": 80}),
        *([batch()] * 3),
        query(when={"#batch_records": 0}),
        batch(),
        query(when={"#batch_records": 7}),
        *([batch()] * 3),
    ],
    "without content": [
        bucket(),
        *writes(3),
        query(only_metadata=True),
        one(method="HEAD"),
        *([batch(method="HEAD")] * 2),
        one(method="HEAD"),
    ],
    "selected labels": [
        bucket(),
        write(1, a=1, b=2),
        write(2, a=1),
        write(3, b=2),
        query(when={"#select_labels": ["a"]}),
        batch(),
        query(when={"#select_labels": ["a"], "#ctx_before": 1, "&b": {"$eq": 2}}),
        batch(),
    ],
    "renamed entry": [
        bucket(),
        *writes(2),
        write(2, "b"),
        query(),
        query("b", "of b"),
        query_all("of all"),
        Call("PUT", "/b/<b0>/a/rename", body=b'{"new_name":"z"}'),
        batch(),
        batch("z"),
        batch("b", q="of b"),
        batch_all(q="of all"),
    ],
    "removed entry": [
        bucket(),
        *writes(2),
        query(),
        Call("DELETE", "/b/<b0>/a", size=None),
        batch(),
        *writes(1),
        batch(),
    ],
    "ids of others": [
        bucket(),
        *writes(1),
        write(1, "b"),
        query(keep="x"),
        query_all("y"),
        batch(q="y"),
        batch_all(q="x"),
        batch("b", q="x"),
    ],
    "continuous": [
        bucket(),
        *writes(2),
        query(continuous=True, ttl=4, when={"$each_n": 2}),
        batch(),
        write(3),
        batch(),
        batch(),
        write(4),
        write(5),
        batch(),
    ],
    "continuous, single reads": [
        bucket(),
        *writes(2),
        query(continuous=True, ttl=4),
        one(),
        one(),
        one(),
        write(3),
        one(),
        one(),
    ],
    "continuous from an empty entry": [
        bucket(),
        write(1),
        delete(1),
        query(continuous=True, ttl=4),
        write(3),
        one(),
        one(),
        one(),
    ],
    "continuous from the future": [
        bucket(),
        write(5),
        query(continuous=True, ttl=4, start=100),
        write(50),
        write(200),
        *([batch()] * 3),
    ],
    "continuous with a limit": [
        bucket(),
        *writes(5),
        query(continuous=True, ttl=4, when={"$limit": 2}),
        *([batch()] * 4),
    ],
    "continuous and strict": [
        bucket(),
        write(1, n=1),
        write(2),
        query(continuous=True, ttl=4, when=N_IS_1, strict=True),
        *([batch()] * 3),
    ],
    "continuous over several entries": [
        bucket(),
        write(1),
        write(1, "b"),
        query_all(continuous=True, ttl=8, when=QUICK),
        batch_all(),
        write(2),
        *([batch_all()] * 3),
    ],
    "timeouts of 0": [
        bucket(),
        *writes(1),
        query_all(continuous=True, when={"#batch_timeout": 0, "#record_timeout": 0}),
        *([batch_all()] * 3),
    ],
}
"""What is done to a bucket, by the rule that it is about."""


@pytest.mark.parametrize("name", SCRIPTS)
def test_rules(pair: Pair, name: str) -> None:
    """Both servers answer all calls of a script alike."""
    difference = pair.first_difference(SCRIPTS[name])
    assert difference is None, str(difference)
