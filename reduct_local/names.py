"""Names of buckets and entries: their rules, and how patterns select entries."""

import re
from collections.abc import Iterable, Sequence

from .errors import ApiError

_BUCKET = re.compile(r"[A-Za-z0-9_-]+")
_ENTRY = re.compile(r"[A-Za-z0-9_/-]+")
_META = "$meta"
_BELOW = "/$meta"

_MAX_SEGMENT = 255


def check_bucket_name(name: str) -> None:
    """Refuse a name that no bucket may be given (ApiError 422)."""
    if not _BUCKET.fullmatch(name):
        raise ApiError(
            422, "Bucket or entry name can contain only letters, digests and [-,_] symbols"
        )


def check_entry_name(name: str) -> None:
    """Refuse a name that no entry may be given (ApiError 422); attachment entries pass."""
    if not all(name.split("/")):
        raise ApiError(422, "Entry name must be non-empty and must not contain empty path segments")
    if name != _META and not _ENTRY.fullmatch(name.removesuffix(_BELOW)):
        raise ApiError(
            422,
            "Entry name can contain only letters, digits and [-,_,/] symbols or end with '/$meta'",
        )


def check_length(name: str) -> None:
    """Refuse a bucket or an entry whose folder a file system could not name (ApiError 500)."""
    if any(len(segment) > _MAX_SEGMENT for segment in name.split("/")):
        raise ApiError(500, "File name too long (os error 36)")


def is_meta(entry: str) -> bool:
    """Tell whether the entry holds attachments (`$meta`, `a/b/$meta`)."""
    return entry == _META or entry.endswith(_BELOW)


def parents(entry: str) -> list[str]:
    """Return the entries above one, the top one first: `a`, `a/b` for `a/b/c`."""
    return [entry[:at] for at, letter in enumerate(entry) if letter == "/"]


def is_below(entry: str, top: str) -> bool:
    """Tell whether `entry` is `top` or lies below it."""
    return entry == top or entry.startswith(f"{top}/")


def select(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the entries that the patterns of a query select, sorted.

    No pattern, or exclusions (`!pattern`) only, select all but attachments, which patterns never
    reach except by their exact name. Exclusions apply after the others.
    """
    excluded = [pattern[1:] for pattern in patterns if is_exclusion(pattern)]
    included = [pattern for pattern in patterns if not is_exclusion(pattern)]
    everything = not included or "*" in included
    return sorted(
        name
        for name in names
        if _included(name, included, everything)
        and not any(matches(name, pattern) for pattern in excluded)
    )


def is_exclusion(pattern: str) -> bool:
    """Tell whether a pattern leaves entries out; a lone `!` is one that no entry matches."""
    return len(pattern) > 1 and pattern.startswith("!")


def _included(name: str, patterns: Sequence[str], everything: bool) -> bool:
    if is_meta(name):
        return not everything and name in patterns
    return everything or any(matches(name, pattern) for pattern in patterns)


def matches(name: str, pattern: str) -> bool:
    """Tell whether one pattern matches a name, with the real server's oddities."""
    pattern = pattern.lstrip("/")
    if "*" not in pattern:
        return name == pattern
    if "/" not in pattern and pattern.endswith("*"):
        # Only the last star counts here, so `**` and `*cam*` match nothing.
        return name.startswith(pattern[:-1])
    segments = name.split("/")
    # How many segments of the name the pattern can have used up so far.
    used = {0}
    for part in pattern.split("/"):
        if part == "**":
            used = set(range(min(used, default=len(segments) + 1), len(segments) + 1))
        else:
            used = {
                at + 1 for at in used if at < len(segments) and _segment_matches(segments[at], part)
            }
    return len(segments) in used


def _segment_matches(segment: str, pattern: str) -> bool:
    """Tell whether a segment matches a pattern in which `*` is any run of characters."""
    first, *others = pattern.split("*")
    if not others:
        return segment == pattern
    if not segment.startswith(first):
        return False
    at = len(first)
    for part in others[:-1]:
        found = segment.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return segment.endswith(others[-1]) and at + len(others[-1]) <= len(segment)
