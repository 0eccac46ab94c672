"""The operators of conditions that remember nothing, and the table of all of them."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

from reduct_local.conditions import arithmetic, stateful
from reduct_local.conditions.dates import PARTS, local_seconds
from reduct_local.conditions.nodes import Build, Evaluate, LabelledRecord
from reduct_local.conditions.values import (
    Duration,
    Value,
    equal,
    ordered,
    parse_label,
    to_float,
    to_int,
    to_text,
)
from reduct_local.durations import wrap_i64
from reduct_local.errors import ApiError

Start = Callable[[list[Evaluate]], Evaluate]
"""Makes an operator in its first state out of its started operands."""


def label(name: str) -> Build:
    """Return a node for the value of a label; 404 where a record has none of that name."""

    def evaluate(record: LabelledRecord) -> Value:
        text = record.labels.get(name)
        if text is None:
            raise ApiError(404, f"Reference '{name}' not found")
        return parse_label(text)

    return lambda: evaluate


def computed_label(name: str) -> Build:
    """Return a node for a label that extensions compute; there are none, so always 404."""

    def evaluate(_record: LabelledRecord) -> Value:
        raise ApiError(404, f"Reference '@{name}' not found")

    return lambda: evaluate


def _all_of(operands: list[Evaluate]) -> Evaluate:
    def evaluate(record: LabelledRecord) -> Value:
        for operand in operands:  # noqa: SIM110 - `all` takes twice as long
            if not operand(record):
                return False
        return True

    return evaluate


def _any_of(operands: list[Evaluate]) -> Evaluate:
    def evaluate(record: LabelledRecord) -> Value:
        return any(operand(record) for operand in operands)

    return evaluate


def _none_of(operands: list[Evaluate]) -> Evaluate:
    def evaluate(record: LabelledRecord) -> Value:
        return not any(operand(record) for operand in operands)

    return evaluate


def _one_of(operands: list[Evaluate]) -> Evaluate:
    def evaluate(record: LabelledRecord) -> Value:
        return sum(bool(operand(record)) for operand in operands) == 1

    return evaluate


def _in(operands: list[Evaluate]) -> Evaluate:
    first, *others = operands

    def evaluate(record: LabelledRecord) -> Value:
        value = first(record)
        return any(equal(other(record), value) for other in others)

    return evaluate


def _nin(operands: list[Evaluate]) -> Evaluate:
    is_in = _in(operands)
    return lambda record: not is_in(record)


def _binary(function: Callable[[Value, Value], Value]) -> Start:
    def start(operands: list[Evaluate]) -> Evaluate:
        left, right = operands
        return lambda record: function(left(record), right(record))

    return start


def _unary(function: Callable[[Value], Value]) -> Start:
    def start(operands: list[Evaluate]) -> Evaluate:
        (operand,) = operands
        return lambda record: function(operand(record))

    return start


def _fold(function: Callable[[Value, Value], Value]) -> Start:
    def start(operands: list[Evaluate]) -> Evaluate:
        if not operands:
            return lambda _record: 0
        first, *others = operands

        def evaluate(record: LabelledRecord) -> Value:
            value = first(record)
            for other in others:
                value = function(value, other(record))
            return value

        return evaluate

    return start


def _ordered(relation: Callable[[Any, Any], bool]) -> Start:
    return _binary(lambda left, right: ordered(relation, left, right))


def _texts(function: Callable[[str, str], bool]) -> Start:
    return _binary(lambda left, right: function(to_text(left), to_text(right)))


def _date_part(name: str) -> Start:
    part = PARTS[name]

    def start(operands: list[Evaluate]) -> Evaluate:
        time = operands[0]
        place = operands[1] if len(operands) == 2 else None

        def evaluate(record: LabelledRecord) -> Value:
            timestamp = to_int(time(record))
            # The time is checked first, as there.
            utc = local_seconds(timestamp, None)
            if place is None:
                return part(utc)
            zone_name = place(record)
            if not isinstance(zone_name, str):
                raise ApiError(422, f"{name} requires timezone to be a string")
            return part(local_seconds(timestamp, zone_name))

        return evaluate

    return start


def _exists(operands: list[Evaluate]) -> Evaluate:
    def evaluate(record: LabelledRecord) -> Value:
        return all(to_text(operand(record)) in record.labels for operand in operands)

    return evaluate


def _ref(operands: list[Evaluate]) -> Evaluate:
    (operand,) = operands

    def evaluate(record: LabelledRecord) -> Value:
        name = to_text(operand(record))
        if name not in record.labels:
            raise ApiError(404, f"Label '{name}' not found")
        return parse_label(record.labels[name])

    return evaluate


def _cast(value: Value, type_value: Value) -> Value:
    match to_text(type_value):
        case "bool":
            return bool(value)
        case "int":
            return to_int(value)
        case "float":
            return to_float(value)
        case "string":
            return to_text(value)
        case "duration":
            return Duration(to_int(value))
        case unknown:
            raise ApiError(422, f"Unknown type '{unknown}'")


def _timestamp(_operands: list[Evaluate]) -> Evaluate:
    return lambda record: wrap_i64(record.timestamp)


MANY = 2**31

# Name -> least and greatest number of operands, and how the operator is started.
_OPERATORS: dict[str, tuple[int, int, Start]] = {
    "$each_n": (1, 1, stateful.each_n),
    "$each_t": (1, 1, stateful.each_t),
    "$gate": (2, 2, stateful.gate),
    "$limit": (1, 1, stateful.limit),
    "$add": (0, MANY, _fold(arithmetic.add)),
    "$mult": (0, MANY, _fold(arithmetic.multiply)),
    "$sub": (2, 2, _binary(arithmetic.subtract)),
    "$div": (2, 2, _binary(arithmetic.divide)),
    "$div_num": (2, 2, _binary(arithmetic.divide_whole)),
    "$rem": (2, 2, _binary(arithmetic.remainder)),
    "$abs": (1, 1, _unary(arithmetic.absolute)),
    "$and": (0, MANY, _all_of),
    "$all_of": (0, MANY, _all_of),
    "$or": (0, MANY, _any_of),
    "$any_of": (0, MANY, _any_of),
    "$not": (0, MANY, _none_of),
    "$none_of": (0, MANY, _none_of),
    "$xor": (0, MANY, _one_of),
    "$one_of": (0, MANY, _one_of),
    "$in": (2, MANY, _in),
    "$nin": (2, MANY, _nin),
    "$eq": (2, 2, _binary(equal)),
    "$ne": (2, 2, _binary(lambda left, right: not equal(left, right))),
    "$gt": (2, 2, _ordered(operator.gt)),
    "$gte": (2, 2, _ordered(operator.ge)),
    "$lt": (2, 2, _ordered(operator.lt)),
    "$lte": (2, 2, _ordered(operator.le)),
    "$contains": (2, 2, _texts(lambda left, right: right in left)),
    "$starts_with": (2, 2, _texts(str.startswith)),
    "$ends_with": (2, 2, _texts(str.endswith)),
    "$exists": (1, MANY, _exists),
    "$has": (1, MANY, _exists),
    "$ref": (1, 1, _ref),
    "$cast": (2, 2, _binary(_cast)),
    "$timestamp": (0, 0, _timestamp),
    "$id": (0, 0, _timestamp),
    **{name: (1, 2, _date_part(name)) for name in PARTS},
}

OPERATORS = frozenset(_OPERATORS)
"""The names of all operators."""


def make_operator(name: str, operands: Sequence[Build]) -> Build:
    """Return the node of an operator; 422 for an unknown one and a wrong number of operands."""
    if not name.startswith("$"):
        raise ApiError(422, f"Operator '{name}' must start with '$'")
    if name not in _OPERATORS:
        raise ApiError(422, f"Operator '{name}' not supported")
    least, greatest, start = _OPERATORS[name]
    if not least <= len(operands) <= greatest:
        raise ApiError(422, f"{name} does not take {len(operands)} operands")
    return lambda: start([build() for build in operands])
