"""What a writer decides, case by case, with clocks and signals of the test."""

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_core import lanes
from reduct_core.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    ReductError,
    TimeoutError,
    TransportError,
)
from reduct_core.lanes import RECORD_BYTES, KnownTimes, Lane, WriterSettings
from reduct_core.write_report import NAMED, FailedRecord, WriteError, WriteReport
from reduct_core.writer import Collector, Parcel, Rest
from reduct_core.writes import Call, Errors, RecordKey

LABEL = {"n": 1}


class Flag:
    """A signal that can be looked at."""

    def __init__(self) -> None:
        self.is_set = False

    def set(self) -> None:
        self.is_set = True


def opened(**arguments: Any) -> Collector[Flag]:
    """Return the books of an open writer."""
    collector = Collector("b", WriterSettings(**arguments), Flag)
    collector.open()
    return collector


def add(
    collector: Collector[Flag], entry: str, us: int, size: int = 0, now: float = 0.0
) -> Flag | None:
    """Offer a record of so many bytes."""
    return collector.add(entry, collector.item(entry, us, bytes(size), None, LABEL), now)


def took(collector: Collector[Flag], now: float = 0.0) -> Parcel:
    """Return the next parcel; there must be one."""
    parcel = collector.take(now)
    assert isinstance(parcel, Parcel)
    return parcel


def keys_of(parcel: Parcel) -> list[RecordKey]:
    return [(parcel.lane.entry, held.item.timestamp) for held in parcel.records]


def send(collector: Collector[Flag], parcel: Parcel, failing: set[RecordKey] | None = None) -> None:
    """Settle all calls of a parcel, the records `failing` with an error each."""
    while (call := collector.begin(parcel)) is not None:
        found: Errors = {
            key: ConflictError(409, "exists") for key in call.keys if key in (failing or ())
        }
        collector.settle(parcel, collector.failures(call, found), 0)


# --- lanes ---------------------------------------------------------------------------------


def test_a_lane_that_is_ready_longest_is_first() -> None:
    collector = opened(batch_records=2, batch_age=10, parallel=3)
    for entry, us, now in [("old", 1, 0.0), ("full", 1, 5.0), ("young", 1, 6.0), ("full", 2, 9.0)]:
        assert add(collector, entry, us, now=now) is None
    assert [took(collector, 30.0).lane.entry for _ in range(3)] == ["full", "old", "young"]


def test_a_worker_rests_until_the_oldest_record_is_due() -> None:
    collector = opened(batch_age=10)
    rest = collector.take(0.0)
    assert isinstance(rest, Rest)
    assert rest.seconds is None
    add(collector, "a", 1, now=1.0)
    assert rest.signal.is_set
    collector.wake(rest)
    add(collector, "b", 1, now=2.0)
    later = collector.take(4.0)
    assert isinstance(later, Rest)
    assert later.seconds == 7.0
    assert keys_of(took(collector, 11.0)) == [("a", 1)]


def resting(collector: Collector[Flag], now: float = 0.0) -> Rest[Flag]:
    """Return what a worker waits for; there must be nothing to take."""
    rest = collector.take(now)
    assert isinstance(rest, Rest)
    return rest


def test_a_worker_that_leaves_the_clock_hands_it_on() -> None:
    """One that waits for nothing else takes over the timer of the one who is called away."""
    collector = opened(batch_age=10, batch_records=2, parallel=2)
    add(collector, "a", 1)
    assert collector.has_news()
    assert not collector.has_news()
    assert collector.hire()
    assert not collector.hire()
    forever = resting(opened(parallel=1))
    assert forever.seconds is None
    parcel = took(collector, 10.0)
    send(collector, parcel)
    collector.release(parcel, 10.0)
    idle, timer = resting(collector), resting(collector)
    add(collector, "b", 1, now=20.0)
    add(collector, "c", 1, now=21.0)
    add(collector, "c", 2, now=21.0)
    # Both were called; whoever comes first takes what is full, the other one watches "b".
    assert idle.signal.is_set
    assert timer.signal.is_set
    collector.wake(idle)
    watch = resting(collector, 20.5)
    assert watch.seconds == 0.5
    assert took(collector, 21.0).lane.entry == "c"
    assert watch.signal.is_set
    collector.wake(watch)
    assert resting(collector, 21.0).seconds == 9.0


