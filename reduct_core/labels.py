"""Labels and content types: one encoder for every call, and what each protocol can carry.

A label value travels as a header of its own in single calls, and inside a comma-separated
header in batches, where a value is quoted only if it holds a comma and nothing is escaped
(http-api.md 3.1, 6.3).
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

LabelValue: TypeAlias = str | bool | int | float | Any
"""What a label may be: text, bool, int, float, or a numpy scalar of these kinds."""

DEFAULT_CONTENT_TYPE = "application/octet-stream"
"""What the server stores when no content type is given."""

MAX_LABEL_BYTES = 400_000
"""Most bytes of labels of one record; the server takes 512,000 bytes of headers a request."""

MAX_LABEL_LINES = 70
"""Most labels in a single-record call: the server takes 100 header lines a request."""

# Header tokens without "%", which the server's percent-coding of label names does not escape.
_NAME = re.compile(r"[A-Za-z0-9!#$&'*+.^_`|~-]+")
_VISIBLE = re.compile(r"[\t\x20-\x7e]*")


def encode(labels: Mapping[str, LabelValue | None] | None) -> dict[str, str | None]:
    """Return labels as text; None stays None, and means "remove" in an update.

    bool becomes ``true`` or ``false``, int its digits, float the shortest text that reads
    back as the same float; numpy scalars are taken as their Python kind.

    Raises TypeError for other types, ValueError for a name or a value that no call of the API
    could carry or read back.
    """
    if labels is None:
        return {}
    if not isinstance(labels, Mapping):
        raise TypeError(f"labels must be a mapping of names to values, not {_kind(labels)}")
    encoded = {_name(name): _value(name, value) for name, value in labels.items()}
    _check_together(encoded)
    return encoded


def for_write(labels: Mapping[str, str | None]) -> dict[str, str]:
    """Return encoded labels of a record to write; None is refused, it removes in updates."""
    stored: dict[str, str] = {}
    for name, value in labels.items():
        if value is None:
            raise ValueError(f"label {name!r} is None; leave it out, or pass '' for an empty value")
        stored[name] = value
    return stored


def for_update(labels: Mapping[str, str | None]) -> dict[str, str]:
    """Return encoded labels of an update, where an empty value removes the label."""
    return {name: "" if value is None else value for name, value in labels.items()}


def _kind(value: object) -> str:
    return type(value).__name__


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"label name {name!r} must be a str, not {_kind(name)}")
    return _checked_name(name)


# Records of one source have the same few names.
@lru_cache(maxsize=1024)
def _checked_name(name: str) -> str:
    if name.startswith("@"):
        raise ValueError(f"label name {name!r}: '@' marks labels computed by extensions")
    if not _NAME.fullmatch(name):
        # A name that is no header token ends the server process when the record is read.
        raise ValueError(
            f"label name {name!r}: ASCII letters, digits and - _ . are safe; spaces, '/', '=',"
            " ',', '%', quotes and non-ASCII text cannot be stored"
        )
    return name


def _value(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, (str, bool, int, float)):
        value = _plain_scalar(value)
    if isinstance(value, str):
        text = str.__str__(value)
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, int):
        text = _digits(name, value)
    elif isinstance(value, float):
        text = float.__repr__(value)
    else:
        raise TypeError(
            f"label {name!r} must be str, bool, int or float, not {_kind(value)}; convert it,"
            " e.g. with str()"
        )
    return header_text(text, f"label {name!r}")


def _digits(name: str, value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError as exc:
        raise ValueError(f"label {name!r}: {exc}") from None


def _plain_scalar(value: Any) -> Any:
    """Return a numpy number, bool or str as Python's own; other things as they are."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    is_scalar = kind != "" and kind in "biufU" and getattr(value, "shape", None) == ()
    return value.item() if is_scalar else value


def header_text(text: str, what: str) -> str:
    """Return `text` if a header carries it unchanged, else raise ValueError naming `what`."""
    if not _VISIBLE.fullmatch(text):
        raise ValueError(
            f"{what}={_short(text)}: only printable ASCII can be stored; encode other text, e.g."
            " with urllib.parse.quote()"
        )
    if text != text.strip(" \t"):
        raise ValueError(f"{what}={_short(text)}: spaces at the ends would be lost")
    return text


