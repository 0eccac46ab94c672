"""Calls to draw: tokens and permissions, and links."""

from typing import Any

from hypothesis import strategies as st

from tests.differential.calls import document
from tests.differential.wire import Call

# --- Tokens ---------------------------------------------------------------------------------------

NAMES = ["<b0>-t", "<b0>-t", "<b0>-u", "<b0>-%C3%A4", "missing", "init-token"]
names = st.sampled_from(NAMES)

patterns = st.sampled_from(["<b0>", "<b1>", "<b0>*", "*", "missing", "a b", "$system", "", 1, None])
permissions: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {},
    optional={
        "full_access": st.sampled_from([False, False, True, None, 1]),
        "read": st.lists(patterns, max_size=2),
        "write": st.lists(patterns, max_size=2),
        "unknown": st.just(1),
    },
)
usual_permissions = st.sampled_from(
    [
        {"full_access": True},
        {"read": ["<b0>"]},
        {"write": ["<b0>"]},
        {"read": ["<b0>*"], "write": ["<b1>"]},
        {},
    ]
)
token_requests: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries({"permissions": usual_permissions}),
    usual_permissions,
    st.fixed_dictionaries(
        {"permissions": st.one_of(permissions, usual_permissions)},
        optional={
            "expires_at": st.sampled_from(
                [
                    None,
                    "2100-01-01T00:00:00Z",
                    "2000-01-01T00:00:00Z",
                    "2100-01-01",
                    "x",
                    1,
                    "2100-01-01T00:00:00.123456Z",
                    "2100-01-01T02:00:00+02:00",
                ]
            ),
            "ttl": st.sampled_from([None, 0, 3600, -1, "1", 1.5]),
            "ip_allowlist": st.sampled_from(
                [[], None, ["127.0.0.1"], ["127.0.0.0/8", "x"], ["10.0.0.1"], "127.0.0.1"]
            ),
            "unknown": st.just(1),
        },
    ),
)


@st.composite
def token_call(draw: st.DrawFn) -> Call:
    """Make, rotate, remove or look at a token."""
    name = draw(names)
    new = draw(token_requests)
    return draw(
        st.sampled_from(
            [
                Call("POST", f"/tokens/{name}", body=document(new), keep="token"),
                Call("POST", f"/tokens/{name}", body=document(new), keep="token"),
                Call("POST", f"/tokens/{name}/rotate", keep="token"),
                Call("GET", f"/tokens/{name}", size=None),
                Call("DELETE", f"/tokens/{name}", size=None),
                Call("GET", "/tokens", size=None),
            ]
        )
    )


CREDENTIALS = ["Bearer <token>"] * 8 + [
    "Bearer wrong",
    "bearer <token>",
    "Bearer  <token>",
    "Bearer",
    "",
]

EVERYTHING = document({"query_type": "QUERY", "start": 0, "stop": 9})
REMOVAL = document({"query_type": "REMOVE", "start": 0, "stop": 9})
ONE = (("x-reduct-time-7", "0,"),)
IO = (("x-reduct-entries", "a"), ("x-reduct-start-ts", "8"), ("x-reduct-0-0", "0,"))

ANYTHING = [
    Call("GET", "/info", size=None),
    Call("GET", "/list", size=None),
    Call("GET", "/me", size=None),
    Call("HEAD", "/alive", size=None),
    Call("GET", "/ready", size=None),
    Call("GET", "/tokens", size=None),
    Call("GET", "/tokens/<b0>-t", size=None),
    Call("POST", "/tokens/<b0>-v", body=document({"permissions": {}})),
    Call("POST", "/tokens/<b0>-v", body=b"{"),
    Call("GET", "/b/<b0>", size=None),
    Call("HEAD", "/b/<b0>", size=None),
    Call("HEAD", "/b/missing", size=None),
    Call("GET", "/b/missing", size=None),
    Call("POST", "/b/<b1>"),
    Call("PUT", "/b/<b0>", body=b"{}"),
    Call("PUT", "/b/<b0>", body=b"x"),
    Call("POST", "/b/<b0>/a?ts=6", body=b"x"),
    Call("POST", "/b/<b0>/a?ts=x", body=b"x"),
    Call("GET", "/b/<b0>/a?ts=1", size=None),
    Call("GET", "/b/missing/a?ts=1", size=None),
    Call("PATCH", "/b/<b0>/a?ts=1", (("x-reduct-label-z", "1"),), size=None),
    Call("DELETE", "/b/<b0>/a?ts=5", size=None),
    Call("DELETE", "/b/<b0>/b", size=None),
    Call("DELETE", "/b/<b0>/a/$meta", size=None),
    Call("PUT", "/b/<b0>/b/rename", body=document({"new_name": "c"})),
    Call("POST", "/b/<b0>/a/batch", ONE),
    Call("PATCH", "/b/<b0>/a/batch", ONE),
    Call("DELETE", "/b/<b0>/a/batch", ONE),
    Call("POST", "/b/<b0>/a/q", body=EVERYTHING),
    Call("POST", "/b/<b0>/a/q", body=REMOVAL),
    Call("POST", "/b/<b0>/a/q", body=b"{}"),
    Call("GET", "/b/<b0>/a/q", size=None),
    Call("GET", "/b/<b0>/a/batch?q=1000000", size=None),
    Call("POST", "/io/<b0>/write", IO),
    Call("PATCH", "/io/<b0>/update", IO),
    Call("DELETE", "/io/<b0>/remove", IO),
    Call("POST", "/io/<b0>/q", body=EVERYTHING),
    Call("GET", "/io/<b0>/read", (("x-reduct-query-id", "1000000"),), size=None),
    Call("GET", "/replications", size=None),
    Call("GET", "/lifecycles", size=None),
    Call("DELETE", "/replications/missing", size=None),
    Call("PUT", "/lifecycles/missing", body=b"{}"),
    Call("GET", "/nowhere", size=None),
]
"""A call of each operation, for somebody who may or may not."""


