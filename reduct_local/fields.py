"""The members of JSON objects in requests, checked as the real server's parser does.

A member with a default may be left out, but null is refused like any other wrong type, except by
`optional_text`. Unknown members are ignored by everybody.
"""

from collections.abc import Mapping, Sequence

from reduct_local.errors import ApiError


def text(document: Mapping[str, object], name: str, default: str | None = None) -> str:
    """Return a member that is a string; 422 for another type, or where it must not be missing."""
    value = _member(document, name, default)
    if not isinstance(value, str):
        raise _wrong_type(name, "a string")
    return value


def optional_text(document: Mapping[str, object], name: str) -> str | None:
    """Return a string member, None where it is null or missing; 422 for another type."""
    return None if document.get(name) is None else text(document, name)


def texts(document: Mapping[str, object], name: str) -> tuple[str, ...]:
    """Return a member that is a list of strings, empty where it is missing; 422."""
    values = _member(document, name, ())
    if not isinstance(values, list | tuple):
        raise _wrong_type(name, "a sequence")
    if not all(isinstance(value, str) for value in values):
        raise _wrong_type(name, "a sequence of strings")
    return tuple(values)


def choice(
    document: Mapping[str, object], name: str, choices: Sequence[str], default: str | None = None
) -> str:
    """Return a member that is one of the choices, which are case-sensitive; 422."""
    value = text(document, name, default)
    if value not in choices:
        expected = ", ".join(f"`{item}`" for item in choices)
        raise ApiError(422, f"Invalid JSON: unknown variant `{value}`, expected one of {expected}")
    return value


def _member(document: Mapping[str, object], name: str, default: object) -> object:
    if name in document:
        return document[name]
    if default is None:
        raise ApiError(422, f"Invalid JSON: missing field `{name}`")
    return default


def _wrong_type(name: str, expected: str) -> ApiError:
    return ApiError(422, f"Invalid JSON: invalid type of `{name}`, expected {expected}")
