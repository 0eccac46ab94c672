"""Rules of attachments, the records of `$meta` entries."""

import json
from collections.abc import Mapping

from ..errors import ApiError
from .model import LAST_TIME
from .rows import remove_row
from .state import Entry
from .store import ZERO, Store


def prepare_write(store: Store, entry: Entry, labels: Mapping[str, str]) -> None:
    """Admit an attachment and remove the present one of the same key; inside a transaction.

    Raises ApiError 422 without a key, and for a tombstone, which only an update makes.
    """
    if "key" not in labels:
        raise ApiError(422, f"System entry '{entry.name}' records must contain label 'key'")
    if labels.get("remove") == "true":
        raise ApiError(
            422,
            f"System entry '{entry.name}' does not support writing records with label"
            " 'remove=true'; use record update",
        )
    # No query of the real server reaches the last of all times, nor does this one.
    rows = store.database.execute(
        "SELECT time, labels FROM records WHERE entry = ? AND NOT broken AND time < ?",
        (entry.id, LAST_TIME - ZERO),
    ).fetchall()
    for time, text in rows:
        present = json.loads(text)
        if present.get("key") == labels["key"] and not is_tombstone(present):
            remove_row(store, entry, time + ZERO)


def is_tombstone(labels: Mapping[str, str]) -> bool:
    """Tell whether the attachment was removed: its label `remove` is true, or 1 as a number."""
    value = labels.get("remove")
    if value is None or value == "true":
        return value is not None
    # Python reads `1_0` and ` 1` as numbers, the real server does not.
    if "_" in value or value != value.strip():
        return False
    try:
        return float(value) == 1.0
    except ValueError:
        return False
