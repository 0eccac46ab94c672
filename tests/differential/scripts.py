"""Scripts to draw: some records to begin with, then calls in any order."""

from hypothesis import strategies as st

from tests.differential import access_calls, calls, query_calls, service_calls
from tests.differential.excluded import excluded_by
from tests.differential.wire import Call

STEPS = 25
"""How many draws a script has at most; a query with its reads is one."""


def beginning() -> list[Call]:
    """Return calls that make a bucket with records in three entries."""
    headers = [
        ("x-reduct-time-1", "1,text/plain,a=1,b=x"),
        ("x-reduct-time-2", "2,,a=2"),
        ("x-reduct-time-4", '3,,b="a,b",c-d=true'),
        ("x-reduct-time-5", "4,text/plain"),
    ]
    return [
        Call("POST", f"/b/{calls.BUCKET}"),
        Call("POST", f"/b/{calls.BUCKET}/a/batch", tuple(headers), b"0123456789"),
        Call("POST", f"/b/{calls.BUCKET}/a/sub?ts=3", (("x-reduct-label-a", "1"),), b"sub"),
        Call("POST", f"/b/{calls.BUCKET}/b?ts=2", (), b"b"),
    ]


@st.composite
def scripts(draw: st.DrawFn) -> list[Call]:
    """Return a script without what is excluded."""
    found = beginning()
    for number in range(draw(st.integers(1, STEPS))):
        found += draw(steps(number))
    return [call for call in found if excluded_by(call) is None]


def steps(number: int) -> st.SearchStrategy[list[Call]]:
    """Return the calls of one step; `number` makes the names of what it keeps."""
    one = st.one_of(
        calls.write(),
        calls.write(),
        calls.batch(),
        calls.batch(),
        calls.io_batch(),
        calls.io_batch(),
        calls.single(),
        calls.single(),
        calls.entry_call(),
        calls.bucket_call(),
        calls.odd_request(),
        calls.write_large(),
        query_calls.removal(),
    ).map(lambda call: [call])
    return st.one_of(one, one, query_calls.query(number), query_calls.old_query(number))


@st.composite
def access_scripts(draw: st.DrawFn) -> list[Call]:
    """Return a script of tokens, and of calls by those who have them."""
    found = beginning()
    for _ in range(draw(st.integers(1, STEPS))):
        found.append(
            draw(
                st.one_of(
                    access_calls.token_call(),
                    access_calls.somebodys_call(),
                    access_calls.somebodys_call(),
                )
            )
        )
    tokens = [Call("DELETE", f"/tokens/{name}") for name in access_calls.NAMES]
    return [call for call in [*found, *tokens] if excluded_by(call) is None]


@st.composite
def link_scripts(draw: st.DrawFn) -> list[Call]:
    """Return a script of links to records of 10 bytes.

    Nothing changes meanwhile: the real server keeps what it delivered for some minutes.
    """
    labelled = (("x-reduct-label-a", "1"),)
    found = [Call("POST", f"/b/{calls.BUCKET}")]
    for entry, time in [("a", 1), ("a", 2), ("a", 4), ("a", 9), ("b", 2), ("a/sub", 4)]:
        headers = labelled if time % 2 else ()
        found.append(Call("POST", f"/b/{calls.BUCKET}/{entry}?ts={time}", headers, b"0123456789"))
    for number in range(draw(st.integers(1, 8))):
        found += draw(access_calls.link(number))
    return [call for call in found if excluded_by(call) is None]


@st.composite
def service_scripts(draw: st.DrawFn) -> list[Call]:
    """Return a script of replications and lifecycle policies."""
    drawn = st.one_of(
        *[service_calls.service_call()] * 5,
        calls.write(),
        calls.bucket_call(),
    )
    found = [*beginning(), *draw(st.lists(drawn, min_size=1, max_size=STEPS))]
    made = [
        Call("DELETE", f"/{kind}/{name}", size=None)
        for kind in service_calls.SERVICES
        for name in service_calls.NAMES
    ]
    return [call for call in [*found, *made] if excluded_by(call) is None]


@st.composite
def quota_scripts(draw: st.DrawFn) -> list[Call]:
    """Return a script that fills a bucket with a quota."""
    found = [draw(service_calls.bucket_with_quota())]
    for time in range(1, 1 + draw(st.integers(1, STEPS))):
        found.append(draw(service_calls.quota_write(time)))
        if draw(st.integers(0, 2)) == 0:
            found.append(draw(service_calls.quota_looks()))
    return found


@st.composite
def compression_scripts(draw: st.DrawFn) -> list[Call]:
    """Return a script of compressed writes, each read back."""
    found = beginning()
    for number in range(draw(st.integers(1, 10))):
        reads = [Call("GET", f"/b/{calls.BUCKET}/a?ts={time}", size=None) for time in range(20)]
        found += [draw(service_calls.compressed_write(number)), *reads]
    return [call for call in found if excluded_by(call) is None]


@st.composite
def continuous_scripts(draw: st.DrawFn) -> list[Call]:
    """Return a script of one continuous query."""
    return [*beginning(), *draw(service_calls.continuous_script())]
