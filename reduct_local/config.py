"""The configuration of a server: options, and the real server's environment variables."""

import logging
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from reduct_local.auth import INIT_TOKEN, GivenToken
from reduct_local.durations import parse_size
from reduct_local.integers import parse_u64
from reduct_local.limits import Rate, parse_rate
from reduct_local.queries import IoLimits
from reduct_local.replications import LOG_SIZE
from reduct_local.settings import BucketSettings
from reduct_local.token_model import Permissions, parse_time

logger = logging.getLogger("reduct_local")

LOOPBACK = "127.0.0.1"
DATA_FILE = "reduct.sqlite"
"""The name of the data file where a folder is given."""

T = TypeVar("T")


class ConfigError(ValueError):
    """A setting that cannot be used; the text names it and says what it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a server is told at its start; see the README for the environment variables."""

    host: str = LOOPBACK
    port: int = 0
    """0 takes a free one."""
    data: Path | None = None
    """The data file; None keeps everything in memory."""
    tokens: tuple[GivenToken, ...] | None = field(default=None, repr=False)
    """None: no authentication."""
    base_path: str = "/"
    public_url: str | None = None
    instance_name: str = "unknown"
    cors_allow_origin: tuple[str, ...] = ()
    api_limit: Rate | None = None
    ingress_limit: Rate | None = None
    egress_limit: Rate | None = None
    io: IoLimits = field(default_factory=IoLimits)
    operation_timeout: float = 30.0
    """Seconds that a body may pause."""
    max_writers: int | None = None
    max_storage: int | None = None
    defaults: BucketSettings = field(default_factory=BucketSettings)
    buckets: tuple[tuple[str, dict[str, object]], ...] = ()
    """Provisioned buckets: name, settings."""
    replication_log_size: int = LOG_SIZE
    replication_retry: float = 5.0
    """Seconds between attempts to reach a destination."""

    @property
    def header_lines(self) -> int:
        """How many header lines a request may have."""
        return self.io.batch_max_records + 15


def read_config(
    env: Mapping[str, str],
    *,
    host: str | None = None,
    port: int | None = None,
    data: Path | None = None,
    token: str | None = None,
) -> Config:
    """Return the configuration of the environment, with the options on top.

    Raises ConfigError for a value that cannot be used, and for an address other than loopback
    without a token.
    """
    reader = _Reader(env)
    config = Config(
        host=host or reader.text("RS_HOST") or LOOPBACK,
        port=reader.number("RS_PORT", 0, 65535) if port is None else port,
        data=_data_file(data or _path(reader.text("RS_DATA_PATH"))),
        tokens=_tokens(reader, token),
        base_path=_base_path(reader.text("RS_API_BASE_PATH")),
        public_url=reader.text("RS_PUBLIC_URL"),
        instance_name=reader.text("RS_INSTANCE_NAME") or socket.gethostname() or "unknown",
        cors_allow_origin=reader.items("RS_CORS_ALLOW_ORIGIN"),
        api_limit=reader.rate("RS_RATE_LIMIT_API", requests=True),
        ingress_limit=reader.rate("RS_RATE_LIMIT_INGRESS"),
        egress_limit=reader.rate("RS_RATE_LIMIT_EGRESS"),
        io=_io_limits(reader),
        operation_timeout=reader.seconds("RS_IO_OPERATION_TIMEOUT", 30.0),
        max_writers=reader.optional("RS_IO_MAX_WRITERS_IN_FLIGHT", parse_u64, "a number"),
        max_storage=reader.size("RS_ENGINE_MAX_STORAGE_SIZE"),
        defaults=BucketSettings().changed(_bucket_settings(reader, "RS_DEFAULTS_BUCKET_")),
        buckets=_buckets(reader),
        replication_log_size=reader.number("RS_REPLICATION_LOG_SIZE", LOG_SIZE),
        replication_retry=reader.seconds("RS_REPLICATION_TIMEOUT", 5.0),
    )
    _refuse_unserved(reader)
    if config.tokens is None and not _is_loopback(config.host):
        raise ConfigError(
            f"refusing to listen on {config.host} without a token: anybody on the network could "
            "read and change everything. Set a token, or listen on 127.0.0.1"
        )
    reader.warn_unknown()
    return config


