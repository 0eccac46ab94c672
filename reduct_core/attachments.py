"""Attachments: JSON documents of an entry, stored as records of ``<entry>/$meta``."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import errors, names
from . import labels as label_codec
from .batches import Item

KEY = "key"
"""The label that names an attachment."""

_REMOVE: Mapping[str, str | None] = {"remove": "true"}


def meta_entry(entry: str) -> str:
    """Return the entry that holds the attachments of `entry`."""
    if names.is_meta(names.entry(entry)):
        raise ValueError(f"entry {entry!r} holds attachments itself; name the entry it belongs to")
    return f"{entry}/{names.META}"


def items(
    entry: str, attachments: Mapping[str, Any], now: Callable[[], int]
) -> list[tuple[str, Item]]:
    """Return the records that hold `attachments`; `now` gives each a time of its own."""
    if not isinstance(attachments, Mapping):
        raise TypeError(f"attachments must be a dict, not {type(attachments).__name__}")
    meta = names.new_entry(meta_entry(entry))
    return [(meta, _item(name, content, now)) for name, content in attachments.items()]


def _item(name: str, content: Any, now: Callable[[], int]) -> Item:
    labels = label_codec.encode({KEY: _key(name)})
    try:
        data = json.dumps(content, allow_nan=False).encode()
    except TypeError as exc:
        raise TypeError(f"attachment {name!r} cannot be written as JSON: {exc}") from None
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"attachment {name!r} cannot be written as JSON: {exc}") from None
    return Item(now(), data, "application/json", labels)


def _key(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise ValueError(f"attachment key {name!r} must be a str that is not empty")
    return name


def decode(key: str, payload: bytes) -> Any:
    """Return the content of an attachment; ProtocolError if it is no JSON."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as exc:
        raise errors.ProtocolError(200, f"attachment {key!r} is not JSON: {exc}") from exc


def check_keys(keys: Sequence[str] | None) -> frozenset[str] | None:
    """Return the keys to remove; None means all, an empty list none."""
    if keys is None:
        return None
    if isinstance(keys, str):
        raise TypeError("attachment_keys must be a list of keys, not one str")
    return frozenset(_key(key) for key in keys)


def removals(
    meta: str, found: Sequence[tuple[int, str]], keys: frozenset[str] | None
) -> list[tuple[str, Item]]:
    """Return the updates that remove attachments, of which (timestamp, key) were `found`.

    Keys are compared here: the server's conditions take some texts for numbers or durations.
    """
    return [
        (meta, Item(timestamp, b"", "", _REMOVE))
        for timestamp, key in found
        if keys is None or key in keys
    ]
