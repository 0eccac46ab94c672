"""Calls to draw: buckets, entries, records, batches, with odd names, times, headers and sizes."""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from tests.differential.wire import Call

MAX = 2**64 - 1

# --- Names ----------------------------------------------------------------------------------------

BUCKET = "<b0>"
"""The bucket that a script fills first; the others exist only when it makes them."""

buckets = st.sampled_from([BUCKET] * 12 + ["<b1>"] * 3 + ["<b2>", "missing-bucket", "$x", "a.b"])

META = ["a/$meta", "b/$meta"]
USUAL = ["a", "a", "a", "b", "b", "a/sub", "a/sub/deep", "b/x"]
PECULIAR = [
    *META,
    "rename",
    "x/rename",
    "batch",
    "x/batch",
    "q",
    "x/q",
    "A-b_1",
    "0",
    "a/$meta",
    "b/$meta",
]
INVALID = [
    "$meta/x",
    "a//b",
    "/a",
    "a/",
    "a.b",
    "a b",
    "ä",
    "$other",
    "a/$other",
    "a%b",
    "*",
    "a\n",
]
entries = st.sampled_from(USUAL * 5 + PECULIAR * 2 + [*INVALID, "$meta", "a/sub/$meta", "x" * 255])
"""Names of entries; nearly all records go to few of them, so that calls meet."""


def path(bucket: str, entry: str, suffix: str = "") -> str:
    """Return the target of an entry; slashes stay, all else is quoted, placeholders too stay."""
    return f"/b/{bucket}/{quote(entry, safe='/$')}{suffix}"


# --- Times ----------------------------------------------------------------------------------------

EDGES = [10**15, 2**53 + 1, 2**63 - 1, 2**63, MAX - 1, MAX]
times = st.one_of(st.integers(0, 6), st.integers(0, 6), st.sampled_from(EDGES))
no_times = st.sampled_from(
    ["", "-1", "+1", "1.0", "01", " 1", "abc", str(MAX + 1), "1e3", "1_0", "٣"]
)

# --- Labels and records ---------------------------------------------------------------------------

label_names = st.sampled_from(["a", "a", "b", "c-d", "x_1", "key", "remove", "n.1", "0"])
label_values = st.sampled_from(
    ["", "1", "2", "x", "true", "1.5", "a,b", 'a"b', '"q"', "a=b", "  pad ", "5s", "%20", "\t", "é"]
)
labels = st.dictionaries(label_names, label_values, max_size=3)
types = st.sampled_from([None, None, "", "text/plain", "text/html; charset=utf-8", "a,b", "x=1"])
sizes = st.sampled_from([0, 1, 1, 2, 3, 7, 100, 5000])


def payload(seed: int, size: int) -> bytes:
    """Return bytes that tell their record from others."""
    return bytes((seed + position) % 251 for position in range(size))


