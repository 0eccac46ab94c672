"""From JSON to nodes: the three forms of operators, literals, references."""

from collections.abc import Mapping, Sequence

from reduct_local.conditions.fatal import EndsRealServerError
from reduct_local.conditions.nodes import Build, constant
from reduct_local.conditions.operators import computed_label, label, make_operator
from reduct_local.conditions.values import I64_MAX, I64_MIN, Duration, Value
from reduct_local.durations import parse_duration
from reduct_local.errors import ApiError
from reduct_local.integers import U64_MAX


def parse_nodes(document: object) -> list[Build]:
    """Return the nodes of a JSON value: one per member of an object, else one.

    Raises ApiError 422.
    """
    match document:
        case str():
            return [_literal(document)]
        case bool() | float():
            return [constant(document)]
        case int():
            return [constant(_number(document))]
        case Mapping():
            return [_member(key, value) for key, value in document.items()]
        case None:
            raise ApiError(422, "Null type is not supported: null")
        case _:
            raise ApiError(422, f"Array type is not supported: {document}")


def _number(number: int) -> Value:
    if I64_MAX < number <= U64_MAX:
        raise EndsRealServerError(f"the integer {number}")
    # JSON integers beyond that are read as doubles.
    return number if I64_MIN <= number <= I64_MAX else float(number)


def _literal(text: str) -> Build:
    if text.startswith("&"):
        return label(text[1:])
    if text.startswith("@"):
        return computed_label(text[1:])
    if text.startswith("$$"):
        return constant(text[1:])
    if text.startswith("$"):
        try:
            return make_operator(text, [])
        except ApiError:
            message = f"Unknown '$' literal '{text}'; use '$$' to escape a string value"
            raise ApiError(422, message) from None
    microseconds = parse_duration(text)
    return constant(text if microseconds is None else Duration(microseconds))


def _member(key: str, value: object) -> Build:
    """Return the node of `key: value`; an object is the right side of the operator in it."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return make_operator(key, [node for item in value for node in parse_nodes(item)])
    if not isinstance(value, Mapping):
        return make_operator(key, parse_nodes(value))
    left = _literal(key)
    if len(value) != 1:
        raise ApiError(422, "Object notation must have exactly one operator")
    ((name, right),) = value.items()
    return make_operator(name, [left, *parse_nodes(right)])
