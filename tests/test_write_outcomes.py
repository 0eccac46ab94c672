"""Answers to writes, updates and removals: what of them is reported, doubted and verified."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from reduct_core import batch_writes, writes
from reduct_core import labels as label_codec
from reduct_core.batch_writes import update_calls, write_calls
from reduct_core.batches import Item
from reduct_core.errors import ApiError, ProtocolError, ReductError, TransportError, for_status
from reduct_core.headers import RecordHead
from reduct_core.writes import Errors, write_call

HEAD = RecordHead(7, "a", 3, "text/plain", {}, {})


def item(timestamp: int, **labels: Any) -> Item:
    return Item(timestamp, b"", "text/plain", label_codec.encode(labels))


# --- answers -------------------------------------------------------------------------------


def answer(headers: Mapping[str, str]) -> httpx.Response:
    return httpx.Response(200, headers=headers, request=httpx.Request("POST", "http://host/x"))


def test_t15_errors_of_single_records() -> None:
    (v1,) = write_calls("bucket", [("a", item(1)), ("a", item(2))])
    found = v1.outcome(answer({"X-Reduct-Error-2": "409,exists"}))
    assert found == {("a", 2): ApiError(409, "exists")}
    (v2,) = write_calls("bucket", [("a", item(1)), ("b", item(2))])
    headers = {
        "x-reduct-entries": "a,b",
        "x-reduct-start-ts": "1",
        "x-reduct-error-1-1": "500,broken",
    }
    assert v2.outcome(answer(headers)) == {("b", 2): ApiError(500, "broken")}
    assert v1.outcome(answer({})) == v2.outcome(answer({})) == {}
    assert write_call("bucket", HEAD, b"abc").outcome(answer({})) == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"x-reduct-error-x": "409,exists"},
        {"x-reduct-error-2": "exists"},
        {"x-reduct-error-2": ""},
    ],
)
def test_malformed_errors_are_protocol_errors(headers: dict[str, str]) -> None:
    (call,) = write_calls("bucket", [("a", item(2))])
    with pytest.raises(ProtocolError):
        call.outcome(answer(headers))


def test_errors_are_sorted() -> None:
    found: Errors = {
        ("b", 1): ApiError(500, "x"),
        ("a", 9): ApiError(500, "y"),
        ("a", 2): ApiError(500, "z"),
    }
    by_entry = batch_writes.by_entry(found)
    assert [(entry, list(times)) for entry, times in by_entry.items()] == [
        ("a", [2, 9]),
        ("b", [1]),
    ]
    del found["b", 1]
    assert list(batch_writes.by_time(found)) == [2, 9]


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500, 507])
def test_an_error_of_a_record_of_its_own_call_is_that_records(status: int) -> None:
    alone, _ = write_calls("bucket", [("a", item(1, k='"x"')), ("a", item(2))])
    error = for_status(status, "text")
    assert alone.failure(error) == {("a", 1): error}
    with pytest.raises(ApiError) as caught:
        write_call("bucket", HEAD, b"abc").failure(error)
    assert caught.value is error


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_an_error_of_the_caller_is_raised(status: int) -> None:
    alone, batch = write_calls("bucket", [("a", item(1, k='"x"')), ("a", item(2))])
    for call in (alone, batch):
        with pytest.raises(ApiError):
            call.failure(for_status(status, "text"))


@pytest.mark.parametrize("status", [404, 409])
def test_a_missing_entry_is_the_error_of_its_records_where_there_are_several(status: int) -> None:
    error = for_status(status, "text")
    for calls in (update_calls, batch_writes.remove_calls):
        (several,) = calls("bucket", [("a", item(1)), ("a", item(2))], entry_errors=True)
        assert several.failure(error) == {("a", 1): error, ("a", 2): error}
        (one,) = calls("bucket", [("a", item(1))])
        with pytest.raises(ReductError):
            one.failure(error)


# --- verification --------------------------------------------------------------------------


def test_slow_successes_are_doubted() -> None:
    """Rule 9 of server-concurrency.md."""
    (call,) = write_calls("bucket", [("a", item(1)), ("a", item(2))])
    found: Errors = {("a", 2): ApiError(500, "x")}
    assert writes.in_doubt(call, found, 30.0) == [("a", 1)]
    assert list(writes.in_doubt(call, found, 29.9)) == []
    assert writes.DOUBT_SECONDS == 30.0
    (update,) = update_calls("bucket", [("a", item(1))])
    assert list(writes.in_doubt(update, {}, 99.0)) == []


def test_a_probe_looks_at_the_record() -> None:
    calls = write_calls("bucket", [("a/b", item(1)), ("c", item(2))])
    spec = calls[0].probe(("a/b", 1))
    assert (spec.method, spec.url, spec.params) == ("HEAD", "/b/bucket/a/b", {"ts": 1})


@pytest.mark.parametrize("entry", ["x/q", "x/batch", "rename"])
def test_a_record_of_a_claimed_entry_cannot_be_probed(entry: str) -> None:
    """HEAD on x/q?ts= makes a query and is 200 whatever is stored; on x/batch?ts= it is 422."""
    (call,) = write_calls("bucket", [(entry, item(1))])
    with pytest.raises(ReductError) as caught:
        call.probe((entry, 1))
    error = writes.not_verified((entry, 1), 42.0, caught.value)
    assert "could not be verified, it may be stored" in error.message


@pytest.mark.parametrize(
    ("status", "text"),
    [(404, "is not stored"), (425, "is not stored"), (403, "could not be verified")],
)
def test_what_cannot_be_read_back_is_reported(status: int, text: str) -> None:
    error = writes.not_verified(("a", 7), 42.0, for_status(status, "reason"))
    assert error.status_code == 500
    assert text in error.message
    assert "after 42 s" in error.message
    assert "reason" in error.message


def test_early_refusals_are_asked_for() -> None:
    """T21: the server refuses by closing the connection under a body."""

    def lost(cause: Exception) -> ReductError:
        error = TransportError(-1, "lost")
        error.__cause__ = cause
        return error

    call = write_call("bucket", HEAD, b"abc")
    (update,) = update_calls("bucket", [("a", item(1))])
    for cut in (httpx.ReadError(""), httpx.WriteError(""), httpx.RemoteProtocolError("")):
        assert writes.was_cut_off(call, lost(cut))
        assert not writes.was_cut_off(update, lost(cut))
    for other in (httpx.ConnectError(""), httpx.ReadTimeout("")):
        assert not writes.was_cut_off(call, lost(other))
    assert (call.bucket_probe().method, call.bucket_probe().url) == ("HEAD", "/b/bucket")
    for status in (401, 403, 404):
        assert writes.refusal(for_status(status, "")) is not None
    for status in (409, 500, -1):
        assert writes.refusal(for_status(status, "")) is None


def test_a_batch_that_fails_half_way_says_so() -> None:
    assert "2 of them succeeded before" in batch_writes.progress_note(2, 5)
