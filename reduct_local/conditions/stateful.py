"""The operators of conditions that remember the records before."""

from reduct_local.conditions.nodes import Evaluate, LabelledRecord, LimitReachedError
from reduct_local.conditions.values import (
    I64_MAX,
    I64_MIN,
    Duration,
    Value,
    saturated,
    to_float,
    to_int,
    to_u64,
)
from reduct_local.errors import ApiError
from reduct_local.integers import U64_MAX


def each_n(operands: list[Evaluate]) -> Evaluate:
    """Start `$each_n`: true for every n-th record that it sees; 422 for 0."""
    (operand,) = operands
    count = 0

    def evaluate(record: LabelledRecord) -> Value:
        nonlocal count
        count += 1
        n = to_int(operand(record))
        if n == 0:
            raise ApiError(422, "Value '0' is not a valid operand for $each_n")
        return count % n == 0

    return evaluate


def limit(operands: list[Evaluate]) -> Evaluate:
    """Start `$limit`: true n times, then LimitReachedError."""
    (operand,) = operands
    count = 0

    def evaluate(record: LabelledRecord) -> Value:
        nonlocal count
        count += 1
        if count > to_int(operand(record)):
            raise LimitReachedError
        return True

    return evaluate


def each_t(operands: list[Evaluate]) -> Evaluate:
    """Start `$each_t`: true when a duration, or so many seconds, passed since the last true.

    The first record only sets the reference, also where its operand is an error.
    """
    (operand,) = operands
    last: int | None = None

    def evaluate(record: LabelledRecord) -> Value:
        nonlocal last
        if last is None:
            last = record.timestamp
        value = operand(record)
        seconds = value / 1_000_000.0 if isinstance(value, Duration) else to_float(value)
        if record.timestamp < last:
            last = record.timestamp
            return False
        passed = record.timestamp - last >= to_u64(seconds * 1_000_000.0)
        if passed:
            last = record.timestamp
        return passed

    return evaluate


class _Gate:
    """The state of `$gate`: open until `deadline`, then shut until the input was false once."""

    def __init__(self, duration: Evaluate, condition: Evaluate) -> None:
        self._duration = duration
        self._condition = condition
        self._deadline: int | None = None
        self._previous = False
        self._waits_for_false = False
        self._last: int | None = None

    def evaluate(self, record: LabelledRecord) -> Value:
        now = record.timestamp
        self._reset_if_earlier(now)
        duration = _gate_microseconds(self._duration(record))
        condition = bool(self._condition(record))
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self._waits_for_false = True
        if self._waits_for_false:
            self._waits_for_false = condition
            self._previous = condition
            return False
        if self._deadline is None and condition and not self._previous:
            self._deadline = min(now + duration, U64_MAX)
        self._previous = condition
        return condition and self._deadline is not None and now < self._deadline

    def _reset_if_earlier(self, now: int) -> None:
        if self._last is not None and now < self._last:
            self._deadline = None
            self._previous = False
            self._waits_for_false = False
        self._last = now


def gate(operands: list[Evaluate]) -> Evaluate:
    """Start `$gate` of a duration (or seconds) and a condition.

    It opens for that time when the condition becomes true, and passes the condition while open.
    """
    duration, condition = operands
    return _Gate(duration, condition).evaluate


def _gate_microseconds(value: Value) -> int:
    if isinstance(value, Duration):
        return max(0, int(value))
    return max(0, saturated(to_float(value) * 1_000_000.0, I64_MIN, I64_MAX))
