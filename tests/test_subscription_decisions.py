"""What a subscription reads next, driven over a simulated entry with a simulated clock.

`World` is one entry of a server: uploads begin and end, listings count the unfinished ones,
queries pass them over. `Reader` does what the flavours do with a `Watch`, and lets the world
go on between any two of its requests.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from attrs import define, field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reduct_api.models import BucketFullInfo, BucketInfo, BucketSettings, EntryInfo, Status
from reduct_core import errors
from reduct_core.errors import ApiError, ReductError, TransportError, for_status
from reduct_core.subscriptions import (
    GAP_SECONDS,
    Look,
    Span,
    Watch,
    check_interval,
    passes_listing,
    passes_query,
)
from reduct_core.times import MAX_US

SECOND = 1_000_000


class BrokenError(Exception):
    """The server fails in the midst of a look."""


def listing(*entries: EntryInfo) -> BucketFullInfo:
    info = BucketInfo(
        name="b",
        entry_count=len(entries),
        size=0,
        oldest_record=0,
        latest_record=0,
        is_provisioned=False,
        status=Status.READY,
    )
    return BucketFullInfo(info=info, settings=BucketSettings(), entries=list(entries))


def entry_info(name: str, records: Mapping[int, bool], status: Status = Status.READY) -> EntryInfo:
    """Return what a listing tells of an entry with records that are finished or not."""
    return EntryInfo(
        name=name,
        size=sum(10 + 5 * finished for finished in records.values()),
        record_count=len(records),
        block_count=1,
        oldest_record=min(records, default=0),
        latest_record=max(records, default=0),
        status=status,
    )


@define
class World:
    """One entry of a server, and the time."""

    now: float = 0.0
    records: dict[int, bool] = field(factory=dict)
    """Whether the upload has ended, by timestamp."""
    begun: dict[int, float] = field(factory=dict)
    """When it began."""
    wrecks: set[int] = field(factory=set)
    """Uploads that were broken off: they never end."""
    newest: int = 99
    """The latest timestamp that there ever was."""

    def begin(self, timestamp: int) -> None:
        self.newest = max(self.newest, timestamp)
        self.records[timestamp] = False
        self.begun[timestamp] = self.now

    def finish(self, timestamp: int) -> None:
        if timestamp in self.records and timestamp not in self.wrecks:
            self.records[timestamp] = True

    def pass_time(self, seconds: float, longest_upload: float) -> None:
        """Let time pass; uploads end before they have taken too long."""
        self.now += seconds
        for timestamp in self.unfinished():
            if self.now - self.begun[timestamp] > longest_upload:
                self.finish(timestamp)

    def unfinished(self) -> list[int]:
        """Return the uploads that may still end."""
        return [us for us, end in self.records.items() if not end and us not in self.wrecks]

    def listing(self) -> BucketFullInfo:
        return listing(entry_info("e", self.records))

    def whole(self, span: Span) -> list[int]:
        return sorted(
            us for us, end in self.records.items() if end and span.start <= us < span.stop
        )


@define
class Reader:
    """Drives a watch as the flavours do."""

    world: World
    watch: Watch
    conditional: bool = False
    """Whether a condition is sent: records with odd timestamps do not meet it."""
    meanwhile: Callable[[], None] = lambda: None
    """What happens between two requests; may raise BrokenError."""
    got: list[int] = field(factory=list)

    def poll(self) -> None:
        looks = self.watch.looks(self.world.listing(), self.world.now)
        for look in looks:
            try:
                self._read(look)
            except BrokenError:
                self.watch.broken(look, self.world.now)
            else:
                self.watch.settle(look, self.world.now)

    def _read(self, look: Look) -> None:
        if look.gap is not None:
            late = self.watch.late(look, self._answer(look.gap, selected=False))
            if late:
                for timestamp in self._answer(Span(min(late), max(late) + 1)):
                    if timestamp in late:
                        self.watch.know(look, [timestamp])
                        self.got.append(timestamp)
                        self.meanwhile()
                self.watch.know(look, late)
        if look.ahead is not None:
            if self.conditional:
                self.watch.know(look, self._answer(look.ahead, selected=False))
            for timestamp in self._answer(look.ahead):
                self.watch.passed(look.entry, timestamp)
                self.got.append(timestamp)
                self.meanwhile()

    def _answer(self, span: Span, *, selected: bool = True) -> list[int]:
        self.meanwhile()
        found = self.world.whole(span)
        return [us for us in found if us % 2 == 0] if selected and self.conditional else found

    def poll_to_the_end(self) -> None:
        """Poll until everything that was uploaded must have come."""
        self.meanwhile = lambda: None
        for timestamp in self.world.records:
            self.world.finish(timestamp)
        for _ in range(300):
            self.poll()
            self.world.now += 1.0

    def wanted(self, start: int = 0) -> list[int]:
        """Return what must have come, once each."""
        records = set(self.world.records) - self.world.wrecks
        return sorted(us for us in records if us >= start and (us % 2 == 0 or not self.conditional))


# --- nothing is lost, nothing comes twice --------------------------------------------------

EVENTS = st.tuples(st.sampled_from(["begin", "finish", "nothing", "fail"]), st.integers(1, 9))

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(1, 4)),
        st.tuples(st.just("finish"), st.integers(0, 9)),
        st.tuples(st.just("wait"), st.sampled_from([0.01, 0.06, 0.3, 1.0, 5.0, 20.0])),
        st.tuples(st.just("poll"), st.lists(EVENTS, max_size=6)),
    ),
    max_size=40,
)
"""Uploads begin (a step after the newest), end (one of the unfinished), time passes, and the
subscription polls, while more uploads begin or end between its requests."""


def begin(world: World, step: int) -> None:
    world.begin(world.newest + step)


def finish(world: World, choice: int) -> None:
    if unfinished := world.unfinished():
        world.finish(unfinished[choice % len(unfinished)])


def act(reader: Reader, actions: list[Any], longest_upload: float, *, broken: bool) -> None:
    world = reader.world
    for action, argument in actions:
        if action == "begin":
            begin(world, argument)
        elif action == "finish":
            finish(world, argument)
        elif action == "wait":
            world.pass_time(argument, longest_upload)
        else:
            reader.meanwhile = events(world, list(argument), broken=broken)
            reader.poll()


def events(world: World, coming: list[tuple[str, int]], *, broken: bool) -> Callable[[], None]:
    """Return what happens between requests: uploads begin or end, or the server fails."""

    def next_event() -> None:
        kind, choice = coming.pop(0) if coming else ("nothing", 0)
        if kind == "begin":
            begin(world, choice % 3 + 1)
        elif kind == "finish":
            finish(world, choice)
        elif kind == "fail" and broken:
            raise BrokenError

    return next_event


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(ACTIONS, st.booleans(), st.sampled_from([0.0, 0.000_003]), st.booleans())
def test_uploads_that_end_in_any_order_come_once(
    actions: list[Any], conditional: bool, overlap: float, broken: bool
) -> None:
    """As long as each takes less time than gaps are searched, and also where looks are broken."""
    world = World()
    reader = Reader(world, Watch(["e"], None, overlap, 0), conditional)
    act(reader, actions, longest_upload=GAP_SECONDS - 10, broken=broken)
    reader.poll_to_the_end()
    assert sorted(reader.got) == reader.wanted()


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(ACTIONS, st.integers(90, 130), st.integers(0, 8), st.booleans())
def test_nothing_before_the_start_comes(
    actions: list[Any], start: int, before: int, conditional: bool
) -> None:
    """And nothing after it is lost, where uploads take no longer than such gaps are searched."""
    world = World()
    for _ in range(before):
        begin(world, 1)
    reader = Reader(world, Watch(["*"], start, 0.000_005, 0), conditional)
    act(reader, actions, longest_upload=3.0, broken=False)
    reader.poll_to_the_end()
    assert sorted(reader.got) == reader.wanted(start)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(ACTIONS, st.integers(1, 60), st.booleans())
def test_uploads_that_never_end_hide_no_others(
    actions: list[Any], pause: int, conditional: bool
) -> None:
    """A wreck stays counted for ever (T17), and must not cost a record that is begun later."""
    world = World(wrecks={50})
    reader = Reader(world, Watch(["e"], None, 0.0, 0), conditional)
    world.begin(50)
    reader.poll()
    world.now += pause
    act(reader, actions, longest_upload=20.0, broken=False)
    reader.poll_to_the_end()
    assert sorted(reader.got) == reader.wanted()


def test_a_failure_between_the_two_requests_for_a_gap_loses_nothing() -> None:
    world = World()
    reader = Reader(world, Watch(["e"], None, 0.0, 0))
    world.begin(100)
    world.begin(101)
    world.finish(101)
    reader.poll()
    assert reader.got == [101]
    world.finish(100)
    world.now += 1.0
    requests = iter([False, True])

    def fail() -> None:
        if next(requests, False):
            raise BrokenError

    reader.meanwhile = fail
    reader.poll()
    assert reader.got == [101]
    reader.poll_to_the_end()
    assert reader.got == [101, 100]


@pytest.mark.parametrize("begun", [[100], [100, 101]])
def test_a_wreck_is_not_given_up_while_uploads_begin(begun: list[int]) -> None:
    world = World(wrecks={50})
    reader = Reader(world, Watch(["e"], None, 0.0, 0))
    world.begin(50)
    reader.poll()
    world.now += GAP_SECONDS - 20
    for timestamp in begun:
        world.begin(timestamp)
    world.now += 21
    reader.poll()
    world.begin(102)
    world.finish(102)
    reader.poll()
    for timestamp in begun:
        world.finish(timestamp)
    reader.poll_to_the_end()
    assert sorted(reader.got) == [*begun, 102]


def test_a_slow_loop_gives_up_no_gap_that_is_new() -> None:
    """The gap of 100 is old when the loop comes back; that of 102 has just begun."""
    world = World()
    reader = Reader(world, Watch(["e"], None, 0.0, 0))
    for timestamp in (100, 101):
        world.begin(timestamp)
    world.finish(101)
    reader.poll()
    world.finish(100)
    world.now += GAP_SECONDS + 40
    for timestamp in (102, 103):
        world.begin(timestamp)
    world.finish(103)
    reader.poll()
    world.now += 1.0
    world.finish(102)
    reader.poll_to_the_end()
    assert sorted(reader.got) == [100, 101, 102, 103]


@given(
    st.lists(st.tuples(st.integers(1, 5), st.booleans(), st.integers(0, 20)), max_size=30),
    st.booleans(),
)
def test_removals_of_what_was_read_cost_nothing(
    steps: list[tuple[int, bool, int]], conditional: bool
) -> None:
    """Where uploads take no time: each record that is there at a poll comes, once."""
    world = World()
    reader = Reader(world, Watch(["e"], None, 0.0, 0), conditional)
    seen: set[int] = set()
    for step, polls, removed in steps:
        begin(world, step)
        world.finish(world.newest)
        if polls:
            seen |= set(reader.wanted())
            reader.poll()
            world.now += 0.5
        read = [us for us in world.records if us in seen]
        if removed < len(read):
            del world.records[read[removed]]
    seen |= set(reader.wanted())
    reader.poll_to_the_end()
    assert sorted(reader.got) == sorted(seen)


@given(ACTIONS, st.integers(0, 39))
def test_a_checkpoint_goes_on_where_it_was_taken(actions: list[Any], place: int) -> None:
    """Where uploads take no time: nothing twice, nothing lost."""
    instant = [(kind, argument) for kind, argument in actions if kind != "finish"]
    world = World()
    reader = Reader(world, Watch(["e"], None, 0.0, 0))
    for number, (kind, argument) in enumerate(instant):
        if kind == "begin":
            begin(world, argument)
            world.finish(world.newest)
        elif kind == "poll":
            reader.poll()
        if number == place:
            checkpoint = reader.watch.cursors
            reader = Reader(world, Watch(["e"], checkpoint, 0.0, 0), got=reader.got)
    reader.poll_to_the_end()
    assert sorted(reader.got) == reader.wanted()


# --- what is asked -------------------------------------------------------------------------


def test_an_idle_entry_is_not_asked() -> None:
    world = World()
    reader = Reader(world, Watch(["e"], None, 0.0, 0))
    assert reader.watch.looks(world.listing(), 0.0) == []
    begin(world, 1)
    world.finish(100)
    (look,) = reader.watch.looks(world.listing(), 0.0)
    assert (look.entry, look.gap, look.ahead) == ("e", None, Span(0, 101))
    reader.poll()
    for _ in range(5):
        world.now += 10
        assert reader.watch.looks(world.listing(), world.now) == []


def test_an_unfinished_record_is_asked_for_less_and_less_often() -> None:
    world = World()
    reader = Reader(world, Watch(["e"], None, 0.0, 0))
    world.begin(100)
    asked = []
    for tenth in range(10 * 300):
        world.now = tenth / 10
        if reader.watch.looks(world.listing(), world.now):
            asked.append(world.now)
            reader.poll()
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert 5 < len(asked) < 30
    assert max(pauses) <= 61
    world.finish(100)
    world.now += 61
    reader.poll()
    assert reader.got == [100]


def test_other_entries_are_passed_over() -> None:
    info = listing(
        entry_info("cam-1", {1: True}),
        entry_info("cam-2", {2: True}, Status.DELETING),
        entry_info("cam-3", {}),
        entry_info("other", {3: True}),
        entry_info("cam-old", {4: True}),
    )
    watch = Watch(["cam-*", "!cam-o*"], None, 0.0, 0)
    assert [look.entry for look in watch.looks(info, 0.0)] == ["cam-1"]


def test_attachments_are_asked_for_by_name_alone() -> None:
    """Listings hide them."""
    watch = Watch(["e", "e/$meta", "x/*"], 7, 0.0, 0)
    (look,) = watch.looks(listing(), 0.0)
    assert look == Look("e/$meta", None, Span(7, MAX_US))
    watch.passed("e/$meta", 20)
    watch.settle(look, 0.0)
    (look,) = watch.looks(listing(), 1.0)
    assert look.ahead == Span(21, MAX_US)


def test_the_last_time_of_all_can_be_asked_for() -> None:
    watch = Watch(["e"], None, 0.0, 0)
    (look,) = watch.looks(listing(entry_info("e", {2**64 - 1: True})), 0.0)
    assert look.ahead == Span(0, MAX_US)


# --- where it begins -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "cursors"),
    [
        (None, {"e": 0}),
        ("now", {"e": 77}),
        (0, {"e": 0}),
        (5, {"e": 5}),
        (1.5, {"e": 1_500_000}),
        ("1970-01-01T00:00:02Z", {"e": 2_000_000}),
        (np.datetime64(3, "s"), {"e": 3_000_000}),
        ({"e": 9, "x1": 4}, {"e": 9, "x1": 4}),
        ({"x1": 1.5}, {"e": 0, "x1": 1_500_000}),
    ],
    ids=str,
)
def test_cursors_before_the_first_poll(start: Any, cursors: dict[str, int]) -> None:
    assert Watch(["e", "x*"], start, 0.0, 77).cursors == cursors


def test_new_entries_begin_at_the_start() -> None:
    watch = Watch(["*"], {"a": 5}, 0.0, 77)
    info = listing(entry_info("a", {9: True}), entry_info("b", {9: True}))
    assert {look.entry: look.ahead for look in watch.looks(info, 0.0)} == {
        "a": Span(5, 10),
        "b": Span(0, 10),
    }
    assert watch.cursors == {"a": 5, "b": 0}


@pytest.mark.parametrize(
    ("start", "error", "match"),
    [
        (True, TypeError, r"^start\b"),
        (-1, ValueError, r"^start\b"),
        ("later", ValueError, r"^start\b"),
        ({"e": -1}, ValueError, r"^start\['e'\]"),
        ({"e": "now"}, ValueError, r"^start\['e'\]"),
        ({"e": None}, TypeError, r"^start\['e'\]"),
    ],
    ids=str,
)
def test_wrong_starts_are_refused(start: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Watch(["e"], start, 0.0, 77)


@pytest.mark.parametrize("overlap", [-1, 1e12, float("nan"), float("inf")])
def test_overlap_has_bounds(overlap: float) -> None:
    with pytest.raises(ValueError, match=r"^overlap=.* must be seconds"):
        Watch(["e"], None, overlap, 0)


@pytest.mark.parametrize("value", [True, "1", None])
def test_seconds_are_numbers(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^overlap=.* must be seconds"):
        Watch(["e"], None, value, 0)
    with pytest.raises(TypeError, match=r"^poll_interval=.* must be seconds"):
        check_interval(value)


def test_intervals() -> None:
    assert check_interval(1) == 1.0
    assert check_interval(0.001) == 0.001
    for wrong in (0, -1, 1e9, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"^poll_interval=.* must be seconds above 0"):
            check_interval(wrong)


def test_b06_no_entries_are_refused() -> None:
    with pytest.raises(ValueError, match="entries must not be empty"):
        Watch([], None, 0.0, 0)


# --- late records --------------------------------------------------------------------------


def test_overlap_reads_what_is_written_behind_the_cursor() -> None:
    for overlap, late in ((0.0, []), (5.0, [98 * SECOND])):
        world = World()
        reader = Reader(world, Watch(["e"], None, overlap, 0))
        for second in (90, 100):
            world.begin(second * SECOND)
            world.finish(second * SECOND)
        reader.poll()
        for second in (91, 98):
            world.begin(second * SECOND)
            world.finish(second * SECOND)
        world.now += 1
        reader.poll()
        assert reader.got == [90 * SECOND, 100 * SECOND, *late]


def test_memory_is_bounded() -> None:
    world = World()
    reader = Reader(world, Watch(["e"], None, 0.0, 0))
    world.begin(1)
    for burst in range(20):
        for number in range(1000):
            world.records[10 + burst * 1000 + number] = True
        reader.poll()
        world.now += 0.5
    position = reader.watch._positions["e"]
    assert len(position.known) < 5_000
    assert len(reader.got) == len(set(reader.got)) == 20_000


# --- errors --------------------------------------------------------------------------------


def lost() -> ReductError:
    error = TransportError(-1, "lost")
    error.__cause__ = OSError("lost")
    return error


@pytest.mark.parametrize("status", [425, 429, 500, 502, 503, 504])
def test_a_busy_server_is_waited_for(status: int) -> None:
    error = for_status(status, "busy")
    assert passes_listing(error)
    assert passes_query(error, strict=True)
    assert passes_query(error, strict=False)


def test_a_server_that_is_away_is_waited_for() -> None:
    assert passes_listing(lost())
    assert passes_query(lost(), strict=True)


@pytest.mark.parametrize("status", [401, 403, 422, 200])
def test_other_errors_end_a_subscription(status: int) -> None:
    error = ApiError(status, "text")
    assert not passes_listing(error)
    assert not passes_query(error, strict=False)


def test_a_closed_client_ends_a_subscription() -> None:
    assert not passes_listing(errors.closed())
    assert not passes_query(errors.closed(), strict=False)


@pytest.mark.parametrize("status", [404, 409])
def test_a_bucket_that_is_gone_ends_a_subscription_and_an_entry_does_not(status: int) -> None:
    error = for_status(status, "gone")
    assert not passes_listing(error)
    assert passes_query(error, strict=False)


def test_a_strict_condition_reports_a_missing_label_as_404() -> None:
    missing = for_status(404, "Reference 'x' not found")
    assert not passes_query(missing, strict=True)
    assert passes_query(missing, strict=False)
    expired = for_status(404, "Query 5 not found and it might have expired.")
    assert passes_query(expired, strict=True)