class _Reader:
    """Typed values of environment variables; an empty one is as good as none."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = {name: value for name, value in env.items() if name.startswith("RS_")}
        # Options may stand in for these, so that they are not read; the log is the command's.
        self._seen = {"RS_HOST", "RS_PORT", "RS_DATA_PATH", "RS_LOG_LEVEL"}

    def text(self, name: str) -> str | None:
        self._seen.add(name)
        return self._env.get(name, "").strip() or None

    def optional(self, name: str, parse: Callable[[str], T | None], what: str) -> T | None:
        text = self.text(name)
        if text is None:
            return None
        value = parse(text)
        if value is None:
            raise ConfigError(f"{name}={text!r} is not {what}")
        return value

    def number(self, name: str, default: int, maximum: int | None = None) -> int:
        value = self.optional(name, parse_u64, "a number")
        if value is not None and maximum is not None and value > maximum:
            raise ConfigError(f"{name}={value} is more than {maximum}")
        return default if value is None else value

    def size(self, name: str) -> int | None:
        return self.optional(name, parse_size, "a size such as 100MB")

    def seconds(self, name: str, default: float) -> float:
        value = self.optional(name, parse_u64, "a number of seconds")
        return default if value is None else float(value)

    def rate(self, name: str, *, requests: bool = False) -> Rate | None:
        example = "100req/s" if requests else "10MB/m"
        return self.optional(
            name, lambda text: parse_rate(text, requests=requests), f"a rate such as {example}"
        )

    def items(self, name: str) -> tuple[str, ...]:
        items = (item.strip() for item in (self.text(name) or "").split(","))
        return tuple(item for item in items if item)

    def flag(self, name: str) -> bool:
        value = self.optional(name, {"true": 1, "false": 0}.get, "true or false")
        return bool(value)

    def ids(self, prefix: str) -> dict[str, str]:
        """Return the names by the ids of `<prefix><id>_NAME`."""
        pattern = re.compile(re.escape(prefix) + "(.+)_NAME")
        found = {match[1]: name for name in self._env if (match := pattern.fullmatch(name))}
        texts = {key: self.text(name) for key, name in sorted(found.items())}
        return {key: text for key, text in texts.items() if text}

    def warn_unknown(self) -> None:
        for name in sorted(self._env.keys() - self._seen):
            logger.warning("%s has no effect on the embedded server", name)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _data_file(path: Path | None) -> Path | None:
    """Return the file for the data; of a folder, the file in it."""
    return path / DATA_FILE if path is not None and path.is_dir() else path


def _base_path(text: str | None) -> str:
    stripped = (text or "").strip("/")
    return f"/{stripped}/" if stripped else "/"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _tokens(reader: _Reader, option: str | None) -> tuple[GivenToken, ...] | None:
    provisioned = reader.text("RS_API_TOKEN")
    initial = reader.text("RS_INIT_API_TOKEN")
    disabled = reader.flag("RS_DISABLE_AUTH")
    others = _provisioned_tokens(reader)
    if option is not None:
        if not option:
            raise ConfigError("the token is empty")
        return (GivenToken(INIT_TOKEN, option), *others)
    if disabled:
        return None
    if provisioned and initial:
        raise ConfigError("RS_API_TOKEN and RS_INIT_API_TOKEN exclude each other")
    if provisioned:
        return (GivenToken(INIT_TOKEN, provisioned), *others)
    if initial:
        return (GivenToken(INIT_TOKEN, initial, is_provisioned=False), *others)
    if others:
        raise ConfigError("RS_TOKEN_... needs RS_API_TOKEN or RS_INIT_API_TOKEN too")
    return None


def _provisioned_tokens(reader: _Reader) -> list[GivenToken]:
    tokens = []
    for key, name in reader.ids("RS_TOKEN_").items():
        prefix = f"RS_TOKEN_{key}_"
        value = reader.text(prefix + "VALUE")
        if value is None:
            raise ConfigError(f"{prefix}VALUE is missing: token {name!r} needs a value")
        permissions = Permissions(
            full_access=reader.flag(prefix + "FULL_ACCESS"),
            read=reader.items(prefix + "READ"),
            write=reader.items(prefix + "WRITE"),
        )
        expires_at = reader.optional(prefix + "EXPIRES_AT", parse_time, "an RFC 3339 time")
        tokens.append(GivenToken(name, value, permissions, expires_at))
    return tokens


def _io_limits(reader: _Reader) -> IoLimits:
    base = IoLimits()
    metadata = reader.size("RS_IO_BATCH_MAX_METADATA_SIZE")
    size = reader.size("RS_IO_BATCH_MAX_SIZE")
    return IoLimits(
        batch_max_records=reader.number("RS_IO_BATCH_MAX_RECORDS", base.batch_max_records),
        batch_max_metadata_size=base.batch_max_metadata_size if metadata is None else metadata,
        batch_max_size=base.batch_max_size if size is None else size,
        batch_timeout_s=reader.seconds("RS_IO_BATCH_TIMEOUT", base.batch_timeout_s),
        batch_records_timeout_s=reader.seconds(
            "RS_IO_BATCH_RECORDS_TIMEOUT", base.batch_records_timeout_s
        ),
    )


def _bucket_settings(reader: _Reader, prefix: str) -> dict[str, object]:
    quota_type = reader.text(prefix + "QUOTA_TYPE")
    if quota_type not in (None, "NONE", "FIFO", "HARD"):
        raise ConfigError(f"{prefix}QUOTA_TYPE={quota_type!r} is not NONE, FIFO or HARD")
    found: dict[str, object] = {
        "quota_type": quota_type,
        "quota_size": reader.size(prefix + "QUOTA_SIZE"),
        "max_block_size": reader.size(prefix + "MAX_BLOCK_SIZE"),
        "max_block_records": reader.optional(prefix + "MAX_BLOCK_RECORDS", parse_u64, "a number"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _buckets(reader: _Reader) -> tuple[tuple[str, dict[str, object]], ...]:
    return tuple(
        (name, _bucket_settings(reader, f"RS_BUCKET_{key}_"))
        for key, name in reader.ids("RS_BUCKET_").items()
    )


def _refuse_unserved(reader: _Reader) -> None:
    """Raise ConfigError where ignoring a setting would be worse than not starting."""
    if reader.text("RS_CERT_PATH") or reader.text("RS_CERT_KEY_PATH"):
        raise ConfigError("RS_CERT_PATH: the embedded server has no TLS")
    if reader.text("RS_INSTANCE_ROLE") not in (None, "STANDALONE"):
        raise ConfigError("RS_INSTANCE_ROLE: the embedded server is STANDALONE only")