def label_headers(named: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the headers of labels of a single record."""
    return [(f"x-reduct-label-{name}", value) for name, value in named.items()]


@st.composite
def write(draw: st.DrawFn) -> Call:
    """Write one record."""
    place = path(draw(buckets), draw(entries))
    when = str(draw(times)) if draw(st.integers(0, 15)) else quote(draw(no_times))
    headers = label_headers(draw(labels))
    if (content_type := draw(types)) is not None:
        headers.append(("content-type", content_type))
    body = payload(draw(st.integers(0, 250)), draw(sizes))
    call = Call("POST", f"{place}?ts={when}", tuple(headers), body)
    return draw(st.sampled_from(announced(call))) if draw(st.integers(0, 7)) == 0 else call


def announced(call: Call) -> list[Call]:
    """Return ways to tell, or not to tell, how long the body of a write is."""

    def telling(length: object, **changes: Any) -> Call:
        headers = (*call.headers, ("x-reduct-content-length", str(length)))
        return call._replace(headers=headers, **changes)

    length = len(call.body)
    return [
        call._replace(chunked=True),
        telling(length, chunked=True),
        telling(length + 1, chunked=True),
        telling(max(length - 1, 0), chunked=True),
        telling(length + 5),
        telling("x", chunked=True),
        call._replace(size=None, body=b""),
        telling(0, size=None, body=b""),
    ]


@st.composite
def write_large(draw: st.DrawFn) -> Call:
    """Write a record that the servers store in pieces."""
    size = draw(st.sampled_from([512 * 1024, 512 * 1024 + 1, 1_300_000]))
    body = payload(draw(st.integers(0, 250)), 1000) * (size // 1000 + 1)
    return Call("POST", f"{path(BUCKET, 'a')}?ts={draw(times)}", (), body[:size])


@st.composite
def single(draw: st.DrawFn) -> Call:
    """Read, update or remove one record."""
    method = draw(st.sampled_from(["GET", "GET", "HEAD", "PATCH", "PATCH", "DELETE"]))
    if method in {"GET", "HEAD"} and draw(st.integers(0, 4)) == 0:
        query = ""
    else:
        query = f"?ts={draw(times) if draw(st.integers(0, 15)) else quote(draw(no_times))}"
    headers = label_headers(draw(labels)) if method == "PATCH" else []
    return Call(method, path(draw(buckets), draw(entries)) + query, tuple(headers), size=None)


# --- Batches, version 1 ---------------------------------------------------------------------------


@st.composite
def record_value(draw: st.DrawFn, length: int, named: Iterable[tuple[str, str]]) -> str:
    """Return the value of a record header, now and then one that is not well formed."""
    items = [f'{name}="{text}"' if "," in text else f"{name}={text}" for name, text in named]
    rest = ",".join([str(length), draw(types) or "", *items])
    odd = [f"{length}", f"{length},", "x,", ",", "", f"-{length},", f"{length},,a", f"{length},,=1"]
    odd += [f'{length},,a="b', f" {length} , text/plain , a = 1 ", f"{length},,a=1,"]
    return draw(st.sampled_from(odd)) if draw(st.integers(0, 24)) == 0 else rest


@st.composite
def batch(draw: st.DrawFn) -> Call:
    """Write, update or remove a batch of one entry."""
    method = draw(st.sampled_from(["POST", "POST", "PATCH", "DELETE"]))
    stamps = draw(st.lists(times, max_size=5, unique=True))
    headers, body = [], b""
    for stamp in sorted(stamps):
        data = payload(draw(st.integers(0, 250)), draw(sizes)) if method == "POST" else b""
        value = draw(record_value(len(data), draw(labels).items()))
        headers.append((f"x-reduct-time-{stamp}", value))
        body += data
    if draw(st.integers(0, 24)) == 0:
        odd = ["x-reduct-time-abc", "x-reduct-time-", "x-reduct-time-1", f"x-reduct-time-{MAX + 1}"]
        headers.append((draw(st.sampled_from(odd)), "0,"))
    target = path(draw(buckets), draw(entries), "/batch")
    call = Call(method, target, tuple(draw(st.permutations(headers))), body)
    return draw(st.sampled_from(announced(call))) if draw(st.integers(0, 11)) == 0 else call


# --- Batches, version 2 ---------------------------------------------------------------------------


@st.composite
def io_batch(draw: st.DrawFn) -> Call:
    """Write, update or remove a batch of several entries."""
    what = draw(st.sampled_from(["write", "write", "update", "remove"]))
    names = draw(st.lists(entries, min_size=1, max_size=3))
    indexed = draw(st.none() | st.lists(label_names, min_size=1, max_size=3))
    places = draw(
        st.lists(st.tuples(st.integers(0, len(names) - 1), times), max_size=5, unique=True)
    )
    start = min((stamp for _, stamp in places), default=0)
    headers = [
        ("x-reduct-entries", ",".join(quote(name, safe="") for name in names)),
        ("x-reduct-start-ts", str(start)),
    ]
    if indexed is not None:
        headers.append(("x-reduct-labels", ",".join(indexed)))
    body = b""
    for index, stamp in sorted(places):
        data = payload(draw(st.integers(0, 250)), draw(sizes)) if what == "write" else b""
        named = list(draw(labels).items())
        if indexed is not None:
            keys = st.sampled_from([str(number) for number in range(len(indexed))] + ["7", "a"])
            named = [(draw(keys), text) for _, text in named]
        short = draw(st.integers(0, 2)) == 0
        value = str(len(data)) if short else draw(record_value(len(data), named))
        headers.append((f"x-reduct-{index}-{stamp - start}", value))
        body += data
    headers = draw(oddly(headers)) if draw(st.integers(0, 11)) == 0 else headers
    method = {"write": "POST", "update": "PATCH", "remove": "DELETE"}[what]
    call = Call(method, f"/io/{draw(buckets)}/{what}", tuple(draw(st.permutations(headers))), body)
    return draw(st.sampled_from(announced(call))) if draw(st.integers(0, 11)) == 0 else call


@st.composite
def oddly(draw: st.DrawFn, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers of a batch with one too many, too few, or of an odd form."""
    odd = [
        ("x-reduct-entries", ""),
        ("x-reduct-entries", "a,,b"),
        ("x-reduct-entries", "a%2"),
        ("x-reduct-entries", "%FF"),
        ("x-reduct-entries", "a,a"),
        ("x-reduct-start-ts", "x"),
        ("x-reduct-start-ts", str(MAX)),
        ("x-reduct-labels", ""),
        ("x-reduct-labels", "a,"),
        ("x-reduct-labels", "%zz"),
        ("x-reduct-9-0", "0,"),
        ("x-reduct-label-1", "x"),
        ("x-reduct-time-5", "0,"),
        ("x-reduct-foo-1", "x"),
        ("x-reduct-0-x", "x"),
    ]
    added = draw(st.sampled_from(odd))
    kept = [pair for pair in headers if pair[0] != added[0]]
    return kept if draw(st.booleans()) else [*kept, added]


# --- Entries and buckets --------------------------------------------------------------------------


def document(content: object) -> bytes:
    """Return a body of JSON."""
    return json.dumps(content).encode()


@st.composite
def entry_call(draw: st.DrawFn) -> Call:
    """Remove or rename an entry, or look at the bucket."""
    bucket, entry = draw(buckets), draw(entries)
    new_name = document({"new_name": draw(entries)})
    return draw(
        st.sampled_from(
            [
                Call("DELETE", path(bucket, entry), size=None),
                Call("PUT", path(bucket, entry, "/rename"), body=new_name),
                Call("GET", f"/b/{bucket}", size=None),
                Call("GET", f"/b/{bucket}", size=None),
                Call("HEAD", f"/b/{bucket}", size=None),
            ]
        )
    )


settings_fields: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "quota_type": st.sampled_from(["NONE", "FIFO", "HARD", "none", 0, None]),
        "quota_size": st.sampled_from([0, 10**9, -1, 1.0, "1", None, MAX, MAX + 1]),
        "max_block_size": st.sampled_from([1, 64_000_000, 0, None, "1kB"]),
        "max_block_records": st.sampled_from([1, 2, 1024, 0, None, True]),
        "unknown": st.just([]),
    },
)
bodies = st.one_of(
    settings_fields.map(document),
    st.sampled_from([b"", b"", b"{}", b"null", b"[]", b"{", b'"x"', b"\xff", b"{}{}", b" {} "]),
)


