"""The storage engine against a plain model, in memory and in a file that is opened again."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
from attrs import define, field
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from reduct_local.engine import Engine, RecordWriter
from reduct_local.errors import ApiError
from reduct_local.names import is_below, is_meta, parents
from reduct_local.storage import records as records_module
from reduct_local.storage.attachments import is_tombstone
from reduct_local.storage.model import LAST_TIME, PIECE_SIZE
from reduct_local.storage.store import ZERO
from tests.local.engines import BUCKET, content, rows, settle

NAMES = ["a", "a/b", "a/b/c", "d", "a/$meta", "$meta"]
entries = st.sampled_from(NAMES)
times = st.sampled_from([0, 1, 2, 3, 4, 2**63 - 1, 2**63, LAST_TIME]) | st.integers(0, 12)
contents = st.binary(max_size=8) | st.integers(1, 2).map(lambda n: b"x" * (n * PIECE_SIZE + 1))
labels = st.dictionaries(
    st.sampled_from(["key", "l", "remove"]), st.sampled_from(["", "1", "k", "true"]), max_size=3
)


@define
class Expected:
    """A record of the model; `state` is "finished", "broken" or "started"."""

    data: bytes
    labels: Mapping[str, str]
    state: str = "finished"


@define(eq=False)
class Open:
    """A write that has begun."""

    writer: RecordWriter
    record: Expected
    entry: dict[int, Expected]
    time: int


Begun: TypeAlias = "Open | MultipleResults[Open]"


@define
class Model:
    """What the engine should hold."""

    entries: dict[str, dict[int, Expected]] = field(factory=dict)

    def begin(self, entry: str, time: int, record: Expected) -> int:
        """Put a record in; return the status of the answer."""
        for name in (*parents(entry), entry):
            self.entries.setdefault(name, {})
        records = self.entries[entry]
        if is_meta(entry):
            if "key" not in record.labels or record.labels.get("remove") == "true":
                return 422
            self._remove_key(records, record.labels["key"])
        present = records.get(time)
        if present and (present.state != "broken" or len(present.data) != len(record.data)):
            return 409
        records[time] = record
        return 200

    def _remove_key(self, records: dict[int, Expected], key: str) -> None:
        for time, one in list(records.items()):
            same = one.state == "finished" and one.labels.get("key") == key
            if same and not is_tombstone(one.labels) and time != LAST_TIME:
                del records[time]

    def rename(self, old: str, new: str) -> int:
        """Move a subtree; return the status of the answer."""
        moved = [name for name in self.entries if is_below(name, old)]
        if is_below(new, old) or (moved and new in self.entries):
            return 409
        if not moved:
            return 404
        for parent in parents(new):
            self.entries.setdefault(parent, {})
        for name in moved:
            self.entries[new + name[len(old) :]] = self.entries.pop(name)
        return 200


def status(action: Callable[[], object]) -> int:
    """Return the status of an action, 200 if it is not refused."""
    try:
        action()
    except ApiError as error:
        return error.status
    return 200


class Machine(RuleBasedStateMachine):
    """Does the same to an engine and to a model."""

    in_file = False
    writers: Bundle[Open] = Bundle("writers")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="reduct-test-"))
        self.path = self.folder / "data.sqlite" if self.in_file else None
        self.engine = Engine(self.path)
        self.model = Model()
        self.open: list[RecordWriter] = []

    def teardown(self) -> None:
        self.engine.close()
        shutil.rmtree(self.folder)

    @initialize(block_records=st.integers(0, 4), block_size=st.sampled_from([0, 10, 64_000_000]))
    def create(self, block_records: int, block_size: int) -> None:
        change = {"max_block_records": block_records, "max_block_size": block_size}
        self.engine.create_bucket(BUCKET, change)

    @rule(entry=entries, time=times, data=contents, labels=labels)
    def write(self, entry: str, time: int, data: bytes, labels: dict[str, str]) -> None:
        expected = self.model.begin(entry, time, Expected(data, labels))
        assert status(lambda: self._write(entry, time, data, labels)) == expected

    def _write(self, entry: str, time: int, data: bytes, labels: dict[str, str]) -> None:
        self.engine.write(BUCKET, entry, time, data, "text/plain", labels)

    @rule(target=writers, entry=entries, time=times, data=contents, labels=labels)
    def begin(self, entry: str, time: int, data: bytes, labels: dict[str, str]) -> Begun:
        record = Expected(data, labels, "started")
        expected = self.model.begin(entry, time, record)
        begun: list[RecordWriter] = []
        found = status(
            lambda: begun.append(
                self.engine.begin_write(BUCKET, entry, time, len(data), "text/plain", labels)
            )
        )
        assert found == expected
        if not begun:
            return multiple()
        begun[0].write(data[: len(data) // 2])
        self.open.append(begun[0])
        return Open(begun[0], record, self.model.entries[entry], time)

    @rule(one=consumes(writers), end=st.sampled_from(["finish", "short", "abort", "abandon"]))
    def end(self, one: Open, end: str) -> None:
        data = one.record.data
        self.open.remove(one.writer)
        there = one.entry.get(one.time) is one.record
        if end == "abandon":
            one.writer.abandon()
        elif end == "abort":
            one.writer.abort()
        else:
            one.writer.write(data[len(data) // 2 :])
            if end == "short":
                one.writer.write(b"too much")
            one.writer.finish()
        if there and end != "abandon":
            one.record.state = "finished" if end == "finish" else "broken"

    @rule(entry=entries, time=times, change=labels)
    def update(self, entry: str, time: int, change: dict[str, str]) -> None:
        found = status(lambda: self.engine.update_labels(BUCKET, entry, time, change))
        record = self.model.entries.get(entry, {}).get(time)
        assert found == (200 if record else 404)
        if record:
            merged = {**record.labels, **change}
            record.labels = {name: merged[name] for name in merged if change.get(name) != ""}

    @rule(entry=entries, some=st.sets(times, max_size=5))
    def remove(self, entry: str, some: set[int]) -> None:
        records = self.model.entries.get(entry)
        if records is None:
            assert status(lambda: self.engine.remove_records(BUCKET, entry, some)) == 404
            return
        errors = self.engine.remove_records(BUCKET, entry, some)
        assert set(errors) == some - set(records)
        for time in some:
            records.pop(time, None)

    @rule(entry=entries)
    def remove_entry(self, entry: str) -> None:
        found = status(lambda: self.engine.remove_entry(BUCKET, entry))
        removed = [name for name in self.model.entries if is_below(name, entry)]
        assert found == (422 if is_meta(entry) else 200 if removed else 404)
        if found == 200:
            settle(self.engine)
            for name in removed:
                self.model.entries.pop(name).clear()

    @rule(old=entries, new=st.sampled_from(["a", "e", "e/f", "a/x"]))
    def rename_entry(self, old: str, new: str) -> None:
        found = status(lambda: self.engine.rename_entry(BUCKET, old, new))
        assert found == self.model.rename(old, new)

    @rule(entry=entries, time=times, data=contents)
    def undo(self, entry: str, time: int, data: bytes) -> None:
        """Fail a transaction: it leaves no trace, and ends the writes that were open."""
        with pytest.raises(ZeroDivisionError):
            self._fail(entry, time, data)
        self._forget_started()

    def _fail(self, entry: str, time: int, data: bytes) -> None:
        with self.engine.transaction():
            status(lambda: self._write(entry, time, data, {"key": "k"}))
            status(lambda: self.engine.remove_records(BUCKET, entry, [0, 1, 2]))
            status(lambda: self.engine.rename_entry(BUCKET, "a", "z"))
            raise ZeroDivisionError

    @precondition(lambda self: self.in_file)
    @rule()
    def reopen(self) -> None:
        self.engine.close()
        self.engine = Engine(self.path)
        self._forget_started()
        assert rows(self.engine, "garbage") == 0

    def _forget_started(self) -> None:
        for records in self.model.entries.values():
            for time in [time for time, one in records.items() if one.state == "started"]:
                del records[time]

    @invariant()
    def same_entries(self) -> None:
        if not self.engine.bucket_infos():
            return
        assert self.engine.entry_names(BUCKET) == sorted(self.model.entries)
        shown = {info.name: info.record_count for info in self.engine.entry_infos(BUCKET)}
        expected = {
            name: len(records) for name, records in self.model.entries.items() if not is_meta(name)
        }
        assert shown == expected

    @invariant()
    def same_records(self) -> None:
        for name, records in self.model.entries.items():
            found = {
                record.timestamp: (record.labels, content(self.engine, record))
                for record in self.engine.scan(BUCKET, name, tombstones=True)
            }
            finished = [time for time in sorted(records) if records[time].state == "finished"]
            assert list(found) == finished
            for time, one in records.items():
                if one.state == "finished":
                    assert found[time] == (one.labels, one.data)
                expected = {"finished": 200, "started": 425, "broken": 500}[one.state]
                assert self._read(name, time) == expected

    def _read(self, name: str, time: int) -> int:
        return status(lambda: self.engine.read(BUCKET, name, time))

    @invariant()
    def sums_are_those_of_the_rows(self) -> None:
        for bucket in self.engine._store.buckets.values():
            for entry in bucket.entries.values():
                sums = self._sums(entry.id)
                for one in entry.started.values():
                    size, metadata, records = sums.get(one.block, (0, 0, 0))
                    sums[one.block] = (size + one.size, metadata + one.metadata, records + 1)
                blocks = {
                    first: (block.size, block.metadata, block.records)
                    for first, block in entry.blocks.items()
                }
                assert blocks == sums
                assert entry.firsts == sorted(blocks)
                assert entry.size == sum(size + more for size, more, _ in sums.values())
                assert entry.records == sum(records for _, _, records in sums.values())
            assert bucket.size == sum(entry.size for entry in bucket.entries.values())

    def _sums(self, entry: int) -> dict[int, tuple[int, int, int]]:
        found = self.engine._store.database.execute(
            "SELECT block, sum(size), sum(metadata), count(*) FROM records WHERE entry = ?"
            " GROUP BY block",
            (entry,),
        )
        return {block + ZERO: (size, more, count) for block, size, more, count in found}

    @invariant()
    def no_content_is_left_over(self) -> None:
        settle(self.engine)
        if not self.open:
            assert rows(self.engine, "garbage") == 0
            lengths = [
                -(-len(one.data) // PIECE_SIZE)
                for records in self.model.entries.values()
                for one in records.values()
                if one.state == "finished"
            ]
            assert rows(self.engine, "pieces") == sum(lengths)


class FileMachine(Machine):
    """The same in a file."""

    in_file = True


@pytest.mark.parametrize("machine", [Machine, FileMachine])
def test_engine_does_what_the_model_does(machine: type[Machine]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=60, stateful_step_count=30))


def test_the_model_notices_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: an engine that loses something does not pass."""
    monkeypatch.setattr(records_module, "remove_row", lambda *args: True)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=1000,
                stateful_step_count=30,
                database=None,
                report_multiple_bugs=False,
                phases=[Phase.generate],
            ),
        )
