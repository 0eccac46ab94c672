"""Query links: the request that makes one, and the address that can be handed out."""

from __future__ import annotations

import time
from datetime import datetime
from urllib.parse import quote

import httpx
from attrs import evolve

from reduct_api import api, models
from reduct_api.types import RequestSpec

from . import errors, names
from .query import Plan
from .times import MAX_RECORD_US, TimestampLike, to_us

LIFETIME_SECONDS = 24 * 3600
"""How long a link lives if not told otherwise."""


def check_selector(
    plan: Plan,
    record_index: int | None,
    record_entry: str | None,
    record_timestamp: TimestampLike | None,
) -> tuple[str, int] | int:
    """Return (entry, timestamp) of the record to link, or its position in the query.

    Raises ValueError for an incomplete or contradictory choice.
    """
    if not plan.entries:
        raise ValueError("entries must not be empty: the server would take every entry")
    entry = record_entry if record_entry is not None else plan.single
    if record_timestamp is not None:
        if record_index is not None:
            raise ValueError("record_index cannot be used with record_timestamp")
        if entry is None:
            raise ValueError("record_entry must be given with record_timestamp")
        us = to_us(record_timestamp, "record_timestamp", most=MAX_RECORD_US)
        return names.entry(entry), us
    if record_entry is not None:
        raise ValueError("record_timestamp must be given with record_entry")
    return _index(0 if record_index is None else record_index)


def _index(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"record_index={value!r} must be an int, not negative")
    return value


def check_expiry(expire_at: TimestampLike | None) -> int:
    """Return the end of the link's life in Unix seconds; ValueError for one that is over."""
    now = time.time()
    if expire_at is None:
        return int(now) + LIFETIME_SECONDS
    seconds = to_us(expire_at, "expire_at") // 1_000_000
    if seconds <= now:
        moment = expire_at.isoformat() if isinstance(expire_at, datetime) else repr(expire_at)
        raise ValueError(f"expire_at={moment} is over; the link would be dead")
    return seconds


def check_base_url(base_url: str | None) -> str | None:
    """Return an absolute URL that the links begin with."""
    if base_url is None:
        return None
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError) as exc:
        raise ValueError(f"base_url={base_url!r} is not a URL: {exc}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"base_url={base_url!r} must begin with http:// or https://")
    return base_url


def file_name(name: str | None, entry: str, timestamp: int) -> str:
    """Return the name under which the record is downloaded."""
    return names.file_name(f"{entry}_{timestamp}.bin" if name is None else name)


def request(
    plan: Plan,
    record: tuple[str, int],
    expires: int,
    name: str,
    base_url: str | None,
) -> RequestSpec[models.QueryLinkResponse]:
    """Return the request that makes a link to one record of `plan`."""
    body = models.QueryLinkRequest(
        bucket=plan.bucket,
        entry=plan.single or "",
        record_entry=record[0],
        record_timestamp=record[1],
        query=plan.body,
        expire_at=expires,
        base_url=base_url,
    )
    return api.links.create_link.build_request(name, body=body)


def metadata(plan: Plan) -> Plan:
    """Return `plan` for metadata alone, to find the record at a position."""
    return evolve(plan, head=True, body=evolve(plan.body, only_metadata=True))


def no_record(plan: Plan, index: int, seen: int) -> errors.ReductError:
    """Return the error for a position beyond the end of the query."""
    return errors.for_status(
        404, f"the query over {list(plan.entries)} has {seen} records, none at position {index}"
    )


def usable(link: str, name: str, client_url: httpx.URL) -> str:
    """Return `link` with its file name encoded, and an address that can be reached.

    A server without RS_PUBLIC_URL names the address it listens on, often 0.0.0.0, which is
    nowhere; then the address that this client uses takes its place (T30).
    """
    base, found, query = link.partition(f"/api/v1/links/{name}?")
    if not found:
        return link
    if httpx.URL(base).host in ("0.0.0.0", "::"):
        base = str(client_url).rstrip("/")
    return f"{base}/api/v1/links/{quote(name, safe='/')}?{query}"
