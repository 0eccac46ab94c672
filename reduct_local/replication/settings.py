"""What a replication is told to do, and the checks of it."""

import dataclasses
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import httpx

from reduct_local import fields
from reduct_local.conditions import Condition, parse_condition
from reduct_local.errors import ApiError

logger = logging.getLogger("reduct_local")

ENABLED = "enabled"
PAUSED = "paused"
DISABLED = "disabled"
MODES = (ENABLED, PAUSED, DISABLED)

COMPRESSIONS = ("none", "zstd", "gzip")

OWN_HOSTS = ("127.0.0.1", "localhost", "0.0.0.0")
"""What the real server takes for itself in the address of a destination."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

_NEED_HOST = {"http", "https", "ws", "wss", "ftp"}

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """Where records go: the bucket of another server, and how they get there."""

    host: str
    bucket: str
    token: str | None = field(repr=False)
    compression: str

    @property
    def port(self) -> int:
        """The port of the address, as the real server understands it."""
        url = httpx.URL(self.host)
        return url.port or _DEFAULT_PORTS.get(url.scheme, 8383)


@dataclass(frozen=True, slots=True)
class ReplicationSettings:
    """The settings of a replication; `entries` empty is all, `when` is the raw condition."""

    src_bucket: str
    target: Target
    entries: tuple[str, ...]
    dst_prefix: str
    when: object
    mode: str

    @classmethod
    def parse(cls, document: Mapping[str, object]) -> Self:
        """Return the settings of a JSON object; 422 for missing members and wrong types."""
        return cls(
            src_bucket=fields.text(document, "src_bucket"),
            target=Target(
                host=fields.text(document, "dst_host"),
                bucket=fields.text(document, "dst_bucket"),
                token=fields.optional_text(document, "dst_token"),
                compression=fields.choice(document, "compression", COMPRESSIONS, "none"),
            ),
            entries=fields.texts(document, "entries"),
            dst_prefix=fields.text(document, "dst_prefix", ""),
            when=document.get("when"),
            mode=fields.choice(document, "mode", MODES, ENABLED),
        )

    def condition(self) -> Condition | None:
        """Return the parsed `when`, None without one; 422."""
        if self.when is None:
            return None
        try:
            return parse_condition(self.when)
        except ApiError as error:
            raise ApiError(
                error.status, f"Invalid replication condition: {error.message}"
            ) from None

    def check_address(self) -> None:
        """Refuse an address or a token that no request can be sent with (422)."""
        _check_host(self.target.host)
        _check_token(self.target.token)

    def refuse_own_bucket(self, own_port: int) -> None:
        """Refuse a source that is its own destination (422); `own_port` is this server's."""
        same_server = httpx.URL(self.target.host).host in OWN_HOSTS and self.target.port == own_port
        if same_server and self.src_bucket == self.target.bucket:
            raise ApiError(422, "Source and destination buckets must be different")

    def with_mode(self, mode: str) -> Self:
        """Return these settings in another mode."""
        return dataclasses.replace(self, mode=mode)

    def with_token(self, token: str | None) -> Self:
        """Return these settings with another token for the destination."""
        return dataclasses.replace(self, target=dataclasses.replace(self.target, token=token))

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form, token included, that `parse` reads."""
        return {
            "src_bucket": self.src_bucket,
            "dst_bucket": self.target.bucket,
            "dst_host": self.target.host,
            "dst_token": self.target.token,
            "entries": list(self.entries),
            "dst_prefix": self.dst_prefix,
            "when": self.when,
            "mode": self.mode,
            "compression": self.target.compression,
        }

    def public(self) -> dict[str, object]:
        """Return the JSON form for answers, which never tell the token."""
        return self.to_dict() | {"dst_token": None}


def _check_host(host: str) -> None:
    try:
        url = httpx.URL(host)
    except httpx.InvalidURL:
        url = None
    if url is None or not _SCHEME.match(host) or (url.scheme in _NEED_HOST and not url.host):
        raise ApiError(422, f"Invalid destination host '{host}'")


def _check_token(token: str | None) -> None:
    if token is None or (token.isascii() and token.isprintable()):
        return
    logger.warning("a destination token that no header can carry would end the real server")
    raise ApiError(422, "The destination token cannot be sent in a header")
