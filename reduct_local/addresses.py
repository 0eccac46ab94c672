"""Whose request it is: the client's address, also behind a proxy of the own network."""

import ipaddress
from collections.abc import Iterable, Iterator

from starlette.types import Scope


def client_address(scope: Scope) -> str:
    """Return the address of the client.

    The TCP peer, unless that is of a private network: then the first usable `for=` of
    `Forwarded`, else the first of `X-Forwarded-For`, else the peer.
    """
    peer: str = (scope["client"] or ("",))[0]
    named = _named(scope["headers"])
    if named is None or not _is_proxy(peer):
        return peer
    return named


def _named(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the address that proxy headers name, None without any; first lines count."""
    lines: dict[bytes, str] = {}
    for name, value in headers:
        if name in (b"forwarded", b"x-forwarded-for"):
            lines.setdefault(name, value.decode("latin-1"))
    if not lines:
        return None
    for text in _forwarded_for(lines.get(b"forwarded", "")):
        address = _address(_without_port(text))
        if address is not None:
            return address
    return _address(lines.get(b"x-forwarded-for", "").split(",", 1)[0].strip())


def _forwarded_for(line: str) -> Iterator[str]:
    for element in line.split(","):
        for pair in element.split(";"):
            name, _, text = pair.partition("=")
            if name.strip().lower() == "for":
                yield text.strip().strip('"')


def _without_port(text: str) -> str:
    """Return the address of `1.2.3.4:80` or `[::1]`; the real server reads no port after `]`."""
    if text.startswith("[") and text.endswith("]"):
        return text[1:-1]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _is_proxy(peer: str) -> bool:
    """Tell whether an address is loopback, private, link-local or unique-local."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return address.is_loopback or address.is_private or address.is_link_local
