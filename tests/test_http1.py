"""The engine of the transports: requests framed, responses read from any pieces."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import httpx
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from reduct_core import outgoing as sending
from reduct_core.http1 import MAX_HEAD_BYTES, MAX_HEAD_LINES, Incoming
from reduct_core.messages import origin_of
from reduct_core.outgoing import Outgoing
from tests.scripted_server import chunked

# --- responses -----------------------------------------------------------------------------


@frozen
class Answer:
    """A response as bytes, and what it means."""

    data: bytes
    method: str
    status: int
    reason: bytes
    fields: Sequence[tuple[bytes, bytes]]
    body: bytes
    ends: bool
    """Whether only the end of the connection ends it."""
    reusable: bool


TOKEN = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=30).map(str.encode)
VALUE = st.binary(max_size=40).map(lambda raw: bytes(b for b in raw if b > 31 and b != 127).strip())
FIELDS = st.lists(
    st.tuples(st.just(b"x-").flatmap(lambda p: TOKEN.map(lambda t: p + t)), VALUE), max_size=12
)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Draw a response that is in order."""
    method = draw(st.sampled_from(["GET", "GET", "POST", "HEAD"]))
    status = draw(st.sampled_from([200, 200, 200, 201, 204, 304, 404, 413, 599, 999]))
    reason = draw(st.sampled_from([b"OK", b"", b"Some longer reason"]))
    fields = draw(FIELDS)
    body = draw(st.binary(max_size=300))
    framing = draw(st.sampled_from(["length", "length", "chunked", "end"]))
    close = draw(st.booleans())
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.0"]))
    extra: list[tuple[bytes, bytes]] = []
    if framing == "length":
        extra.append((b"Content-Length", b"%d" % len(body)))
    elif framing == "chunked":
        extra.append((b"transfer-encoding", draw(st.sampled_from([b"chunked", b"Chunked"]))))
    if close:
        extra.append((b"Connection", draw(st.sampled_from([b"close", b"x, Close"]))))
    at = draw(st.integers(0, len(fields)))
    fields[at:at] = extra
    without = method == "HEAD" or status in (204, 304)
    wire = b"" if without else body
    if framing == "chunked" and not without:
        cut = draw(st.integers(0, len(body)))
        wire = chunked(*filter(None, (body[:cut], body[cut:])))
    lines = [b"HTTP/%b %d %b" % (version, status, reason)]
    lines += [b"%b: %b" % field for field in fields]
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n"])) * draw(
        st.integers(0, 2)
    )
    ends = framing == "end" and not without
    return Answer(
        data=interim + b"\r\n".join([*lines, b"", b""]) + wire,
        method=method,
        status=status,
        reason=reason,
        fields=fields,
        body=b"" if without else body,
        ends=ends,
        reusable=not ends and not close and version == b"1.1",
    )


