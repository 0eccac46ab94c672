"""Proxies: from the usual environment variables, or by `transport=`."""

import base64
import logging
import ssl
from pathlib import Path

import pytest
import trustme

from reduct_async import ApiError, ProtocolError, TransportError
from tests.flavours import Flavour
from tests.scripted_server import HEAD, REQUEST, Script, ScriptedServer, Tls, answer, refusing

EMPTY_LIST = answer(b'{"buckets": []}')

TARGET = "http://reduct.test:8383/base"
"""A server that only a proxy can reach."""


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_proxy_of_the_environment(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch, name: str, scheme: str
) -> None:
    with ScriptedServer([REQUEST, EMPTY_LIST, REQUEST, EMPTY_LIST]) as proxy:
        monkeypatch.setenv(name, f"{scheme}127.0.0.1:{proxy.port}")
        client = flavour.client(TARGET, "token")
        assert await client.list() == []
        assert await client.list() == []
        assert proxy.connections == 1
    assert [request.target for request in proxy.requests] == [f"{TARGET}/api/v1/list"] * 2
    assert proxy.requests[0].headers["host"] == "reduct.test:8383"
    assert proxy.requests[0].headers["authorization"] == "Bearer token"


async def test_proxies_of_other_schemes_are_not_used(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer([REQUEST, EMPTY_LIST]) as server, refusing() as elsewhere:
        monkeypatch.setenv("HTTPS_PROXY", elsewhere)
        assert await flavour.client(server.url).list() == []


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize(
    ("bypassed", "other"),
    [
        ("127.0.0.1", "127.0.0.2"),
        ("127.0.0.1:{port}", "127.0.0.1:1"),
        ("reduct.test, 127.0.0.1", "reduct.test, localhost"),
        ("*", ""),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
async def test_no_proxy(
    flavour: Flavour,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    bypassed: str,
    other: str,
    proxied: bool,
) -> None:
    script: Script = [REQUEST, EMPTY_LIST]
    with ScriptedServer(script) as server, ScriptedServer(script) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv(name, (other if proxied else bypassed).format(port=server.port))
        assert await flavour.client(server.url).list() == []
    assert (len(server.requests), len(proxy.requests)) == ((0, 1) if proxied else (1, 0))


async def test_no_proxy_by_domain(flavour: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that does not exist shows that nobody was asked instead."""
    with ScriptedServer([REQUEST, EMPTY_LIST]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", ".invalid")
        with pytest.raises(TransportError, match=r"Cannot connect to http://reduct\.invalid"):
            await flavour.client("http://reduct.invalid", retry=None).list()
        assert await flavour.client("http://reduct.valid").list() == []
        assert len(proxy.requests) == 1


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value",
    [
        "ftp://127.0.0.1:1",
        "socks5://127.0.0.1:1",
        "http://127.0.0.1:port",
        "http://127.0.0.1:70000",
        "http://[::127",
        "http://",
    ],
)
async def test_proxies_that_cannot_be_used(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """Told when the client is made; without the optional packages SOCKS is one of them."""
    monkeypatch.setenv(variable, value.replace("//", "//user:password@"))
    with pytest.raises(ValueError, match="proxy") as caught:
        flavour.client(TARGET)
    assert "password" not in str(caught.value)


async def test_password_of_a_proxy(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes to the proxy, and nowhere else."""
    caplog.set_level(logging.DEBUG)
    refused = answer(b"", status=407, headers={"content-type": "text/html"})
    with ScriptedServer([REQUEST, EMPTY_LIST, REQUEST, refused]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//user:pass-word@"))
        client = flavour.client(TARGET)
        assert await client.list() == []
        with pytest.raises(ApiError, match="Status 407") as caught:
            await client.list()
    expected = base64.b64encode(b"user:pass-word").decode()
    assert proxy.requests[0].headers["proxy-authorization"] == f"Basic {expected}"
    for text in (repr(client), str(caught.value), caplog.text):
        assert "pass-word" not in text
        assert expected not in text


async def test_proxy_that_is_down(flavour: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the proxy that is named then: the server may well be up."""
    with refusing() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.replace("//", "//user:pass-word@"))
        client = flavour.client(TARGET, retry=None)
        with pytest.raises(TransportError) as caught:
            await client.list()
        assert caught.value.message.startswith("Cannot connect to http://reduct.test:8383")
        assert f"proxy {proxy.removeprefix('http://')}" in caught.value.message
        assert "pass-word" not in caught.value.message


async def test_page_of_a_proxy(flavour: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    page = answer(b"<h1>Log in</h1>", headers={"content-type": "text/html", "x-reduct-api": ""})
    with ScriptedServer([REQUEST, page, REQUEST, page]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        bucket = flavour.client(TARGET).bucket("bucket")
        with pytest.raises(ProtocolError, match="text/html"):
            await bucket.write("entry", b"data")
        with pytest.raises(ProtocolError, match="text/html"):
            await bucket.info()


# --- https: a tunnel -----------------------------------------------------------------------


async def test_tunnel(flavour: Flavour, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The proxy sees the name of the server, neither the request nor its token."""
    authority = trustme.CA()
    ca_cert = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_cert)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("reduct.test").configure_cert(context)
    established = b"HTTP/1.1 200 Connection established\r\n\r\n"
    script: Script = [HEAD, established, Tls(context), REQUEST, EMPTY_LIST]
    with ScriptedServer(script) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        client = flavour.client("https://reduct.test", "token", ca_cert=ca_cert)
        assert await client.list() == []
    connect, inner = proxy.requests
    assert (connect.method, connect.target) == ("CONNECT", "reduct.test:443")
    assert "authorization" not in connect.headers
    assert inner.target == "/api/v1/list"
    assert inner.headers["authorization"] == "Bearer token"


@pytest.mark.parametrize("status", [403, 407, 502])
async def test_tunnel_that_is_refused(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with ScriptedServer([HEAD, answer(status=status, reason="No way")]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        client = flavour.client("https://reduct.test", "token", retry=None)
        with pytest.raises(TransportError, match=f"{status} No way") as caught:
            await client.list()
        assert caught.value.message.startswith("Cannot connect to https://reduct.test")
        assert f"proxy 127.0.0.1:{proxy.port}" in caught.value.message
    assert len(proxy.requests) == 1


# --- by transport --------------------------------------------------------------------------


async def test_proxy_by_transport(flavour: Flavour) -> None:
    with ScriptedServer([REQUEST, EMPTY_LIST]) as proxy:
        client = flavour.client(TARGET, transport=flavour.stock_transport(proxy=proxy.url))
        assert await client.list() == []
    assert proxy.requests[0].target == f"{TARGET}/api/v1/list"


async def test_a_transport_takes_no_proxy_of_the_environment(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer([REQUEST, EMPTY_LIST]) as server, refusing() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        client = flavour.client(server.url, transport=flavour.stock_transport())
        assert await client.list() == []
