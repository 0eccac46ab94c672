"""Requests and responses whose headers are made on demand are like those of httpx."""

import asyncio
import zlib
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reduct_async
import reduct_sync
from reduct_core import messages
from reduct_core.http1 import Incoming
from reduct_core.messages import Common, Request, Response
from reduct_core.outgoing import Outgoing
from tests.scripted_server import REQUEST, ScriptedServer, answer

COMMON = Common(httpx.URL("http://host:8383/base"), {"user-agent": "me", "accept": "*/*"})


def request(body: bytes = b"") -> Request:
    fields = [(b"x-own", b"1"), (b"content-length", b"%d" % len(body))]
    return Request(COMMON, "post", b"/base/api?ts=1", fields, body, {"timeout": {"read": 1.0}})


def stock(body: bytes = b"") -> httpx.Request:
    return httpx.Request(
        "POST",
        "http://host:8383/base/api?ts=1",
        headers={"user-agent": "me", "accept": "*/*", "x-own": "1"},
        content=body,
        extensions={"timeout": {"read": 1.0}},
    )


# --- requests ------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"body"])
def test_requests_are_those_of_httpx(body: bytes) -> None:
    ours, theirs = request(body), stock(body)
    assert ours.untouched
    assert ours.content == ours.read() == theirs.content
    assert ours.url == theirs.url
    assert ours.untouched
    assert ours.headers == theirs.headers
    assert (ours.method, ours.extensions) == (theirs.method, theirs.extensions)
    assert repr(ours) == repr(theirs)
    assert not ours.untouched


def test_untouched_requests_leave_as_others_do() -> None:
    fast = Outgoing(request(b"body")).feed(b"body", last=True)
    looked = request(b"body")
    assert looked.headers["x-own"] == "1"
    assert Outgoing(looked).feed(b"body", last=True) == fast
    assert Outgoing(looked).origin == Outgoing(request()).origin == ("http", "host", 8383)


def test_changes_of_headers_and_address_are_sent() -> None:
    changed = request()
    changed.headers["x-own"] = "2"
    changed.url = httpx.URL("http://other/path")
    outgoing = Outgoing(changed)
    assert outgoing.origin == ("http", "other", 80)
    (piece,) = outgoing.feed(b"", last=True)
    assert bytes(piece).startswith(b"POST /path HTTP/1.1\r\n")
    assert b"x-own: 2\r\n" in piece
    replaced = request()
    replaced.headers = httpx.Headers({"only": "this", "content-length": "0"})
    (piece,) = Outgoing(replaced).feed(b"", last=True)
    assert piece == b"POST /base/api?ts=1 HTTP/1.1\r\nonly: this\r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize("value", [b"a\r\nevil: 1", b"a\nb", b"a\0b"])
def test_line_ends_are_refused(value: bytes) -> None:
    spoilt = Request(COMMON, "GET", b"/", [(b"x", value)], b"", {})
    with pytest.raises(httpx.LocalProtocolError):
        Outgoing(spoilt)
    with pytest.raises(httpx.LocalProtocolError):
        Outgoing(Request(COMMON, "GET", b"/" + value, [], b"", {}))


# --- responses -----------------------------------------------------------------------------

NAMES = st.text("abcXYZ-0189", min_size=1, max_size=12).map(lambda text: f"X-{text}".encode())
VALUES = st.text("abc ,;=09:\xe4", max_size=20).map(lambda text: text.strip())
CODING = st.sampled_from(["utf-8", "latin-1"])


def response(head: bytes, body: bytes = b"") -> Response:
    incoming = Incoming("GET")
    rest = incoming.receive(head + body)
    found = incoming.response(httpx.ByteStream(rest), rest)
    assert isinstance(found, Response)
    return found


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), CODING, st.binary(max_size=20))
def test_responses_are_those_of_httpx(
    texts: list[tuple[bytes, str]], coding: str, body: bytes
) -> None:
    fields = [(name, value.encode(coding)) for name, value in texts]
    fields.append((b"Content-Length", b"%d" % len(body)))
    lines = b"".join(b"%b:  %b \t\r\n" % field for field in fields)
    ours = response(b"HTTP/1.1 201 Some Reason\r\n" + lines + b"\r\n", body)
    theirs = httpx.Response(201, headers=fields, content=body)
    assert ours.headers.raw == theirs.headers.raw
    assert ours.headers == theirs.headers
    assert (ours.content, ours.read(), ours.text) == (body, body, theirs.text)
    assert asyncio.run(ours.aread()) == body
    assert (ours.status_code, ours.reason_phrase, ours.is_success) == (201, "Some Reason", True)
    for name in {name.decode().lower() for name, _ in fields}:
        assert messages.field(ours, name) == ours.headers.get_list(name)[0]
    assert messages.field(ours, "absent") is None is messages.field(theirs, "absent")
    assert messages.lines(ours).count("\r\n") == messages.lines(theirs).count("\r\n") + 1


def test_compressed_bodies_are_decoded() -> None:
    """No server of the API compresses; a proxy may."""
    plain = b"text " * 100
    packed = zlib.compress(plain)
    head = answer(b"", headers={"content-encoding": "deflate"}, length=len(packed))
    found = response(head, packed)
    assert not found.is_plain
    assert found.read() == plain


def test_headers_of_a_response_can_be_replaced() -> None:
    found = response(answer(b"x"), b"")
    found.headers = httpx.Headers({"a": "b"})
    assert dict(found.headers) == {"a": "b"}


# --- inside of plain clients of httpx --------------------------------------------------------


def test_a_plain_client_takes_our_responses() -> None:
    seen: list[Any] = []
    hooks = {"response": [seen.append]}
    with (
        ScriptedServer([REQUEST, answer(b"x" * 100_000), REQUEST, answer(b"y")]) as server,
        httpx.Client(transport=reduct_sync.Transport(), event_hooks=hooks) as client,
    ):
        first = client.get(server.url)
        assert (len(first.content), first.elapsed.total_seconds() > 0) == (100_000, True)
        with client.stream("GET", server.url) as second:
            assert list(second.iter_bytes()) == [b"y"]
        assert [found.headers["x-reduct-api"] for found in seen] == ["1.21", "1.21"]
        assert server.connections == 1


def test_a_plain_async_client_takes_our_responses() -> None:
    async def main(url: str) -> None:
        async with httpx.AsyncClient(transport=reduct_async.Transport()) as client:
            assert len((await client.get(url)).content) == 100_000
            async with client.stream("GET", url) as second:
                assert [piece async for piece in second.aiter_bytes()] == [b"y"]

    with ScriptedServer([REQUEST, answer(b"x" * 100_000), REQUEST, answer(b"y")]) as server:
        asyncio.run(main(server.url))
        assert server.connections == 1
