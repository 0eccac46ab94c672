"""How a client reaches the network: limits, certificates, proxies of the environment."""

import os
import ssl
from importlib.util import find_spec
from typing import Any, NoReturn, TypeAlias
from urllib.request import getproxies, proxy_bypass

import httpx

CertTypes: TypeAlias = (
    str | os.PathLike[str] | tuple[str | os.PathLike[str], str | os.PathLike[str]]
)
"""A PEM file with certificate and key, or a pair of files (certificate, key)."""


def check_limits(limits: object) -> None:
    """Raise TypeError for anything but httpx.Limits."""
    if not isinstance(limits, httpx.Limits):
        raise TypeError(f"limits must be httpx.Limits, not {type(limits).__name__}")


def is_port(port: int | None) -> bool:
    """Tell whether `port` is none or a number that can be one."""
    return port is None or 0 <= port <= 65535


def ssl_context(
    scheme: str, verify_ssl: bool, ca_cert: str | os.PathLike[str] | None, cert: CertTypes | None
) -> ssl.SSLContext:
    """Return the TLS settings; a bare context for http, which needs none and loads no files.

    Raises OSError (ssl.SSLError is one) for a certificate file that is missing or broken,
    ValueError for a key that is encrypted.
    """
    if scheme == "http":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.create_default_context() if ca_cert is None else _private(ca_cert)
    if cert is not None:
        _load(context, cert)
    if not verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _private(ca_cert: object) -> ssl.SSLContext:
    path = _path(ca_cert, "ca_cert")
    try:
        if os.path.isdir(path):
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except OSError as exc:
        raise _named(exc, f"ca_cert={path!r}") from exc


def _load(context: ssl.SSLContext, cert: object) -> None:
    files = [_path(file, "client_cert") for file in (cert if isinstance(cert, tuple) else (cert,))]
    if len(files) not in (1, 2):
        raise ValueError("client_cert must be one file or a pair of files")
    try:
        key = files[1] if len(files) == 2 else None
        context.load_cert_chain(files[0], key, _refuse_password)
    except OSError as exc:
        raise _named(exc, f"client_cert={', '.join(files)!r}") from exc


def _path(value: Any, name: str) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be a path, not {type(value).__name__}")
    return os.fsdecode(value)


def _refuse_password() -> NoReturn:
    # Without this, OpenSSL asks for it at the terminal.
    raise ValueError(
        "client_cert: the key is encrypted with a password; decrypt it, or pass a transport= with"
        " an SSL context of your own"
    )


def _named(exc: OSError, what: str) -> OSError:
    """Return an error that names the file, which those of ssl leave out."""
    return type(exc)(exc.errno, f"{what}: {exc.strerror or exc}")


def environment_proxy(url: httpx.URL) -> str | None:
    """Return the proxy that the usual environment variables name for `url`, else None.

    Raises ValueError for one that cannot be used.
    """
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(f"{url.host}:{url.port}" if url.port else url.host):
        return None
    return _checked_proxy(proxy if "://" in proxy else f"http://{proxy}")


def _checked_proxy(proxy: str) -> str:
    scheme = proxy.partition("://")[0].lower()
    known = scheme in ("http", "https") or (
        scheme in ("socks5", "socks5h") and find_spec("socksio") is not None
    )
    # The messages leave the rest of the address out, which may hold a password.
    if not known:
        raise ValueError(
            f"the environment names a proxy {scheme}://..., which cannot be used; unset it, pass"
            " transport=, or for socks5 install httpx[socks]"
        )
    try:
        parsed = httpx.URL(proxy)
        usable = bool(parsed.host) and is_port(parsed.port)
    except httpx.InvalidURL:
        usable = False
    if not usable:
        raise ValueError(
            f"the environment names a proxy {scheme}://... whose address is no address; mend or"
            " unset it, or pass transport="
        )
    return proxy


def proxy_address(proxy: str | None) -> str | None:
    """Return host and port of a proxy, without user and password."""
    return None if proxy is None else httpx.URL(proxy).netloc.decode("ascii", "replace")
