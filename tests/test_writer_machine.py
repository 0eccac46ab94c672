"""What a writer decides, in any order of events: no record is lost, and all bounds hold."""

import math
from collections import Counter
from typing import Any

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from reduct_core.lanes import RECORD_BYTES, WriterSettings
from reduct_core.writer import Collector, Parcel, Rest
from reduct_core.writes import RecordKey
from tests.test_writer_core import LABEL, Flag, keys_of, send


@define
class Resting:
    """A worker that waits."""

    rest: Rest[Flag]
    until: float


@define
class Model:
    """What a user and the server would remember."""

    queue: dict[str, list[int]] = field(factory=dict)
    sent: Counter[RecordKey] = field(factory=Counter)
    accepted: int = 0
    replaced: int = 0
    failed: int = 0
    stored: int = 0
    settled_in_flight: int = 0


class Machine(RuleBasedStateMachine):
    """A writer with several workers under any order of events."""

    @initialize(
        on_duplicate=st.sampled_from(["raise", "replace", "shift"]),
        batch_records=st.integers(1, 4),
        batch_bytes=st.sampled_from([1, 25, 60]),
        batch_age=st.sampled_from([0.0, 1.0, 5.0]),
        buffer_bytes=st.integers(1, 8 * RECORD_BYTES),
        parallel=st.integers(1, 3),
    )
    def begin(self, **arguments: Any) -> None:
        self.settings = WriterSettings(**arguments)
        self.collector = Collector("b", self.settings, Flag)
        self.collector.open()
        self.now = 100.0
        self.awake = 1
        self.resting: list[Resting] = []
        self.flying: list[tuple[Parcel, set[RecordKey]]] = []
        self.flushes: list[tuple[Flag, set[RecordKey]]] = []
        self.held: dict[RecordKey, int] = {}
        self.model = Model()

    def staff(self) -> None:
        if self.collector.hire():
            self.awake += 1
        workers = self.awake + len(self.resting) + len(self.flying)
        assert workers <= self.settings.parallel

    @rule(entry=st.sampled_from("abc"), us=st.integers(0, 6), size=st.sampled_from([0, 10, 30]))
    def write(self, entry: str, us: int, size: int) -> None:
        waiting = self.model.queue.setdefault(entry, [])
        cost = size + len("n1") + RECORD_BYTES
        flying = [held.cost for parcel, _ in self.flying for held in parcel.records]
        held = sum([*self.held.values(), *flying])
        item = self.collector.item(entry, us, bytes(size), None, LABEL)
        try:
            space = self.collector.add(entry, item, self.now)
        except ValueError:
            assert self.settings.on_duplicate == "raise"
            assert self.model.sent[entry, us] or us in waiting
            return
        self.staff()
        if space is not None:
            assert held
            assert held + cost > self.settings.buffer_bytes
            assert not space.is_set
            return
        if us in waiting and self.settings.on_duplicate == "replace":
            waiting.remove(us)
            self.model.replaced += 1
            for _, targets in self.flushes:
                targets.discard((entry, us))
        while self.settings.on_duplicate == "shift" and (
            us in waiting or self.model.sent[entry, us]
        ):
            us += 1
        assert us not in waiting
        waiting.append(us)
        self.held[entry, us] = cost
        self.model.accepted += 1

    @rule(seconds=st.sampled_from([0.1, 1.0, 7.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def workers_wake(self) -> None:
        for one in list(self.resting):
            if one.rest.signal.is_set or one.until <= self.now:
                self.collector.wake(one.rest)
                self.resting.remove(one)
                self.awake += 1

    @precondition(lambda self: self.awake)
    @rule()
    def take(self) -> None:
        task = self.collector.take(self.now)
        assert task is not None
        self.awake -= 1
        if isinstance(task, Rest):
            until = math.inf if task.seconds is None else self.now + task.seconds
            self.resting.append(Resting(task, until))
            return
        entry, keys = task.lane.entry, keys_of(task)
        assert all(parcel.lane.entry != entry for parcel, _ in self.flying)
        times = self.model.queue[entry]
        assert [us for _, us in keys] == times[: len(keys)]
        del times[: len(keys)]
        assert 1 <= len(keys) <= self.settings.batch_records
        size = sum(len(held.item.data) for held in task.records)
        assert len(keys) == 1 or size <= self.settings.batch_bytes
        for key in keys:
            del self.held[key]
        self.model.sent.update(keys)
        self.flying.append((task, set(keys)))
        self.staff()

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        parcel, keys = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        failing = {key for key in sorted(keys) if data.draw(st.integers(0, 4)) == 0}
        send(self.collector, parcel, failing)
        self.collector.release(parcel, self.now)
        self.awake += 1
        self.model.failed += len(failing)
        self.model.stored += len(keys) - len(failing)
        for key in failing:
            del self.model.sent[key]
        for _, targets in self.flushes:
            targets -= keys

    @rule()
    def flush(self) -> None:
        done = self.collector.flush(self.now)
        self.staff()
        assert (done is None) == (not self.pending())
        if done is not None:
            self.flushes.append((done, self.pending()))

    def pending(self) -> set[RecordKey]:
        waiting = {(entry, us) for entry, times in self.model.queue.items() for us in times}
        return waiting.union(*(keys for _, keys in self.flying))

    @invariant()
    def nothing_is_lost(self) -> None:
        report = self.collector.report()
        assert report.stored == self.model.stored
        assert len(report.failed) == self.model.failed
        assert report.replaced == self.model.replaced
        assert report.pending == len(self.pending()) + self.twice()
        total = report.stored + len(report.failed) + report.replaced + report.pending
        assert total == self.model.accepted

    def twice(self) -> int:
        """Return how many records wait while one of the same time is on its way."""
        flying: set[RecordKey] = set().union(*(keys for _, keys in self.flying))
        return sum((e, us) in flying for e, times in self.model.queue.items() for us in times)

    @invariant()
    def flushes_end_with_their_records(self) -> None:
        if self.settings.on_duplicate != "replace":
            for signal, targets in self.flushes:
                assert signal.is_set == (not targets)

    @invariant()
    def somebody_sees_to_it(self) -> None:
        """What is ready now or later will be taken: no timer and no nudge is forgotten."""
        first = self.collector._lanes.first()
        if first is None or self.awake or len(self.flying) == self.settings.parallel:
            return
        due = max(first, self.now)
        assert any(one.rest.signal.is_set or one.until <= due + 1e-6 for one in self.resting)

    def teardown(self) -> None:
        if not hasattr(self, "collector"):
            return
        begun: set[RecordKey] = set()
        if self.flying:
            call = self.collector.begin(self.flying[0][0])
            assert call is not None
            begun = set(call.keys)
        pending = len(self.pending()) + self.twice()
        self.collector.close()
        assert all(signal.is_set for signal, _ in self.flushes)
        assert all(one.rest.signal.is_set for one in self.resting if one.until == math.inf)
        assert self.collector.take(self.now) is None
        self.collector.finish()
        report = self.collector.report()
        assert report.pending == 0
        assert len(report.unsent) == pending - len(begun)
        assert len(report.failed) == self.model.failed + len(begun)
        assert report.stored == self.model.stored


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=100, stateful_step_count=50)
