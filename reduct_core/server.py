"""Server, tokens, replications and lifecycles: checks of what is asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeAlias, TypeVar

import httpx
from attrs import evolve

from reduct_api import models
from reduct_api.types import RequestSpec

from . import conditions, errors
from .errors import NO_ANSWER, ReductError

Probe: TypeAlias = RequestSpec[None]

READY_POLL_SECONDS = 0.1

_Settings = TypeVar("_Settings", "models.ReplicationSettings", "models.LifecycleSettings")
_Mode = TypeVar("_Mode", bound=StrEnum)


def is_away(error: ReductError) -> bool:
    """Tell whether a server cannot be used now: no answer, starting, or its proxy says so."""
    return errors.is_away(error) or error.status_code in (502, 503, 504)


def check_timeout(timeout: float) -> float:
    """Return a time to wait in seconds."""
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout={timeout!r} must be seconds")
    if not timeout >= 0:
        raise ValueError(f"timeout={timeout!r} must be seconds, not negative")
    return timeout


def probe_timeout(deadline: float) -> float:
    """Return the seconds that a probe may take in each phase, given the monotonic deadline."""
    return max(deadline - time.monotonic(), READY_POLL_SECONDS)


def not_ready(url: httpx.URL, timeout: float) -> ReductError:
    """Return the error of a server that did not become ready."""
    return errors.TimeoutError(NO_ANSWER, f"{url} was not ready within {timeout:g} s")


def token_request(
    permissions: models.Permissions,
    expires_at: datetime | None,
    ttl: int | None,
    ip_allowlist: Sequence[str] | None,
) -> models.TokenCreateRequest:
    """Return the checked request for a token."""
    if not isinstance(permissions, models.Permissions):
        raise TypeError(f"permissions must be Permissions, not {type(permissions).__name__}")
    if expires_at is not None and not isinstance(expires_at, datetime):
        raise TypeError(f"expires_at must be a datetime, not {type(expires_at).__name__}")
    if ttl is not None and (isinstance(ttl, bool) or not isinstance(ttl, int)):
        raise TypeError(f"ttl={ttl!r} must be whole seconds")
    if ttl is not None and not 0 < ttl < 2**64:
        raise ValueError(f"ttl={ttl!r} must be seconds above 0")
    if isinstance(ip_allowlist, str):
        raise TypeError("ip_allowlist must be a list of addresses, not one str")
    return models.TokenCreateRequest(
        permissions=permissions,
        expires_at=None if expires_at is None else _aware(expires_at),
        ttl=ttl,
        ip_allowlist=list(ip_allowlist or ()),
    )


def _aware(expires_at: datetime) -> datetime:
    """Return a moment in UTC; without a time zone it is local time, as elsewhere."""
    try:
        return expires_at.astimezone(UTC)
    except (OverflowError, ValueError) as exc:
        raise ValueError(f"expires_at={expires_at} is outside the supported times: {exc}") from exc


def bucket_settings(settings: models.BucketSettings) -> models.BucketSettings:
    """Return settings of a bucket; TypeError for anything else."""
    if not isinstance(settings, models.BucketSettings):
        raise TypeError(f"settings must be BucketSettings, not {type(settings).__name__}")
    return settings


def checked(kind: type[_Settings], settings: _Settings) -> _Settings:
    """Return settings of a task whose condition may be sent; TypeError for another kind."""
    if not isinstance(settings, kind):
        raise TypeError(f"settings must be {kind.__name__}, not {type(settings).__name__}")
    conditions.check(settings.when, settings.entries or ())
    return settings


def with_mode(
    settings: _Settings, mode: models.ReplicationMode | models.LifecycleMode
) -> _Settings:
    """Return a copy of `settings` in another mode."""
    return evolve(settings, mode=mode)


def mode(kind: type[_Mode], value: _Mode | str) -> _Mode:
    """Return a mode; ValueError for a text that names none."""
    if value not in list(kind):
        raise ValueError(f"mode={value!r} must be one of {', '.join(kind)}")
    return kind(value)