@st.composite
def bucket_call(draw: st.DrawFn) -> Call:
    """Make, change, rename or remove a bucket."""
    bucket = draw(st.one_of(buckets, st.sampled_from(["<b1>", "<b2>", "%C3%A4", "a%20b"])))
    new_name = draw(st.sampled_from(["<b0>", "<b1>", "<b2>", "a.b", "a/b", "$x"]))
    as_json = (("content-type", "application/json"),)
    body = draw(bodies)
    return draw(
        st.sampled_from(
            [
                Call("POST", f"/b/{bucket}", body=body),
                Call("PUT", f"/b/{bucket}", body=body),
                Call("PUT", f"/b/{bucket}/rename", as_json, document({"new_name": new_name})),
                Call("PUT", f"/b/{bucket}/rename", as_json, body),
                Call("PUT", f"/b/{bucket}/rename", (), document({"new_name": new_name})),
                Call("DELETE", f"/b/{bucket}", size=None),
            ]
        )
    )


# --- Odd requests ---------------------------------------------------------------------------------

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
TARGETS = [
    *["", "/", "/alive", "/ready", "/me", "/tokens", "/tokens/", "/tokens/x", "/b", "/b/"],
    *["/b/<b0>", "/b/<b0>/", "/b/<b0>/rename", "/b/<b0>/a", "/b/<b0>/a/", "/b/<b0>/a/q"],
    *["/b/<b0>/a/batch", "/b/<b0>/a/rename", "/b/<b0>//a", "/b/<b0>/%FF", "/b/<b0>/a%2Fsub"],
    *["/b/<b0>/../x", "/b/%FF", "/b/<b0>/a?ts=1&ts=2", "/b/<b0>/a?ts=%FF", "/b/<b0>/a?%zz"],
    *["/b/<b0>/a?x", "/b/<b0>/a?", "/b/<b0>/batch", "/b/<b0>/q", "/io/<b0>", "/io/<b0>/write"],
    *["/io/<b0>/q", "/io/<b0>/read", "/io/<b0>/update", "/io/<b0>/remove", "/io/<b0>/x"],
    *["/links", "/links/", "/links/x", "/replications", "/replications/x", "/nowhere"],
    *["/replications/x/mode", "/lifecycles", "/lifecycles/x", "/lifecycles/x/mode"],
]
HEADERS = [
    (),
    (("content-encoding", "identity"),),
    (("content-encoding", "deflate"),),
    (("content-encoding", "GZIP"),),
    (("content-encoding", "gzip"), ("x-reduct-content-length", "1")),
    (("accept-encoding", "gzip"),),
    (("origin", "http://example.org"),),
    (("authorization", "Basic x"),),
    (("x-reduct-api", "0.1"),),
]


@st.composite
def odd_request(draw: st.DrawFn) -> Call:
    """Ask with any method on any path."""
    headers = draw(st.sampled_from(HEADERS))
    target = draw(st.sampled_from(TARGETS))
    return Call(draw(st.sampled_from(METHODS)), target, headers, draw(st.sampled_from([b"", b"x"])))
