"""Calls to draw: replications, lifecycles, quotas, compressed bodies, continuous queries."""

import gzip
from typing import Any

import zstandard
from hypothesis import strategies as st

from tests.differential.calls import BUCKET, document, label_headers, labels, path, payload
from tests.differential.wire import Call

# --- Replications and lifecycle policies ----------------------------------------------------------

buckets = st.sampled_from(["<b0>", "<b0>", "<b0>", "missing"])
selections = st.sampled_from([None, [], ["a"], ["*"], ["a/**", "!b"], "a", [1]])
conditions: st.SearchStrategy[Any] = st.sampled_from(
    [None, {}, {"&a": {"$eq": 1}}, {"$limit": 1}, {"$bad": 1}, True, [], {"#ctx_before": 1}]
)
NOWHERE = "http://127.0.0.1:9"
"""Nobody listens there."""

replications: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {
        "src_bucket": buckets,
        "dst_bucket": st.sampled_from(["copy", "copy", "a.b", ""]),
        "dst_host": st.sampled_from([NOWHERE, NOWHERE, f"{NOWHERE}/x/", "nowhere", "", 1]),
    },
    optional={
        "dst_token": st.sampled_from([None, "secret", 1]),
        "dst_prefix": st.sampled_from(["", "x", "x/y", "/x/", None]),
        "entries": selections,
        "when": conditions,
        "mode": st.sampled_from(["enabled", "paused", "disabled", "Enabled", None]),
        "compression": st.sampled_from(["none", "zstd", "gzip", "br", None]),
        "include": st.just({"a": "b"}),
    },
)
durations = st.sampled_from(["1h", "3600s", "2d 3h", "10m", "59m", "1s", "x", "", 3600, "-1h"])
lifecycles: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["delete", "delete", "compress", "move"]),
        "bucket": buckets,
        "older_than": durations,
    },
    optional={
        "entries": selections,
        "interval": durations,
        "processing_interval": st.one_of(st.none(), durations),
        "when": conditions,
        "mode": st.sampled_from(["enabled", "disabled", "dry_run", "paused", None]),
    },
)
NAMES = ["<b0>-r", "<b0>-r", "<b0>-s", "<b0>%20x"]
SERVICES = {"replications": replications, "lifecycles": lifecycles}
modes = st.sampled_from(["enabled", "paused", "disabled", "dry_run", "x", None])


@st.composite
def service_call(draw: st.DrawFn) -> Call:
    """Make, change, remove or look at a replication or a lifecycle policy."""
    kind = draw(st.sampled_from(sorted(SERVICES)))
    target = f"/{kind}/{draw(st.sampled_from(NAMES))}"
    content = draw(SERVICES[kind])
    if draw(st.integers(0, 9)) == 0:
        content.pop(draw(st.sampled_from(sorted(content))))
    return draw(
        st.sampled_from(
            [
                Call("POST", target, body=document(content)),
                Call("POST", target, body=document(content)),
                Call("PUT", target, body=document(content)),
                Call("PATCH", f"{target}/mode", body=document({"mode": draw(modes)})),
                Call("GET", target, size=None),
                Call("GET", target, size=None),
                Call("GET", f"/{kind}", size=None),
                Call("DELETE", target, size=None),
            ]
        )
    )


# --- Quotas ---------------------------------------------------------------------------------------


@st.composite
def bucket_with_quota(draw: st.DrawFn) -> Call:
    """Make a bucket that holds some records of `quota_write`."""
    settings = {
        "quota_type": draw(st.sampled_from(["FIFO", "HARD"])),
        # Far from what whole records add up to: servers differ in what else counts.
        "quota_size": draw(st.sampled_from([0, 95_000, 295_000])),
        "max_block_size": draw(st.sampled_from([50_000, 64_000_000])),
        "max_block_records": draw(st.sampled_from([1, 2, 1024])),
    }
    return Call("POST", f"/b/{BUCKET}", body=document(settings))