@st.composite
def somebodys_call(draw: st.DrawFn) -> Call:
    """Do anything with the token that was made last, or with what is none."""
    call = draw(st.sampled_from(ANYTHING))
    return call._replace(
        headers=(*call.headers, ("authorization", draw(st.sampled_from(CREDENTIALS))))
    )


# --- Links ----------------------------------------------------------------------------------------

SELECTED: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"query_type": st.sampled_from(["QUERY", "QUERY", "QUERY", "REMOVE"])},
    optional={
        "start": st.sampled_from([0, 2, 9]),
        "stop": st.sampled_from([3, 10]),
        "entries": st.sampled_from([[], ["a"], ["*"], ["b"], ["a/**"]]),
        "when": st.sampled_from([{"&a": {"$eq": 1}}, {}, True, {"$bad": 1}]),
        "ext": st.sampled_from([None, {"x": {}}]),
    },
)
link_requests: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {
        "bucket": st.sampled_from(["<b0>", "<b0>", "<b0>", "missing"]),
        "entry": st.sampled_from(["a", "a", "missing"]),
        "query": SELECTED,
        "expire_at": st.sampled_from([4102444800, 4102444800, 4102444800, 1, -1, 2**63, "x"]),
    },
    optional={
        "record_entry": st.sampled_from(["a", "a", "a", "b", "a/sub", None]),
        "record_timestamp": st.sampled_from([1, 1, 2, 4, 99, None, -1]),
        "base_url": st.sampled_from(["https://example.org/x", "example.org", "http://a:b", None]),
        "unknown": st.just(1),
    },
)
usual_links = st.just(
    {
        "bucket": "<b0>",
        "entry": "a",
        "query": {"query_type": "QUERY", "start": 0, "stop": 10},
        "expire_at": 4102444800,
        "record_entry": "a",
        "record_timestamp": 9,
    }
)
ranges = st.sampled_from(
    [
        None,
        None,
        "bytes=0-0",
        "bytes=0-9",
        "bytes=2-5",
        "bytes=5-",
        "bytes=-3",
        "bytes=9-9",
        "bytes=-10",
        "bytes=0-1,3-4",
        "bytes=5-4",
        "bytes=x",
        "bytes=",
        "bytes=-",
        "bytes= 1 - 2",
    ]
)
additions = st.sampled_from(
    [*[""] * 6, "&e=a&ts=1", "&e=b&ts=2", "&e=a", "&ts=1", "&e=a&ts=x", "&x=1", "&ct=AAAA"]
)


@st.composite
def link(draw: st.DrawFn, number: int) -> list[Call]:
    """Make a link and fetch it in some ways."""
    name, file = f"link{number}", draw(st.sampled_from(["x", "a/b.bin", "%C3%A4", "a%20b"]))
    body = document(draw(st.one_of(usual_links, usual_links, link_requests)))
    found = [Call("POST", f"/links/{file}", body=body, keep=name)]
    for _ in range(draw(st.integers(0, 3))):
        part = draw(ranges)
        found.append(
            Call(
                draw(st.sampled_from(["GET", "GET", "HEAD"])),
                f"/links/{file}?<{name}>{draw(additions)}",
                () if part is None else (("range", part),),
                size=None,
            )
        )
    return found