def pieces_of(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Cut `data` at these places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


def read(incoming: Incoming, pieces: Iterable[bytes]) -> bytes:
    """Let `incoming` take the pieces; return the body."""
    return b"".join([incoming.receive(piece) for piece in pieces])


CUTS = st.lists(st.integers(0, 5000), max_size=20)


@given(answers(), CUTS)
def test_any_pieces_give_the_same_response(answer: Answer, cuts: list[int]) -> None:
    incoming = Incoming(answer.method)
    body = read(incoming, pieces_of(answer.data, cuts))
    assert incoming.head
    assert incoming.complete is not answer.ends
    incoming.receive_end()
    assert incoming.complete
    assert (incoming.status, incoming.reason) == (answer.status, answer.reason)
    assert incoming.fields == answer.fields
    assert body == answer.body
    assert incoming.reusable is answer.reusable


@given(answers())
def test_single_bytes_give_the_same_response(answer: Answer) -> None:
    incoming = Incoming(answer.method)
    body = read(incoming, [bytes([byte]) for byte in answer.data])
    assert incoming.fields == answer.fields
    assert body == answer.body


@given(answers(), CUTS, st.integers(0, 5000))
def test_cut_responses_are_errors(answer: Answer, cuts: list[int], end: int) -> None:
    incoming = Incoming(answer.method)
    whole = answer.data[: end % len(answer.data)]
    body = read(incoming, pieces_of(whole, cuts))
    if incoming.complete:
        # What is missing was no part of it.
        assert body == answer.body
        return
    if incoming.head and answer.ends:
        incoming.receive_end()
        assert answer.body.startswith(body)
        return
    with pytest.raises(httpx.RemoteProtocolError):
        incoming.receive_end()


@given(answers(), CUTS, st.binary(min_size=1, max_size=50))
def test_surplus_bytes_end_the_connection(answer: Answer, cuts: list[int], rest: bytes) -> None:
    if answer.ends:
        return
    incoming = Incoming(answer.method)
    body = read(incoming, pieces_of(answer.data + rest, cuts))
    assert body == answer.body
    assert incoming.complete
    assert not incoming.reusable


@given(st.binary(max_size=200), CUTS)
def test_garbage_never_breaks_the_engine(data: bytes, cuts: list[int]) -> None:
    incoming = Incoming("GET")
    try:
        for piece in pieces_of(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", cuts):
            incoming.receive(piece)
        for piece in pieces_of(data, cuts):
            incoming.receive(piece)
        incoming.receive_end()
    except httpx.RemoteProtocolError:
        return
    assert incoming.complete


BAD_HEADS = [
    b"\x16\x03\x01\r\n\r\n",
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"HTTP/1.1 099 OK\r\n\r\n",
    b"HTTP/3.7 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    b"HTTP/1.1 204 OK\r\nTransfer-Encoding: hunked\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 3\n\n",
    b"\r\n\r\n",
    b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"\rHTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 200 O\x00K\r\n\r\n",
]


@pytest.mark.parametrize("head", BAD_HEADS, ids=repr)
def test_bad_heads_are_refused(head: bytes) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        Incoming("GET").receive(head)


@pytest.mark.parametrize("body", [b"xyz\r\n", b"3\r\nabcd\r\n", b"-1\r\n", b"3\nabc\n"])
def test_bad_chunks_are_refused(body: bytes) -> None:
    incoming = Incoming("GET")
    incoming.receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(httpx.RemoteProtocolError):
        incoming.receive(body)


def test_endless_trailers_are_refused() -> None:
    incoming = Incoming("GET")
    incoming.receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    with pytest.raises(httpx.RemoteProtocolError, match="for ever"):
        read(incoming, [b"X: " + b"y" * 1000 + b"\r\n"] * 3000)


def test_trailers_are_no_headers() -> None:
    incoming = Incoming("GET")
    incoming.receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n")
    assert incoming.complete
    assert incoming.fields == [(b"Transfer-Encoding", b"chunked")]


def head_of(size: int, lines: int) -> bytes:
    """Return a head of exactly `size` bytes and `lines` header lines."""
    begin = b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * (lines - 1)
    rest = size - len(begin) - len(b"C: \r\n\r\n")
    return begin + b"C: " + b"d" * rest + b"\r\n\r\n"


@pytest.mark.parametrize("step", [1_000_000, 65_536, 1000])
def test_large_heads_pass(step: int) -> None:
    head = head_of(MAX_HEAD_BYTES, MAX_HEAD_LINES)
    assert len(head) == 1024 * 1024
    incoming = Incoming("GET")
    read(incoming, pieces_of(head, range(0, len(head), step)))
    assert incoming.head
    assert len(incoming.fields) == 2000


@pytest.mark.parametrize(("size", "lines"), [(MAX_HEAD_BYTES + 1, 10), (100_000, 2001)])
@pytest.mark.parametrize("step", [2_000_000, 65_536])
def test_larger_heads_are_refused(size: int, lines: int, step: int) -> None:
    head = head_of(size, lines)
    incoming = Incoming("GET")
    with pytest.raises(httpx.RemoteProtocolError, match="larger than 1 MiB or 2,000 lines"):
        read(incoming, pieces_of(head, range(0, len(head), step)))


def test_endless_heads_are_refused() -> None:
    incoming = Incoming("GET")
    incoming.receive(b"HTTP/1.1 200 OK\r\nA: ")
    with pytest.raises(httpx.RemoteProtocolError, match="larger than 1 MiB"):
        read(incoming, [b"a" * 65_536] * 20)


def test_wanted_is_what_is_missing() -> None:
    incoming = Incoming("GET")
    assert incoming.wanted == 0
    incoming.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    assert incoming.wanted == 7
    incoming.receive(b"defghij")
    assert incoming.wanted == 0


@pytest.mark.parametrize(("status", "reusable"), [(200, True), (399, True), (400, False)])
def test_t21_errors_about_a_body_end_the_connection(status: int, reusable: bool) -> None:
    head = b"HTTP/1.1 %d R\r\nContent-Length: 0\r\n\r\n" % status
    for has_body in (True, False):
        incoming = Incoming("POST", has_body)
        incoming.receive(head)
        assert incoming.reusable is (reusable or not has_body)


def test_switching_protocols_is_an_answer() -> None:
    incoming = Incoming("GET")
    incoming.receive(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nrest")
    assert (incoming.status, incoming.complete, incoming.reusable) == (101, True, False)


# --- requests ------------------------------------------------------------------------------


def sent(request: httpx.Request, *chunks: bytes) -> bytes:
    """Return what is sent for a request with these chunks as body."""
    outgoing = Outgoing(request)
    pieces = [piece for chunk in chunks for piece in outgoing.feed(chunk)]
    return b"".join([*pieces, *outgoing.feed(b"", last=True)])


def test_a_request_on_the_wire() -> None:
    request = httpx.Request("POST", "http://host:1/a%20b?c=d", content=b"abc")
    assert Outgoing(request).feed(b"abc", last=True) == [
        b"POST /a%20b?c=d HTTP/1.1\r\nHost: host:1\r\nContent-Length: 3\r\n\r\nabc"
    ]


@given(st.lists(st.binary(max_size=100), max_size=6))
def test_bodies_of_known_length(chunks: list[bytes]) -> None:
    body = b"".join(chunks)
    request = httpx.Request("POST", "http://a", headers={"content-length": str(len(body))})
    head, _, rest = sent(request, *chunks).partition(b"\r\n\r\n")
    assert head.lower().endswith(b"content-length: %d" % len(body))
    assert rest == body


@given(st.lists(st.binary(max_size=100), max_size=6))
def test_bodies_of_unknown_length(chunks: list[bytes]) -> None:
    request = httpx.Request("POST", "http://a", headers={"transfer-encoding": "chunked"})
    rest = sent(request, *chunks).partition(b"\r\n\r\n")[2]
    assert rest == chunked(*filter(None, chunks))


def test_large_bodies_leave_in_pieces_without_a_copy() -> None:
    body = bytes(1_000_000)
    request = httpx.Request("POST", "http://a", content=body)
    head, *pieces = Outgoing(request).feed(body, last=True)
    assert bytes(head).endswith(b"\r\n\r\n")
    assert max(map(len, pieces)) == sending.PIECE_BYTES
    assert b"".join(pieces) == body
    assert all(isinstance(piece, memoryview) and piece.obj is body for piece in pieces)


@pytest.mark.parametrize(("announced", "text"), [("2", "Too much data"), ("4", "Too little data")])
def test_wrong_lengths_are_refused(announced: str, text: str) -> None:
    request = httpx.Request("POST", "http://a", headers={"content-length": announced})
    with pytest.raises(httpx.LocalProtocolError, match=text):
        sent(request, b"a", b"bc")


def with_extension(target: bytes) -> httpx.Request:
    return httpx.Request("GET", "http://a", extensions={"target": target})


UNFIT = [
    httpx.Request("GET", "http://a", headers=[(b"x", b"a\r\nb: c")]),
    httpx.Request("GET", "http://a", headers=[(b"x", b"a\nb")]),
    httpx.Request("GET", "http://a", headers=[(b"x", b"a\rb")]),
    httpx.Request("GET", "http://a", headers=[(b"x", b"a\x00b")]),
    httpx.Request("GET", "http://a", headers=[(b"x\r\ny", b"a")]),
    httpx.Request("GET", "http://a", headers=[(b"x: y\r\nz", b"a")]),
    httpx.Request("GET", "http://a", headers=[(b"", b"a")]),
    httpx.Request("GET /\r\n", "http://a"),
    httpx.Request("CONNECT", "http://a"),
    with_extension(b"/a b"),
    with_extension(b"/ HTTP/1.1\r\nx: y\r\n"),
    httpx.Request("POST", "http://a", headers={"content-length": "-1"}),
    httpx.Request("POST", "http://a", headers={"transfer-encoding": "gzip"}),
    httpx.Request(
        "POST", "http://a", headers={"transfer-encoding": "chunked", "content-length": "1"}
    ),
]


@pytest.mark.parametrize("request_", UNFIT, ids=range(len(UNFIT)))
def test_unfit_requests_are_refused(request_: httpx.Request) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        Outgoing(request_)


def test_targets_of_the_extension() -> None:
    assert sent(with_extension(b"*")).startswith(b"GET * HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://A.example", ("http", "a.example", 80)),
        ("https://a:8443/x", ("https", "a", 8443)),
        ("http://[::1]:99", ("http", "::1", 99)),
    ],
)
def test_origins(url: str, origin: tuple[str, str, int]) -> None:
    assert origin_of(httpx.URL(url)) == origin


@pytest.mark.parametrize("url", ["ftp://a", "/path", "http:///x"])
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        origin_of(httpx.URL(url))