@st.composite
def quota_write(draw: st.DrawFn, time: int) -> Call:
    """Write a record of some thousand bytes, or of none."""
    entry = draw(st.sampled_from(["a", "a", "b", "a/$meta"]))
    size = draw(st.sampled_from([0, 30_000, 30_000, 80_000, 400_000]))
    headers = (("x-reduct-label-key", "k"),)
    return Call("POST", path(BUCKET, entry, f"?ts={time}"), headers, payload(time, size))


def quota_looks() -> st.SearchStrategy[Call]:
    """Look at a bucket, or change its quota."""
    return st.sampled_from(
        [
            Call("GET", f"/b/{BUCKET}", size=None),
            Call("GET", f"/b/{BUCKET}", size=None),
            Call("PUT", f"/b/{BUCKET}", body=document({"quota_type": "NONE"})),
            Call("PUT", f"/b/{BUCKET}", body=document({"quota_size": 195_000})),
            Call("GET", path(BUCKET, "a"), size=None),
            Call("POST", path(BUCKET, "a", "/q"), body=b'{"query_type":"QUERY","start":0}'),
        ]
    )


# --- Compressed bodies ----------------------------------------------------------------------------


@st.composite
def compressed_write(draw: st.DrawFn, number: int) -> Call:
    """Write a record whose body is compressed, now and then not as announced.

    What does not decode gets a time of its own: which error comes first is free.
    """
    body = payload(draw(st.integers(0, 250)), draw(st.sampled_from([0, 1, 5000, 600_000])))
    coding = draw(st.sampled_from(["gzip", "zstd"]))
    packed = gzip.compress(body) if coding == "gzip" else zstandard.compress(body)
    spoilt = draw(st.integers(0, 3)) == 0
    sent = draw(st.sampled_from([body, packed[: len(packed) // 2]])) if spoilt else packed
    length = draw(st.sampled_from([len(body)] * 6 + [len(body) + 1, max(len(body) - 1, 0), "x"]))
    headers = [*label_headers(draw(labels)), ("content-encoding", coding)]
    if draw(st.integers(0, 5)):
        headers.append(("x-reduct-content-length", str(length)))
    time = 10 + number if spoilt else draw(st.integers(0, 9))
    if draw(st.booleans()):
        return Call("POST", path(BUCKET, "a", f"?ts={time}"), tuple(headers), sent)
    headers.append((f"x-reduct-time-{time}", f"{len(body)},"))
    return Call("POST", path(BUCKET, "a", "/batch"), tuple(headers), sent)


# --- Continuous queries ---------------------------------------------------------------------------

QUICK = {"#batch_timeout": "100ms", "#record_timeout": "50ms"}
"""An idle read of several entries ends soon."""

SECONDS = 4
"""How long a continuous query lives."""


@st.composite
def continuous_script(draw: st.DrawFn) -> list[Call]:
    """Return calls that read a continuous query of several entries while records come.

    Those of one entry say by chance whether they have caught up.
    """
    when = {**QUICK, **draw(st.sampled_from([{}, {"&a": {"$eq": 1}}, {"$each_n": 2}]))}
    content: dict[str, Any] = {
        "query_type": "QUERY",
        "continuous": True,
        "ttl": SECONDS,
        "start": draw(st.sampled_from([0, 3, 100])),
        "when": when,
        "entries": draw(st.sampled_from([["a"], ["a*"], []])),
    }
    read = Call("GET", f"/io/{BUCKET}/read", (("x-reduct-query-id", "<q>"),), size=None)
    found = [Call("POST", f"/io/{BUCKET}/q", body=document(content), keep="q"), read]
    for time in range(10, 10 + draw(st.integers(0, 2))):
        entry = draw(st.sampled_from(["a", "a", "b"]))
        found += [Call("POST", path(BUCKET, entry, f"?ts={time}"), (), b"new"), read]
    return found
