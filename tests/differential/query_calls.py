"""Calls to draw: queries of one entry and of several, and what reads them."""

from typing import Any

from hypothesis import strategies as st

from tests.differential.calls import MAX, buckets, document, entries, path, times
from tests.differential.wire import Call

PATTERNS = [
    "*",
    "a",
    "a*",
    "a/**",
    "*/sub",
    "b",
    "!b",
    "!a/**",
    "/a",
    "**",
    "a/$meta",
    "missing",
    "!",
]

conditions: st.SearchStrategy[Any] = st.sampled_from(
    [
        {},
        {"&a": {"$eq": 1}},
        {"&a": {"$gt": 1}},
        {"$has": ["a"]},
        {"$limit": 2},
        {"$each_n": 2},
        {"$each_t": "2us"},
        {"$not": ["&a"]},
        {"#ctx_before": 1, "&a": {"$eq": 1}},
        {"#ctx_after": 1, "$each_n": 3},
        {"#select_labels": ["a", "key"]},
        {"#batch_records": 2},
        {"#batch_size": 5},
        {"#batch_metadata_size": 60},
        {"#unknown": 1},
        {"$unknown": 1},
        {"$gte": ["$timestamp", 3]},
        {"&b": {"$contains": "a"}},
        True,
        False,
        "&a",
        1,
        None,
        [],
        {"a": 1},
    ]
)

request_fields: dict[str, st.SearchStrategy[Any]] = {
    "start": st.one_of(times, st.sampled_from([None, -1, 1.5, "1"])),
    "stop": st.one_of(times, st.sampled_from([None, MAX + 1])),
    "ttl": st.sampled_from([60, 3600, None, "1", -1]),
    "when": conditions,
    "strict": st.sampled_from([True, False, None, 1]),
    "ext": st.sampled_from([None, {}, [], {"unknown": {}}]),
    "continuous": st.sampled_from([False, None]),
    "limit": st.just(1),
    "include": st.just({"a": "1"}),
}


def requests(
    kind: st.SearchStrategy[Any], **more: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Return bodies of queries: few fields, nearly always of the right type."""
    always = {"query_type": kind}
    whole_range = {"start": st.just(0), "stop": st.just(MAX)}
    return st.one_of(
        st.fixed_dictionaries({**always, **whole_range, "when": conditions, **more}),
        st.fixed_dictionaries({**always, **more}, optional=request_fields),
    )


only_query = st.just("QUERY")
kinds = st.sampled_from(["QUERY", "REMOVE", "query", None, 1])
selections = st.lists(st.sampled_from(PATTERNS), max_size=3)


@st.composite
def query(draw: st.DrawFn, number: int) -> list[Call]:
    """Make a query of one entry or of several, and read it in one way to its end and beyond."""
    name, bucket, entry = f"q{number}", draw(buckets), draw(entries)
    heads_only = draw(st.integers(0, 4)) == 0
    several = draw(st.booleans())
    more = {"entries": selections} if several else {}
    content = draw(requests(only_query, **more))
    if heads_only:
        name, content = f"head{number}", {**content, "only_metadata": True}
    target = f"/io/{bucket}/q" if several else path(bucket, entry, "/q")
    reads = [
        Call(draw(methods(heads_only)), *place(bucket, entry, name, draw(ways(several))), size=None)
        for _ in range(draw(st.integers(1, 4)))
    ]
    return [Call("POST", target, body=document(content), keep=name), *reads]


def methods(heads_only: bool) -> st.SearchStrategy[str]:
    """Return the methods that read a query."""
    return st.just("HEAD") if heads_only else st.sampled_from(["GET", "GET", "GET", "HEAD"])


def ways(several: bool) -> st.SearchStrategy[str]:
    """Return the ways to read a query, now and then those of the other kind."""
    usual = ["several"] * 8 if several else ["batch"] * 6 + ["single"] * 2
    return st.sampled_from([*usual, "several", "batch", "single"])


def place(bucket: str, entry: str, name: str, way: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return target and headers of a read."""
    if way == "several":
        return f"/io/{bucket}/read", (("x-reduct-query-id", f"<{name}>"),)
    return path(bucket, entry, ("/batch" if way == "batch" else "") + f"?q=<{name}>"), ()


@st.composite
def removal(draw: st.DrawFn) -> Call:
    """Remove what a query selects."""
    bucket, entry = draw(buckets), draw(entries)
    if draw(st.booleans()):
        content = draw(requests(kinds, entries=selections))
        return Call("POST", f"/io/{bucket}/q", body=document(content))
    return Call("POST", path(bucket, entry, "/q"), body=document(draw(requests(kinds))))


@st.composite
def old_query(draw: st.DrawFn, number: int) -> list[Call]:
    """Make a query by GET, or remove by DELETE."""
    bucket, entry, name = draw(buckets), draw(entries), f"old{number}"
    given = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "start": times.map(str),
                "stop": times.map(str),
                "ttl": st.sampled_from(["60", "x", "-1"]),
                "continuous": st.sampled_from(["false", "1", "False"]),
                "limit": st.just("1"),
            },
        )
    )
    query = "&".join(f"{key}={value}" for key, value in given.items())
    target = path(bucket, entry, f"/q?{query}".removesuffix("?"))
    method = draw(st.sampled_from(["GET", "GET", "HEAD", "DELETE"]))
    read = Call("GET", path(bucket, entry, f"/batch?q=<{name}>"), size=None)
    return [Call(method, target, size=None, keep=name), read]
