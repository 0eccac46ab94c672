"""Query links: requests to deliver one record, sealed with the secret of a token.

Nothing is stored: the whole request travels in the URL, encrypted. Who rotates or removes the
token makes its links useless. Ranges of their downloads are here too.
"""

import base64
import binascii
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .errors import ApiError
from .integers import U64_MAX, parse_u64
from .query_request import parse_query

SALT_SIZE = 16
NONCE_SIZE = 16
LEAST_SALT_SIZE = 8
"""A shorter salt ends the real server."""

KEY_SIZE = 32

MAX_DOCUMENT_SIZE = 4 * 1024 * 1024
"""Bytes of a decompressed request; creation takes less."""

LAST_SECOND = 8_210_266_876_799
FIRST_SECOND = -8_334_601_228_800
"""The range of times that the real server can express, in Unix seconds."""


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """What a link delivers; `document` is its JSON form, `expire_at` in Unix seconds."""

    bucket: str
    entry: str
    record_entry: str | None
    record_timestamp: int | None
    query: Mapping[str, object]
    expire_at: int
    base_url: str | None
    document: Mapping[str, object]


def parse_link(document: Mapping[str, object]) -> LinkRequest:
    """Return the request that a JSON object means; 422 for wrong types."""
    query = document.get("query")
    if not isinstance(query, dict):
        raise _wrong("query", "an object")
    parse_query(query)
    return LinkRequest(
        bucket=_text(document, "bucket"),
        entry=_text(document, "entry"),
        record_entry=_optional_text(document, "record_entry"),
        record_timestamp=_optional_u64(document, "record_timestamp"),
        query=query,
        expire_at=_seconds(document),
        base_url=_optional_text(document, "base_url"),
        document=document,
    )


def _wrong(name: str, expected: str) -> ApiError:
    return ApiError(422, f"Invalid JSON: `{name}` must be {expected}")


def _text(document: Mapping[str, object], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise _wrong(name, "a string")
    return value


def _optional_text(document: Mapping[str, object], name: str) -> str | None:
    return None if document.get(name) is None else _text(document, name)


def _optional_u64(document: Mapping[str, object], name: str) -> int | None:
    value = document.get(name)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= U64_MAX:
        raise _wrong(name, "an integer from 0 to 2^64-1")
    return value


def _seconds(document: Mapping[str, object]) -> int:
    value = document.get("expire_at")
    if type(value) is not int or not FIRST_SECOND <= value <= LAST_SECOND:
        raise _wrong("expire_at", "a unix timestamp in seconds")
    return value


def check_base_url(url: str) -> None:
    """Refuse what is not an absolute URL with a host (422)."""
    special = url.split(":", 1)[0].lower() in ("http", "https", "ws", "wss", "ftp")
    scheme, colon, rest = url.partition(":")
    # These schemes have a host however many slashes there are.
    text = f"{scheme}://{rest.lstrip('/')}" if special and colon else url
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ApiError(422, f"Invalid base_url provided for query link: {error}") from None
    if not parts.scheme or not host:
        raise ApiError(422, "Invalid base_url provided for query link: missing host")
    if any(char in host for char in ' %<>^|\\"`{}'):
        raise ApiError(422, "Invalid base_url provided for query link: invalid host")


# -- Seals ------------------------------------------------------------------------------------


def seal(link: LinkRequest, secret: str) -> dict[str, str]:
    """Return the parameters `ct`, `s` and `n` of a link that only this secret opens."""
    text = json.dumps(link.document, separators=(",", ":")).encode()
    salt, nonce = os.urandom(SALT_SIZE), os.urandom(NONCE_SIZE)
    sealed = _cipher(secret, salt).encrypt(zlib.compress(text, 9), [nonce])
    return {"ct": _encoded(sealed), "s": _encoded(salt), "n": _encoded(nonce)}


def unseal(params: Mapping[str, str], secret: str) -> LinkRequest:
    """Return the request of a link; 422 if it is damaged or was sealed with another secret."""
    sealed, salt, nonce = (_decoded(params[name], name) for name in ("ct", "s", "n"))
    if len(salt) < LEAST_SALT_SIZE or len(nonce) != NONCE_SIZE:
        raise LinkLengthError
    try:
        text = _decompressed(_cipher(secret, salt).decrypt(sealed, [nonce]))
        document = json.loads(text)
    except (InvalidTag, ValueError, zlib.error):
        raise ApiError(422, "Failed to decrypt query") from None
    return parse_link(document)


class LinkLengthError(ApiError):
    """The salt or nonce of a link has a length that ends the real server (422)."""

    def __init__(self) -> None:
        super().__init__(422, "Invalid length of 's' or 'n' parameter")


def _cipher(secret: str, salt: bytes) -> AESSIV:
    # The secret is the hash of a random value: stretching it would only cost time.
    kdf = HKDF(hashes.SHA256(), KEY_SIZE, salt, b"reduct_local query link")
    return AESSIV(kdf.derive(secret.encode()))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str, name: str) -> bytes:
    try:
        padding = "=" * (-len(text) % 4)
        data = base64.b64decode(text + padding, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = None
    # Neither padding nor loose bits at the end are let through.
    if data is None or _encoded(data) != text:
        raise ApiError(422, f"Invalid base64 in '{name}' parameter")
    return data


def _decompressed(data: bytes) -> bytes:
    decompressor = zlib.decompressobj()
    text = decompressor.decompress(data, MAX_DOCUMENT_SIZE)
    if not decompressor.eof:
        raise ValueError("too long or cut off")
    return text


# -- Ranges -----------------------------------------------------------------------------------


def parse_ranges(header: str, size: int) -> list[tuple[int, int]]:
    """Return first and last byte of each range of a `bytes=` header, within `size` bytes.

    Ranges that begin beyond the end or make no sense are left out; without any the answer
    is 416.
    """
    specs = header.removeprefix("bytes=").split(",")
    found = (_range(spec.strip(), size) for spec in specs)
    return [item for item in found if item is not None]


def _range(spec: str, size: int) -> tuple[int, int] | None:
    first_text, dash, last_text = spec.partition("-")
    first, last = parse_u64(first_text), parse_u64(last_text)
    if not dash or (first_text and first is None) or (last_text and last is None):
        return None
    if first is None:
        first = max(size - (last or 0), 0)
        last = size - 1
    end = size - 1 if last is None else min(last, size - 1)
    return (first, end) if first <= end else None