def content_type(value: str | None) -> str:
    """Return the content type to store; None is ``application/octet-stream``."""
    if value is None:
        return DEFAULT_CONTENT_TYPE
    if not isinstance(value, str):
        raise TypeError(f"content_type must be a str, not {_kind(value)}")
    if not value:
        raise ValueError("content_type must not be empty; leave it out for the default")
    if "," in value:
        # Queries put it into a comma-separated header without quotes.
        raise ValueError(f"content_type={_short(value)}: a comma could not be read back by a query")
    return header_text(value, "content_type")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _check_together(labels: Mapping[str, str | None]) -> None:
    if len(labels) > 1:
        _check_case(labels)
    size = 0
    quoted = False
    for name, value in labels.items():
        if value:
            size += len(name) + len(value) + 2
            quoted = quoted or '"' in value
    if size > MAX_LABEL_BYTES:
        raise ValueError(f"the labels have {size} bytes; at most {MAX_LABEL_BYTES} are allowed")
    if not quoted:
        return
    values = {name: value for name, value in labels.items() if value}
    if not _readable(values):
        raise ValueError(
            f"labels {sorted(n for n, v in values.items() if chr(34) in v)}: quotes and commas"
            " in this arrangement cannot be read back by a query, because batch headers have no"
            " escapes; encode the text, e.g. with urllib.parse.quote()"
        )


def _check_case(labels: Mapping[str, str | None]) -> None:
    folded: dict[str, str] = {}
    for name in labels:
        other = folded.setdefault(name.lower(), name)
        if other != name:
            raise ValueError(
                f"labels {other!r} and {name!r} differ only in case, which header names do not have"
            )


def _readable(labels: Mapping[str, str]) -> bool:
    """Tell whether both batch protocols hand these labels out so that they can be read.

    A value with a comma must end by its own text, whatever follows. One that begins with a
    quote and has no comma is read up to the next comma, unless a later value closes the quote;
    the server puts labels in no order, so every other one may be later.
    """
    for one in labels.items():
        if '"' not in one[1]:
            continue
        others = labels.items() if one[1].startswith('"') and "," not in one[1] else ()
        followed = [(f"{one[0]}_", "x"), *(other for other in others if other != one)]
        if not all(_reads_back(dict([one, other])) for other in followed):
            return False
    return True


def _reads_back(labels: Mapping[str, str]) -> bool:
    indexed = {str(index): value for index, value in enumerate(labels.values())}
    return (
        dict(parse_pairs(format_pairs(labels), indexed=False)) == labels
        and dict(parse_pairs(format_pairs(indexed), indexed=True)) == indexed
    )


def needs_own_call(labels: Mapping[str, str]) -> bool:
    """Tell whether only the single-record call carries these labels.

    The server reads no batch header with a value that has both comma and quote, or that begins
    with a quote.
    """
    quoted = [value for value in labels.values() if '"' in value]
    return any(value[0] == '"' or "," in value for value in quoted)


def needs_batch_call(labels: Mapping[str, str]) -> bool:
    """Tell whether the single-record call cannot carry these labels.

    It has one header line for each, and header names have no case.
    """
    return len(labels) > MAX_LABEL_LINES or any(name != name.lower() for name in labels)


def format_pairs(pairs: Mapping[str, str]) -> str:
    """Return ``name=value`` pairs as they stand in a batch header.

    >>> format_pairs({"a": "1", "b": "x, y"})
    'a=1,b="x, y"'
    """
    if not pairs:
        return ""
    return ",".join(
        [
            f'{name}="{value}"' if "," in value else f"{name}={value}"
            for name, value in pairs.items()
        ]
    )


# Where a quoted value may end: at the end of the header, or before the next pair.
_ENDS: Mapping[bool, re.Pattern[str]] = {
    False: re.compile(r'"\s*(?:$|,(?=\s*[^\s,="]+\s*=))'),
    True: re.compile(r'"\s*(?:$|,(?=\s*[0-9]+\s*=))'),
}


def parse_pairs(text: str, *, indexed: bool) -> Sequence[tuple[str, str]]:
    """Return the pairs of a batch header, in order; `indexed` if keys are label indexes.

    The server quotes values that hold a comma and escapes nothing, so a quoted value ends at
    the first quote that is followed by another pair or by the end, and a quoted value without
    a comma was stored with its quotes. Text without "=" belongs to nothing and is passed over,
    as the server does.

    >>> parse_pairs('a=1,b="x, y",c="z"', indexed=False)
    [('a', '1'), ('b', 'x, y'), ('c', '"z"')]
    """
    pairs: list[tuple[str, str]] = []
    rest = text.strip()
    while rest:
        name, equals, rest = rest.partition("=")
        if not equals:
            break
        rest = rest.lstrip()
        quoted = _quoted(rest, _ENDS[indexed]) if rest.startswith('"') else None
        if quoted is None:
            value, _, rest = rest.partition(",")
            value = value.strip()
        else:
            value, rest = quoted
        pairs.append((name.strip(), value))
        rest = rest.lstrip()
    return pairs


def _quoted(text: str, ends: re.Pattern[str]) -> tuple[str, str] | None:
    """Return a quoted value and what follows it; None if no quote closes a value with a comma."""
    for match in ends.finditer(text, 1):
        value = text[1 : match.start()]
        if "," in value:
            return value, text[match.end() :]
    return None
