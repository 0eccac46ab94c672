"""The settings of a client: whatever could not work is refused when it is made."""

import os
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_core.config import (
    MAX_EXTRA_HEADERS,
    Config,
    Retry,
    base_url,
    make_config,
    refuse_session,
)
from reduct_core.network import check_limits, environment_proxy, proxy_address, ssl_context
from reduct_core.version import __version__

URL = "http://host:8383"


def config(url: Any = URL, **given: Any) -> Config:
    arguments: dict[str, Any] = {
        "api_token": None,
        "timeout": None,
        "extra_headers": None,
        "user_agent": None,
        "retry": None,
        "proxy": None,
    }
    return make_config(base_url(url), **(arguments | given))


# --- url -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://host", b"/"),
        ("http://host/", b"/"),
        ("https://host:1/base", b"/base"),
        ("https://host:1/base/path//", b"/base/path"),
        ("http://127.0.0.1:8383", b"/"),
        ("http://[::1]:8383", b"/"),
        ("http://host.", b"/"),
        ("http://bücher.example", b"/"),
        ("HTTP://HOST/%C3%BC", b"/%C3%BC"),
    ],
)
def test_urls(url: str, path: bytes) -> None:
    assert config(url).url.raw_path == path


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:8383",
        "host",
        "//host",
        "ftp://host",
        "http://",
        "http:///path",
        "http://host?",
        "http://host/?x=1",
        "http://host/#",
        "http://host#fragment",
        "http://user:secret@host",
        "http://token@host",
        "http://host:70000",
        "http://host:port",
        "http://my..server",
        "http://" + "a" * 64 + ".de",
        "http://host/api/v1",
        "http://host/api/v1/",
        "http://ho\nst",
        "http://local host",
    ],
)
def test_wrong_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^url\b") as caught:
        config(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", [None, 5, b"http://host", httpx.URL("http://host")])
def test_urls_are_text(url: Any) -> None:
    with pytest.raises(TypeError, match=r"^url must be a str"):
        config(url)


# --- headers -------------------------------------------------------------------------------


def test_headers_of_every_request() -> None:
    assert config().headers == {
        "user-agent": f"reduct-httpx/{__version__}",
        "accept": "*/*",
        "accept-encoding": "identity",
    }
    own = config(api_token="t-1", user_agent="mine/2", extra_headers={"X-Mine": "1", "b_c": ""})
    assert own.headers["authorization"] == "Bearer t-1"
    assert own.headers["user-agent"] == "mine/2"
    assert own.headers["x-mine"] == "1"
    assert own.headers["b_c"] == ""


def test_tokens_stay_out_of_the_text() -> None:
    assert "secret" not in repr(config(api_token="secret"))


@pytest.mark.parametrize("token", ["", "a b", "a\n", "ü", "a\x00", " "])
def test_wrong_tokens_are_refused_without_showing_them(token: str) -> None:
    with pytest.raises(ValueError, match=r"^api_token must be printable ASCII") as caught:
        config(api_token=f"{token}secret" if token else "")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("token", [5, b"token", ["token"]])
def test_tokens_are_text(token: Any) -> None:
    with pytest.raises(TypeError, match=r"^api_token must be a str or None"):
        config(api_token=token)


@pytest.mark.parametrize("headers", ["abc", [("a", "b")], 5, {"a": 1}, {1: "a"}, {"a": b"b"}])
def test_extra_headers_are_a_dict_of_text(headers: Any) -> None:
    with pytest.raises(TypeError, match=r"^extra_headers"):
        config(extra_headers=headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"": "1"},
        {"a b": "1"},
        {"a:": "1"},
        {"ü": "1"},
        {"a\n": "1"},
        {"a": "x\r\ny: z"},
        {"a": "ü"},
        {"a": " x"},
        {"a": "x "},
        {"Content-Length": "1"},
        {"content-type": "text/x"},
        {"Content-Encoding": "gzip"},
        {"Transfer-Encoding": "chunked"},
        {"Host": "other"},
        {"Connection": "close"},
        {"X-Reduct-Time-5": "1,"},
        {"x-reduct-foo-1": "1"},
    ],
    ids=str,
)
def test_headers_that_would_break_a_request_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"^extra_headers"):
        config(extra_headers=headers)