def test_a_parcel_holds_no_more_bytes_than_a_batch() -> None:
    collector = opened(batch_bytes=100, parallel=2)
    for us, size in enumerate([60, 60, 30, 10, 500, 1]):
        add(collector, "a", us, size)
    cuts = []
    for _ in range(4):
        collector.flush(0.0)
        parcel = took(collector)
        cuts.append([us for _, us in keys_of(parcel)])
        send(collector, parcel)
        collector.release(parcel, 0.0)
    assert cuts == [[0], [1, 2, 3], [4], [5]]


def test_a_flush_sends_all_without_waiting() -> None:
    collector = opened(batch_records=2)
    for us in range(5):
        add(collector, "a", us)
    done = collector.flush(0.0)
    assert isinstance(done, Flag)
    ends = []
    for _ in range(3):
        parcel = took(collector)
        send(collector, parcel)
        collector.release(parcel, 0.0)
        ends.append(done.is_set)
    assert ends == [False, False, True]


def test_what_is_replaced_takes_no_room() -> None:
    collector = opened(on_duplicate="replace", buffer_bytes=2 * (RECORD_BYTES + 2))
    assert [add(collector, "a", 1) for _ in range(5)] == [None] * 5
    assert collector.report() == WriteReport(replaced=4, pending=1)


def test_a_worker_is_hired_only_if_none_is_free() -> None:
    collector = opened(batch_records=1, parallel=2)
    rest = resting(collector)
    add(collector, "a", 1)
    add(collector, "b", 1)
    assert rest.signal.is_set
    assert collector.hire()
    collector = opened(parallel=2)
    add(collector, "a", 1)
    assert resting(collector).seconds == 1.0
    assert not collector.hire()


def test_a_flush_does_not_wait_for_what_was_replaced() -> None:
    collector = opened(on_duplicate="replace")
    for _ in range(3):
        add(collector, "a", 1)
    done = collector.flush(0.0)
    assert done is not None
    parcel = took(collector)
    send(collector, parcel)
    assert not done.is_set
    collector.release(parcel, 0.0)
    assert done.is_set


def test_a_full_buffer_sends_what_can_be_sent() -> None:
    """The fullest lane is busy, so it is the next one that goes ahead."""
    collector = opened(buffer_bytes=4 * RECORD_BYTES + 1000, batch_records=2, batch_age=1000)
    for entry, us, size in [("a", 1, 100), ("a", 2, 100), ("b", 1, 10)]:
        add(collector, entry, us, size)
    assert took(collector).lane.entry == "a"
    add(collector, "a", 3, 500)
    assert resting(collector).seconds == 1000
    assert add(collector, "b", 2, 500) is not None
    assert took(collector).lane.entry == "b"


def test_what_comes_while_a_lane_is_busy_waits_for_it() -> None:
    collector = opened(batch_records=1, parallel=4)
    add(collector, "a", 1)
    parcel = took(collector)
    add(collector, "a", 2)
    assert isinstance(collector.take(1000.0), Rest)
    send(collector, parcel)
    collector.release(parcel, 1000.0)
    assert keys_of(took(collector, 1000.0)) == [("a", 2)]


def test_space_is_told_when_there_is_some() -> None:
    collector = opened(buffer_bytes=3 * RECORD_BYTES + 100, batch_records=2)
    assert [add(collector, "a", us) for us in range(3)] == [None] * 3
    space = add(collector, "a", 3)
    assert isinstance(space, Flag)
    parcel = took(collector)
    assert add(collector, "a", 3) is space
    before = space.is_set
    send(collector, parcel)
    collector.release(parcel, 0.0)
    assert (before, space.is_set) == (False, True)
    assert add(collector, "a", 3) is None


