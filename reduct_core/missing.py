"""What does not exist though it was asked for by its exact name."""

import sys
import warnings
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

from . import errors, names

Missing: TypeAlias = Literal["ignore", "warn", "raise"]
"""What happens when an exact entry name does not exist."""


def check_missing(missing: object) -> None:
    """Raise ValueError for what is no way to treat something that does not exist."""
    if missing not in get_args(Missing):
        raise ValueError(f"missing={missing!r} must be 'ignore', 'warn' or 'raise'")


def absent(exact: Sequence[str], listed: Sequence[str]) -> list[str]:
    """Return the exact names that are not among the `listed` entries.

    Attachments are not listed; they belong to their entry.
    """
    known = set(listed)
    return [
        name
        for name in exact
        if name not in known
        and name != names.META
        and name.removesuffix(f"/{names.META}") not in known
    ]


def report(bucket: str, entries: Sequence[str], missing: Missing) -> None:
    """Tell of entries that do not exist, as the user asks for it: not, by a warning, or raising
    NotFoundError.
    """
    if not entries or missing == "ignore":
        return
    text = f"bucket {bucket!r} has no entry {', '.join(map(repr, entries))}"
    if missing == "raise":
        raise errors.for_status(404, text)
    warnings.warn(text, stacklevel=users_level())


_PACKAGES = frozenset({"reduct_core", "reduct_sync", "reduct_async"})


def users_level() -> int:
    """Return how far up the stack the user's own line is, for a warning that points there."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _PACKAGES:
        level, frame = level + 1, frame.f_back
    return level