def test_number_of_extra_headers_is_limited() -> None:
    """T23: the server takes 100 header lines a request, and batches need most of them."""
    many = {f"x-{number}": "1" for number in range(MAX_EXTRA_HEADERS)}
    assert set(many) <= set(config(extra_headers=many).headers)
    with pytest.raises(ValueError, match="at most 8 are allowed"):
        config(extra_headers={**many, "x-more": "1"})


@pytest.mark.parametrize("text", ["a\nb", " x", "ü", "a\x00"])
def test_user_agents_are_printable(text: str) -> None:
    with pytest.raises(ValueError, match=r"^user_agent must be printable ASCII"):
        config(user_agent=text)


def test_user_agents_are_text() -> None:
    with pytest.raises(TypeError, match=r"^user_agent must be a str"):
        config(user_agent=5)


# --- timeout -------------------------------------------------------------------------------


def phases(timeout: Any) -> list[float | None]:
    found = config(timeout=timeout).timeout
    return [found[phase] for phase in ("connect", "read", "write", "pool")]


def test_b23_timeouts_are_of_phases() -> None:
    assert phases(None) == [10.0, 75.0, 75.0, None]
    assert phases(5) == [5.0, 5.0, 5.0, 5.0]
    assert phases(0.5) == [0.5, 0.5, 0.5, 0.5]
    assert phases(httpx.Timeout(3, connect=1, read=None)) == [1, None, 3, 3]
    assert phases(httpx.Timeout(None)) == [None, None, None, None]
    assert phases(float("inf")) == [None, None, None, None]


@pytest.mark.parametrize(
    "timeout", [0, -1, 0.0, float("nan"), 1e12, 2**70, httpx.Timeout(-1), httpx.Timeout(1, read=0)]
)
def test_timeouts_that_no_clock_takes_are_refused(timeout: Any) -> None:
    with pytest.raises(ValueError, match=r"^timeout=.* must be seconds, above 0"):
        config(timeout=timeout)


@pytest.mark.parametrize("timeout", [True, "5", (1, 2), object()])
def test_timeouts_are_numbers(timeout: Any) -> None:
    with pytest.raises(TypeError, match=r"^timeout=.* must be seconds"):
        config(timeout=timeout)


# --- retry ---------------------------------------------------------------------------------


def test_retries() -> None:
    assert Retry() == Retry(attempts=3, backoff=0.1, longest=10.0)
    assert config().retry == Retry(attempts=1)
    assert config(retry=Retry(attempts=7)).retry.attempts == 7
    for retry in (3, True, {"attempts": 3}):
        with pytest.raises(TypeError, match=r"^retry must be a Retry or None"):
            config(retry=retry)


@pytest.mark.parametrize("attempts", [0, -1, 1.5, True, None, "3"])
def test_attempts_are_counted(attempts: Any) -> None:
    with pytest.raises(ValueError, match=r"^attempts=.* at least 1"):
        Retry(attempts=attempts)


@pytest.mark.parametrize("seconds", [-0.1, float("nan"), float("inf"), None, "1"])
@pytest.mark.parametrize("name", ["backoff", "longest"])
def test_pauses_are_seconds(name: str, seconds: Any) -> None:
    arguments: dict[str, Any] = {name: seconds}
    with pytest.raises(ValueError, match=rf"^{name}=.* must be seconds, not negative"):
        Retry(**arguments)
    arguments[name] = 0
    assert getattr(Retry(**arguments), name) == 0


# --- other arguments of a client -----------------------------------------------------------


def test_sessions_of_aiohttp_are_refused_with_the_cure() -> None:
    refuse_session(None)
    with pytest.raises(TypeError, match=r"session= is not supported.*transport="):
        refuse_session(object())


def test_limits_are_httpx_limits() -> None:
    check_limits(httpx.Limits())
    for limits in (None, 5, {"max_connections": 5}):
        with pytest.raises(TypeError, match=r"^limits must be httpx.Limits"):
            check_limits(limits)


def test_tls_is_verified_unless_told_otherwise() -> None:
    context = ssl_context("https", True, None, None)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    blind = ssl_context("https", False, None, None)
    assert blind.verify_mode is ssl.CERT_NONE
    assert not blind.check_hostname