def test_old_entries_of_the_heap_do_not_pile_up() -> None:
    collector = opened(batch_records=2, batch_age=1e6)
    # Always the first to be due, so nothing behind it is looked at.
    add(collector, "first", 0, now=-1.0)
    for us in range(0, 4000, 2):
        add(collector, "a", us)
        add(collector, "a", us + 1)
        parcel = took(collector)
        send(collector, parcel)
        collector.release(parcel, 0.0)
    assert len(collector._lanes._heap) < 100
    assert len(collector._lanes) == 1


def test_the_memory_of_timestamps_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "REMEMBERED", 10)
    collector = opened(batch_records=5, parallel=1)
    for us in range(0, 500, 5):
        for one in range(us, us + 5):
            add(collector, "a", one)
        parcel = took(collector)
        send(collector, parcel)
        collector.release(parcel, 0.0)
    assert len(collector._known._next) <= 16
    with pytest.raises(ValueError, match="499"):
        add(collector, "a", 499)
    assert add(collector, "a", 0) is None


class Counting(dict[RecordKey, int]):
    """Counts how often it is asked."""

    asked = 0

    def __contains__(self, key: object) -> bool:
        self.asked += 1
        return super().__contains__(key)


def test_shifting_does_not_try_everything_again() -> None:
    known, lane = KnownTimes("shift"), Lane("a")
    known._next = counting = Counting()
    for n in range(1000):
        assert known.free(lane, 5) == 5 + n
        known.add("a", 5 + n, 1000)
    assert counting.asked < 5 * 1000


def test_no_timestamp_is_left() -> None:
    known, lane = KnownTimes("shift"), Lane("a")
    last = 2**64 - 2
    assert known.free(lane, last) == last
    known.add("a", last, 1)
    with pytest.raises(ValueError, match="no timestamp up to"):
        known.free(lane, last)


# --- what ends a writer --------------------------------------------------------------------


def begun(collector: Collector[Flag], *times: int) -> tuple[Parcel, Call]:
    for us in times:
        add(collector, "a", us)
    collector.flush(0.0)
    parcel = took(collector)
    call = collector.begin(parcel)
    assert call is not None
    return parcel, call


ENDING: list[ReductError] = [
    AuthenticationError(401, ""),
    PermissionDeniedError(403, ""),
    NotFoundError(404, ""),
    ApiError(429, ""),
    ApiError(503, ""),
    TransportError(-1, ""),
    TimeoutError(-1, ""),
    ProtocolError(200, ""),
    ReductError(-1, ""),
]
PASSING: list[ReductError] = [
    ApiError(400, ""),
    ConflictError(409, ""),
    ApiError(422, ""),
    ApiError(500, ""),
]


@pytest.mark.parametrize("hands_over", [False, True])
@pytest.mark.parametrize("error", ENDING + PASSING, ids=lambda error: f"{error!r}")
def test_errors_of_requests(error: ReductError, hands_over: bool) -> None:
    collector = opened(hands_over=hands_over, batch_records=1)
    parcel, call = begun(collector, 1, 2)
    found = collector.refused(call, error)
    assert found == {("a", 1): error}
    collector.settle(parcel, collector.failures(call, found), 0)
    collector.release(parcel, 0.0)
    ended = error in ENDING and not hands_over
    assert (collector.take(0.0) is None) == ended
    if ended:
        with pytest.raises(WriteError, match="1 pending") as caught:
            add(collector, "a", 3)
        assert caught.value.__cause__ is error


def test_errors_of_records_that_are_not_theirs() -> None:
    """So the server answers a batch to a bucket that does not exist."""
    for statuses, ended in [((404, 404), True), ((404, 409), False), ((404, None), False)]:
        collector = opened()
        parcel, call = begun(collector, 1, 2)
        pairs = zip(call.keys, statuses, strict=True)
        found = {key: ReductError(status, "") for key, status in pairs if status}
        collector.settle(parcel, collector.failures(call, found), 0)
        collector.release(parcel, 0.0)
        assert (collector.take(0.0) is None) == ended


