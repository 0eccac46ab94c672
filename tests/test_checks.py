"""Checks of what is asked of servers, tokens and tasks; what is known of a record."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from reduct_api.models import (
    BucketSettings,
    LifecycleMode,
    LifecycleSettings,
    LifecycleType,
    Permissions,
    ReplicationMode,
    ReplicationSettings,
)
from reduct_core import errors, server
from reduct_core.errors import ApiError, TimeoutError, TransportError
from reduct_core.headers import RecordHead
from reduct_core.record_info import RecordInfo
from tests.test_times import local_zone

REPLICATION = ReplicationSettings(src_bucket="a", dst_bucket="b", dst_host="http://host")
LIFECYCLE = LifecycleSettings(type=LifecycleType.DELETE, bucket="a", older_than="1h")


# --- servers -------------------------------------------------------------------------------


def test_a_server_that_is_away() -> None:
    lost = TransportError(-1, "lost")
    lost.__cause__ = httpx.ConnectError("")
    for error in (lost, *(ApiError(status, "") for status in (502, 503, 504))):
        assert server.is_away(error)
    for error in (errors.closed(), *(ApiError(status, "") for status in (401, 404, 500))):
        assert not server.is_away(error)


def test_times_to_wait() -> None:
    assert server.check_timeout(0) == 0
    assert server.check_timeout(0.5) == 0.5
    for value in (-1, float("nan")):
        with pytest.raises(ValueError, match=r"^timeout=.* not negative"):
            server.check_timeout(value)
    other: Any
    for other in (True, None, "1"):
        with pytest.raises(TypeError, match=r"^timeout=.* must be seconds"):
            server.check_timeout(other)
    late = server.not_ready(httpx.URL("http://host"), 2.5)
    assert isinstance(late, TimeoutError)
    assert late.message == "http://host was not ready within 2.5 s"


# --- tokens --------------------------------------------------------------------------------


def test_b30_requests_for_tokens() -> None:
    permissions = Permissions(read=["b"])
    moment = datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    full = server.token_request(permissions, moment, 60, ["10.0.0.0/8"])
    granted = {"full_access": False, "read": ["b"], "write": []}
    assert full.to_dict() == {
        "permissions": granted,
        "expires_at": "2029-12-31T22:00:00+00:00",
        "ttl": 60,
        "ip_allowlist": ["10.0.0.0/8"],
    }
    bare = server.token_request(permissions, None, None, None).to_dict()
    assert bare == {"permissions": granted, "ip_allowlist": []}


def test_b30_a_time_without_zone_is_local_time() -> None:
    with local_zone("XYZ-2"):
        request = server.token_request(Permissions(), datetime(2030, 1, 1), None, None)
        assert request.to_dict()["expires_at"] == "2029-12-31T22:00:00+00:00"


WEST = timezone(timedelta(hours=-5))


@pytest.mark.parametrize(
    "moment", [datetime.max, datetime.max.replace(tzinfo=WEST), datetime.min], ids=str
)
def test_times_that_utc_has_not_are_refused(moment: datetime) -> None:
    """`datetime.max` is what some write for "never"."""
    with local_zone("XYZ5"):
        with pytest.raises(ValueError, match=r"^expires_at\b"):
            server.token_request(Permissions(), moment, None, None)
        last = datetime.max.replace(tzinfo=UTC)
        request = server.token_request(Permissions(), last, None, None)
        assert request.to_dict()["expires_at"] == "9999-12-31T23:59:59.999999+00:00"


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (({"read": ["b"]}, None, None, None), TypeError, "permissions must be Permissions"),
        ((None, None, None, None), TypeError, "permissions must be Permissions"),
        ((Permissions(), "2030-01-01", None, None), TypeError, "expires_at must be a datetime"),
        ((Permissions(), 5, None, None), TypeError, "expires_at must be a datetime"),
        ((Permissions(), None, 1.5, None), TypeError, "ttl=1.5 must be whole seconds"),
        ((Permissions(), None, True, None), TypeError, "ttl=True must be whole seconds"),
        ((Permissions(), None, 0, None), ValueError, "ttl=0 must be seconds above 0"),
        ((Permissions(), None, 2**64, None), ValueError, "must be seconds above 0"),
        ((Permissions(), None, None, "10.0.0.1"), TypeError, "ip_allowlist must be a list"),
    ],
    ids=str,
)
def test_wrong_tokens_are_refused(arguments: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        server.token_request(*arguments)


# --- settings ------------------------------------------------------------------------------


def test_settings_are_settings() -> None:
    settings = BucketSettings(quota_size=1)
    assert server.bucket_settings(settings) is settings
    assert server.checked(ReplicationSettings, REPLICATION) is REPLICATION
    assert server.checked(LifecycleSettings, LIFECYCLE) is LIFECYCLE
    wrong: Any
    for wrong in ({"quota_size": 1}, None, REPLICATION):
        with pytest.raises(TypeError, match="settings must be BucketSettings, not"):
            server.bucket_settings(wrong)
    for wrong in ({"src_bucket": "a"}, LIFECYCLE, None):
        with pytest.raises(TypeError, match="settings must be ReplicationSettings, not"):
            server.checked(ReplicationSettings, wrong)


def test_conditions_of_tasks_are_checked() -> None:
    for when in ({"&a": {"$eq": 2**63}}, "text", {"$rem": ["&a", 0]}):
        settings = ReplicationSettings(
            src_bucket="a", dst_bucket="b", dst_host="http://host", when=when
        )
        with pytest.raises(ValueError, match=r"^when"):
            server.checked(ReplicationSettings, settings)


def test_modes() -> None:
    assert server.mode(ReplicationMode, "paused") is ReplicationMode.PAUSED
    assert server.mode(LifecycleMode, LifecycleMode.DRY_RUN) is LifecycleMode.DRY_RUN
    wrong: Any
    for wrong in ("PAUSED", "dry_run", "", None, 5):
        with pytest.raises(ValueError, match=r"^mode=.* must be one of enabled, paused, disabled"):
            server.mode(ReplicationMode, wrong)
    changed = server.with_mode(REPLICATION, ReplicationMode.PAUSED)
    assert (changed.mode, changed.src_bucket) == (ReplicationMode.PAUSED, "a")
    assert REPLICATION.mode is None


# --- records -------------------------------------------------------------------------------


def test_what_is_known_of_a_record() -> None:
    head = RecordHead(1_500_000, "e", 3, "text/plain", {"a": "1"}, {"@b": "2"})
    record = RecordInfo(head, True)
    assert (record.timestamp, record.entry, record.size) == (1_500_000, "e", 3)
    assert (record.content_type, record.labels, record.computed) == (
        "text/plain",
        {"a": "1"},
        {"@b": "2"},
    )
    assert record.last
    assert record.time == datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    assert repr(record) == "<reduct_core.record_info.RecordInfo 'e' timestamp=1500000 size=3>"
    with local_zone("XYZ-1"):
        assert record.get_datetime() == datetime(1970, 1, 1, 1, 0, 1, 500_000)
    late = RecordInfo(RecordHead(2**64 - 2, "e", 0, "", {}, {}), False)
    with pytest.raises(ValueError, match="year 9999"):
        late.time  # noqa: B018
