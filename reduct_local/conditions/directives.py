"""Directives of conditions: the members of a top-level `when` object that begin with `#`."""

from collections.abc import Mapping
from dataclasses import dataclass

from reduct_local.conditions.values import I64_MAX, I64_MIN, Duration, Value, to_int, to_text
from reduct_local.durations import parse_duration, parse_size
from reduct_local.errors import ApiError
from reduct_local.integers import U64_MAX

_NAMES = frozenset(
    {
        "#ctx_before",
        "#ctx_after",
        "#select_labels",
        "#ext",
        "#batch_size",
        "#batch_records",
        "#batch_metadata_size",
        "#batch_timeout",
        "#record_timeout",
        "#io_timeout",
    }
)

RawDirectives = Mapping[str, list[Value]]
"""The values of each directive as they stand; checked only where a query uses them."""


@dataclass(frozen=True, slots=True)
class Padding:
    """How much of the context of a match is returned: `size` records, or microseconds."""

    size: int = 0
    is_duration: bool = False


@dataclass(frozen=True, slots=True)
class Directives:
    """What the directives of one `when` ask for; None where it says nothing.

    Sizes are bytes, timeouts seconds. No `select_labels` means all of them.
    """

    before: Padding = Padding()
    after: Padding = Padding()
    select_labels: frozenset[str] = frozenset()
    batch_max_size: int | None = None
    batch_max_records: int | None = None
    batch_max_metadata_size: int | None = None
    batch_timeout_s: float | None = None
    batch_records_timeout_s: float | None = None


def split_directives(document: object) -> tuple[object, RawDirectives]:
    """Return a `when` without its directives, and these; 422 for unknown names and types."""
    if not isinstance(document, Mapping):
        return document, {}
    directives = {
        key: _read_values(key, value) for key, value in document.items() if key.startswith("#")
    }
    return {key: value for key, value in document.items() if key not in directives}, directives


def _read_values(name: str, value: object) -> list[Value]:
    if name not in _NAMES:
        raise ApiError(422, f"Directive '{name}' is not supported")
    if isinstance(value, Mapping):
        # An object is a text here, which only `#ext` can use.
        return [str(value)]
    if not isinstance(value, list):
        return [_primitive(name, value)]
    return [
        str(item) if name == "#ext" and isinstance(item, Mapping) else _primitive(name, item)
        for item in value
    ]


def _primitive(name: str, value: object) -> Value:
    match value:
        case str():
            microseconds = parse_duration(value)
            return value if microseconds is None else Duration(microseconds)
        case bool() | float():
            return value
        case int() if I64_MAX < value <= U64_MAX:
            raise ApiError(422, f"Directive '{name}' contains integer value out of range: {value}")
        case int():
            return value if I64_MIN <= value <= I64_MAX else float(value)
        case _:
            raise ApiError(422, f"Directive '{name}' contains unsupported value type: {value}")


def check_directives(raw: RawDirectives) -> Directives:
    """Return what the directives mean for a query; 422 for wrong values."""
    # Without effect, but checked.
    _seconds(raw, "#io_timeout")
    return Directives(
        before=_padding(raw, "#ctx_before"),
        after=_padding(raw, "#ctx_after"),
        select_labels=_select_labels(raw),
        batch_max_size=_size(raw, "#batch_size"),
        batch_max_records=_count(raw, "#batch_records"),
        batch_max_metadata_size=_size(raw, "#batch_metadata_size"),
        batch_timeout_s=_seconds(raw, "#batch_timeout"),
        batch_records_timeout_s=_seconds(raw, "#record_timeout"),
    )


def _single(raw: RawDirectives, name: str) -> Value | None:
    values = raw.get(name)
    if values is None:
        return None
    if len(values) != 1:
        raise ApiError(422, f"{name} must be a single value")
    return values[0]


def _padding(raw: RawDirectives, name: str) -> Padding:
    value = _single(raw, name)
    if value is None:
        return Padding()
    try:
        size = to_int(value)
    except ApiError as error:
        message = f"{name} must be an integer or duration: {error.message}"
        raise ApiError(422, message) from None
    if size < 0:
        raise ApiError(422, f"{name} must be non-negative")
    return Padding(size, isinstance(value, Duration))


def _select_labels(raw: RawDirectives) -> frozenset[str]:
    values = raw.get("#select_labels")
    if values is None:
        return frozenset()
    if not values:
        raise ApiError(422, "#select_labels must contain at least one label")
    if not all(isinstance(value, str) for value in values):
        raise ApiError(422, "#select_labels must contain only string values")
    return frozenset(map(to_text, values))


def _size(raw: RawDirectives, name: str) -> int | None:
    value = _single(raw, name)
    if value is None:
        return None
    size = parse_size(value) if isinstance(value, str) else _whole(value)
    if size is None:
        raise ApiError(422, f"{name} must be a positive integer or a size")
    return size


def _count(raw: RawDirectives, name: str) -> int | None:
    value = _single(raw, name)
    count = None if value is None else _whole(value)
    if value is not None and count is None:
        raise ApiError(422, f"{name} must be a positive integer")
    return count


def _seconds(raw: RawDirectives, name: str) -> float | None:
    value = _single(raw, name)
    if value is None:
        return None
    if isinstance(value, Duration) and value >= 0:
        return value / 1_000_000
    seconds = _whole(value)
    if seconds is None:
        raise ApiError(422, f"{name} must be a positive integer or duration")
    return float(seconds)


def _whole(value: Value) -> int | None:
    return value if type(value) is int and value >= 0 else None