def test_failed_times_may_be_written_again() -> None:
    collector = opened()
    parcel, _ = begun(collector, 1, 2)
    send(collector, parcel, {("a", 1)})
    collector.release(parcel, 0.0)
    assert add(collector, "a", 1) is None
    with pytest.raises(ValueError, match="timestamp 2 of entry 'a'"):
        add(collector, "a", 2)


def test_an_outcome_that_comes_after_the_end_changes_nothing() -> None:
    collector = opened()
    parcel, _ = begun(collector, 1, 2)
    collector.close()
    collector.finish()
    report = collector.report()
    assert [(one.entry, one.timestamp) for one in report.failed] == [("a", 1), ("a", 2)]
    assert "may be stored" in str(report.failed[0].error)
    collector.settle(parcel, (), 0)
    collector.release(parcel, 0.0)
    assert collector.report() == report


def test_what_an_ended_writer_did_not_send_is_known() -> None:
    """Also behind the first of several requests for one parcel."""
    collector = opened()
    labels = {"x": 'needs, a "call" of its own'}
    for us in range(3):
        item = collector.item("a", us, b"", None, labels if us == 1 else None)
        assert collector.add("a", item, 0.0) is None
    parcel, call = begun(collector)
    assert call.keys == [("a", 1)]
    collector.end(TransportError(-1, "lost"))
    collector.settle(parcel, (), 0)
    assert collector.begin(parcel) is None
    collector.release(parcel, 0.0)
    report = collector.report()
    assert (report.stored, report.unsent, report.pending) == (1, (("a", 0), ("a", 2)), 0)


def test_errors_are_raised_once() -> None:
    collector = opened()
    parcel, _ = begun(collector, 1, 2, 3)
    send(collector, parcel, {("a", 1), ("a", 3)})
    collector.release(parcel, 0.0)
    error = collector.trouble()
    assert isinstance(error, WriteError)
    assert str(error).startswith("Status 409: 1 records stored, 2 failed; entry 'a', time 1: ")
    assert [(one.entry, one.timestamp) for one in error.failed] == [("a", 1), ("a", 3)]
    assert collector.trouble() is None
    collector.close()
    collector.finish()
    assert collector.trouble() is None
    assert len(collector.report().failed) == 2


# --- reports -------------------------------------------------------------------------------


def test_reports_as_text() -> None:
    failed = FailedRecord("a", 1, ConflictError(409, "exists"))
    assert str(WriteReport(stored=5)) == "5 records stored"
    full = WriteReport(
        stored=5, failed=[failed], handled=2, unsent=[("a", 2)], replaced=1, pending=4
    )
    assert str(full) == "5 records stored, 3 failed, 1 not sent, 1 replaced, 4 pending"


@given(st.integers(1, 3 * NAMED))
def test_errors_name_some_and_hold_all(count: int) -> None:
    collector = opened()
    parcel, _ = begun(collector, *range(count))
    send(collector, parcel, {("a", us) for us in range(count)})
    collector.release(parcel, 0.0)
    error = collector.trouble()
    assert isinstance(error, WriteError)
    assert [one.timestamp for one in error.failed] == list(range(count))
    text = str(error)
    assert text.count("entry 'a', time") == min(count, NAMED)
    assert (f"and {count - NAMED} more" in text) == (count > NAMED)


def test_errors_are_pickled_with_their_report() -> None:
    report = WriteReport(failed=[FailedRecord("a", 1, ConflictError(409, "exists"))])
    error = WriteError(409, "text", report)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy, copy.report, str(copy)) == (error, report, "Status 409: text")
    assert isinstance(copy, WriteError)
    assert WriteError(409, "text").failed == ()
