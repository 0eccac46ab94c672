"""Random answers to every public call: a right result or an error of ours, never a hang."""

import json
import pickle
import string
from collections.abc import Awaitable
from typing import Any

import anyio
import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from reduct_async import ProtocolError, ReductError, Retry
from tests.calls import CALLS, URL, Answer, Answers, errors_in, no_sleep
from tests.flavours import Flavour
from tests.scripted_server import DEADLINE, REQUEST, ScriptedServer, answer, chunked

numbers = st.sampled_from(["0", "1", "2", "4", "10", "-1", "1.5", str(2**64 - 1), str(2**64)])
pieces = st.sampled_from(
    ["", ",", "=", '"', "%", "%41", "%ff", "a", "entry-1", "entry-2", "text/plain", "true", "@x"]
)
texts = st.lists(st.one_of(numbers, pieces), max_size=6).map("".join)
wild = st.binary(max_size=20).map(
    lambda data: bytes(set(data) - set(b"\r\n\0")).decode("utf-8", "surrogateescape")
)
heads = st.builds("{},{},{}={}".format, numbers, st.sampled_from(["", "text/plain"]), texts, texts)
values = st.one_of(numbers, texts, heads, wild)

names = st.one_of(
    st.sampled_from(
        [
            "content-encoding",
            "content-length",
            "content-type",
            "location",
            "set-cookie",
            "x-reduct-api",
            "x-reduct-entries",
            "x-reduct-entry",
            "x-reduct-error",
            "x-reduct-label-a",
            "x-reduct-labels",
            "x-reduct-last",
            "x-reduct-query-id",
            "x-reduct-start-ts",
            "x-reduct-time",
        ]
    ),
    st.builds("x-reduct-time-{}".format, numbers),
    st.builds("x-reduct-error-{}".format, numbers),
    st.builds("x-reduct-{}-{}".format, numbers, numbers),
    st.builds("x-reduct-error-{}-{}".format, numbers, numbers),
    st.text(string.ascii_letters + string.digits + "-_!", min_size=1, max_size=10),
)

# What the parts of the API need, so that random answers get beyond the first step.
BASES: list[list[tuple[str, str]]] = [
    [],
    [("x-reduct-time", "1"), ("content-length", "4")],
    [("x-reduct-time-1", "4,text/plain,a=1"), ("x-reduct-last", "true")],
    [("x-reduct-time-2", "2,"), ("x-reduct-time-1", "2,a/b")],
    [
        ("x-reduct-start-ts", "10"),
        ("x-reduct-entries", "entry-1,entry-2"),
        ("x-reduct-labels", "a,b"),
        ("x-reduct-0-0", "2,text/plain,0=1"),
        ("x-reduct-1-1", "2,text/plain,1=2"),
    ],
    [("content-type", "application/json")],
    [("content-type", "text/html")],
]

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["buckets", "info", "entries", "id", "name", "detail", "settings"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)
ENTRY = b'{"name": "entry-1", "size": 4, "record_count": 1, "block_count": 1,'
ENTRY += b' "oldest_record": 1, "latest_record": 1, "status": "READY"}'
BUCKET = b'{"name": "bucket", "size": 4, "entry_count": 1, "oldest_record": 1,'
BUCKET += b' "latest_record": 1, "is_provisioned": false, "status": "READY"}'
bodies = st.one_of(
    st.sampled_from(
        [
            b"",
            b"data",
            b"{}",
            b'{"id": 1}',
            b'{"removed_records": 1}',
            b'{"buckets": []}',
            b'{"link": "http://0.0.0.0:8383/api/v1/links/x?a=b"}',
            b'{"value": "token", "created_at": "2026-01-01T00:00:00Z"}',
            b'{"info": %b, "settings": {}, "entries": [%b]}' % (BUCKET, ENTRY),
        ]
    ),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=20),
)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Draw an answer: something sensible, with headers left out and others put in."""
    base = draw(st.sampled_from(BASES))
    kept = [pair for pair in base if draw(st.integers(0, 7))]
    extra = draw(st.lists(st.tuples(names, values), max_size=3))
    good = st.sampled_from([200, 200, 200, 200, 204])
    status = draw(st.one_of(good, good, st.integers(100, 599)))
    return Answer(status, kept + extra, draw(bodies))


ENOUGH = 20
"""Requests after which only 401 comes, which ends even what goes on for ever by design."""


async def checked(call: Awaitable[Any]) -> None:
    """Make a call that may fail, but only with a well-formed error of ours."""
    with anyio.fail_after(DEADLINE):
        try:
            found = errors_in(await call)
        except ReductError as exc:
            found = [exc]
    for error in found:
        assert isinstance(error.status_code, int)
        assert str(error) == f"Status {error.status_code}: {error.message}"
        assert pickle.loads(pickle.dumps(error)) == error


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    no_sleep(monkeypatch)


@settings(max_examples=300)
@given(name=st.sampled_from(sorted(CALLS)), script=st.lists(answers(), min_size=1, max_size=5))
async def test_random_answers(flavour: Flavour, name: str, script: list[Answer]) -> None:
    longer = script + [script[-1]] * (ENOUGH - len(script))
    given_answers = Answers(*longer, Answer(401))
    client = flavour.client(
        URL, transport=given_answers.transport, retry=Retry(attempts=2, backoff=0)
    )
    await checked(CALLS[name](client, flavour))


WHOLE = [
    answer(b'{"buckets": []}'),
    answer(b"data", headers={"x-reduct-time": "1"}),
    answer(b"data", headers={"x-reduct-time-1": "4,text/plain,a=1", "x-reduct-last": "true"}),
    answer(chunked(b"data"), headers={"content-length": "", "transfer-encoding": "chunked"}),
]


@st.composite
def garbled(draw: st.DrawFn) -> bytes:
    """Draw an answer some of whose bytes are cut out, put in, or changed."""
    data = bytearray(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(data)))
        end = begin + draw(st.integers(0, 5))
        data[begin:end] = draw(st.binary(max_size=5))
    return bytes(data)


@settings(max_examples=60)
@given(name=st.sampled_from(["list", "read", "query", "write"]), data=garbled())
async def test_random_bytes(flavour: Flavour, name: str, data: bytes) -> None:
    with ScriptedServer([REQUEST, data]) as server:
        client = flavour.client(server.url, retry=None)
        await checked(CALLS[name](client, flavour))
        await client.close()


@pytest.mark.anyio
async def test_what_is_not_ours_is_seen() -> None:
    """The check above lets nothing else pass."""

    async def foreign() -> None:
        raise ZeroDivisionError

    async def malformed() -> None:
        error = ProtocolError(200, "text")
        error.status_code = None  # type: ignore[assignment]
        raise error

    with pytest.raises(ZeroDivisionError):
        await checked(foreign())
    with pytest.raises(AssertionError):
        await checked(malformed())
