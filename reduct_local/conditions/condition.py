"""A parsed `when`, and its evaluation over the records of one entry."""

import copy
from collections import deque
from typing import Generic, TypeVar

from reduct_local.conditions.directives import Directives, check_directives, split_directives
from reduct_local.conditions.fatal import EndsRealServerError
from reduct_local.conditions.nodes import Build, Evaluate, LabelledRecord, LimitReachedError
from reduct_local.conditions.operators import make_operator
from reduct_local.conditions.parser import parse_nodes
from reduct_local.errors import ApiError

RecordT = TypeVar("RecordT", bound=LabelledRecord)

_U64 = 2**64


class Condition:
    """A checked `when`; immutable. Every entry and every replication starts its own evaluation.

    Args:
        build: the condition without its directives.
        directives: what they ask for.
        has_ext: whether there is a directive `#ext`.
    """

    def __init__(self, build: Build, directives: Directives, has_ext: bool) -> None:
        self._build = build
        self.directives = directives
        self.has_ext = has_ext

    def start(self, *, strict: bool = False) -> "Evaluation[RecordT]":
        """Return an evaluation in its first state; `strict` raises its errors."""
        return Evaluation(self._build(), self.directives, strict)


class Context(Generic[RecordT]):
    """The records around matches: those that may still be before one, and the time after it."""

    def __init__(self, directives: Directives) -> None:
        self._before = directives.before
        self._after = directives.after
        self._waiting: deque[RecordT] = deque()
        self._left = -1
        self._last_match: int | None = None

    def push(self, record: RecordT) -> None:
        """Take the record that is looked at, and let go of those too far before it."""
        waiting = self._waiting
        waiting.append(record)
        if not self._before.is_duration:
            if len(waiting) > self._before.size + 1:
                waiting.popleft()
            return
        while record.timestamp - waiting[0].timestamp > self._before.size:
            waiting.popleft()

    def pop(self, matched: bool, timestamp: int) -> list[RecordT]:
        """Return all records to deliver now, none where the last one lies outside of a match."""
        if not (self._within_duration if self._after.is_duration else self._within_count)(
            matched, timestamp
        ):
            return []
        selected = list(self._waiting)
        self._waiting.clear()
        return selected

    def _within_count(self, matched: bool, _timestamp: int) -> bool:
        self._left = self._after.size if matched else self._left - 1
        return self._left >= 0

    def _within_duration(self, matched: bool, timestamp: int) -> bool:
        if matched:
            self._last_match = timestamp
        if self._last_match is None:
            return False
        # The real server's sum wraps around.
        return (self._last_match + self._after.size) % _U64 >= timestamp


class Evaluation(Generic[RecordT]):
    """The state of a condition (`$limit`, `$each_n`, `#ctx_before`, ...) over one entry."""

    def __init__(self, evaluate: Evaluate, directives: Directives, strict: bool) -> None:
        self._evaluate = evaluate
        self._strict = strict
        self._select_labels = directives.select_labels
        padded = bool(directives.before.size or directives.after.size)
        self._context: Context[RecordT] | None = Context(directives) if padded else None

    def matches(self, record: LabelledRecord) -> bool:
        """Return whether the condition holds for the next record, its context left out.

        Raises LimitReachedError at a `$limit`, and ApiError for an evaluation error of a strict
        query: 404 missing label, 422 anything else.
        """
        try:
            return bool(self._evaluate(record))
        except EndsRealServerError:
            raise
        except ApiError:
            if self._strict:
                raise
            return False

    def select(self, record: RecordT) -> list[RecordT] | None:
        """Return the records to deliver after a look at `record`; None when `$limit` is reached.

        Records come with their context, in order, and as copies where `#select_labels` takes
        labels away. Raises ApiError like `matches`.
        """
        context = self._context
        if context is not None:
            context.push(record)
        try:
            matched = self.matches(record)
        except LimitReachedError:
            return None
        if context is None:
            selected = [record] if matched else []
        else:
            selected = context.pop(matched, record.timestamp)
        return [self._reduced(item) for item in selected] if self._select_labels else selected

    def _reduced(self, record: RecordT) -> RecordT:
        reduced = copy.copy(record)
        reduced.labels = {
            name: text for name, text in record.labels.items() if name in self._select_labels
        }
        return reduced


def parse_condition(document: object) -> Condition:
    """Return the condition that the JSON value of a `when` means; raises ApiError 422."""
    bare, raw = split_directives(document)
    build = make_operator("$all_of", parse_nodes(bare))
    return Condition(build, check_directives(raw), "#ext" in raw)


def check_syntax(document: object) -> None:
    """Raise ApiError 422 unless a `when` can be parsed; the values of directives do not count.

    What the real server checks of a query that selects no entry.
    """
    bare, _raw = split_directives(document)
    make_operator("$all_of", parse_nodes(bare))