@pytest.mark.parametrize("kind", [str, Path])
def test_certificate_files_must_be_there(kind: Any, tmp_path: Path) -> None:
    absent = kind(tmp_path / "absent.pem")
    with pytest.raises(OSError, match="No such file"):
        ssl_context("https", True, absent, None)
    for cert in (absent, (absent, absent)):
        with pytest.raises(OSError, match="No such file"):
            ssl_context("https", True, None, cert)
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        ssl_context("https", True, kind(broken), None)


def test_certificates_replace_those_of_the_system(tmp_path: Path) -> None:
    folder = ssl_context("https", True, tmp_path, None)
    assert folder.get_ca_certs() == []
    assert folder.verify_mode is ssl.CERT_REQUIRED


def test_http_loads_no_certificates(tmp_path: Path) -> None:
    context = ssl_context("http", True, tmp_path / "absent.pem", None)
    assert context.cert_store_stats()["x509"] == 0


# --- proxies -------------------------------------------------------------------------------


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "http://host", None),
        ({"http_proxy": "http://proxy:1"}, "http://host", "http://proxy:1"),
        ({"http_proxy": "proxy:1"}, "http://host", "http://proxy:1"),
        ({"http_proxy": "http://proxy:1"}, "https://host", None),
        ({"HTTPS_PROXY": "http://proxy:1"}, "https://host", "http://proxy:1"),
        ({"all_proxy": "http://proxy:1"}, "https://host", "http://proxy:1"),
        ({"http_proxy": "http://proxy:1", "no_proxy": "host"}, "http://host:8", None),
        ({"http_proxy": "http://p:1", "no_proxy": "other"}, "http://host", "http://p:1"),
        ({"http_proxy": "http://p:1", "no_proxy": "host:8383"}, "http://host:8383", None),
        ({"http_proxy": "http://p:1", "no_proxy": "host:1"}, "http://host:8383", "http://p:1"),
        ({"http_proxy": "http://p:1", "no_proxy": "*"}, "http://host", None),
        ({"http_proxy": "http://p:1", "no_proxy": ".example"}, "http://a.example", None),
        ({"http_proxy": ""}, "http://host", None),
    ],
)
def test_proxies_of_the_environment(
    no_proxies: pytest.MonkeyPatch, environment: dict[str, str], url: str, proxy: str | None
) -> None:
    for name, value in environment.items():
        no_proxies.setenv(name, value)
    assert environment_proxy(httpx.URL(url)) == proxy


def test_proxies_are_named_without_their_password() -> None:
    assert proxy_address("http://user:secret@proxy:3128") == "proxy:3128"
    assert proxy_address(None) is None
    assert config(proxy="proxy:3128").proxy == "proxy:3128"


@pytest.mark.parametrize(
    "address", ["http://proxy:port", "http://[::1", "http://p:70000", "http://"]
)
def test_proxies_without_an_address_are_refused(
    no_proxies: pytest.MonkeyPatch, address: str
) -> None:
    no_proxies.setenv("http_proxy", address)
    with pytest.raises(ValueError, match="whose address is no address"):
        environment_proxy(httpx.URL("http://host"))


def test_proxies_of_other_kinds_are_refused(no_proxies: pytest.MonkeyPatch) -> None:
    no_proxies.setenv("all_proxy", "ftp://user:secret@proxy")
    with pytest.raises(ValueError, match="ftp://") as caught:
        environment_proxy(httpx.URL("http://host"))
    assert "secret" not in str(caught.value)


def test_socks_needs_a_package(no_proxies: pytest.MonkeyPatch) -> None:
    no_proxies.setenv("all_proxy", "socks5://proxy:1")
    no_proxies.setattr("reduct_core.network.find_spec", lambda name: name == "socksio" or None)
    assert environment_proxy(httpx.URL("http://host")) == "socks5://proxy:1"
    no_proxies.setattr("reduct_core.network.find_spec", lambda _name: None)
    with pytest.raises(ValueError, match=r"install httpx\[socks\]"):
        environment_proxy(httpx.URL("http://host"))


@given(st.text())
def test_any_url_is_refused_or_used(text: str) -> None:
    """Nothing but ValueError, also for what only the look-up of a name would refuse."""
    for url in (text, f"http://{text}"):
        try:
            found = config(url).url
        except ValueError:
            continue
        assert found.scheme in ("http", "https")
        assert found.host
        assert b"?" not in found.raw_path
