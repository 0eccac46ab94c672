"""Entry patterns, matched as the server matches them (http-api.md 5.6 and trap T32)."""

from collections.abc import Sequence

from .names import is_meta


def matches(patterns: Sequence[str], name: str) -> bool:
    """Tell whether the entry `name` is selected by `patterns`.

    Includes first, then exclusions (``!pattern``); only exclusions, or none at all, include
    every entry. Attachments (``x/$meta``) are selected by their exact name alone, and not
    beside "*".
    """
    # A "!" alone is no exclusion for the server, but a name that no entry has.
    excludes = [pattern[1:] for pattern in patterns if pattern.startswith("!") and pattern != "!"]
    includes = [pattern for pattern in patterns if pattern == "!" or pattern[:1] != "!"]
    if is_meta(name):
        chosen = name in includes and "*" not in includes
    else:
        chosen = not includes or any(_match(pattern, name) for pattern in includes)
    return chosen and not any(_match(pattern, name) for pattern in excludes)


def _match(pattern: str, name: str) -> bool:
    pattern = pattern.lstrip("/")
    if pattern == name:
        return True
    if "/" not in pattern and pattern.endswith("*"):
        # The server cuts the last star off and compares the rest as it is, so that "**" and
        # "*cam*" match nothing.
        return name.startswith(pattern[:-1])
    return _match_path(pattern.split("/"), name.split("/"))


def _match_path(pattern: Sequence[str], name: Sequence[str]) -> bool:
    """Match segment by segment; ``**`` is any number of segments, also none.

    `reached` holds where in the name the pattern may go on: no backtracking.
    """
    reached = {0}
    for part in pattern:
        if part == "**":
            reached = set(range(min(reached), len(name) + 1))
        else:
            ends = {at for at in reached if at < len(name) and _match_segment(part, name[at])}
            reached = {at + 1 for at in ends}
        if not reached:
            return False
    return len(name) in reached


def _match_segment(pattern: str, segment: str) -> bool:
    """Match one segment; ``*`` is any text. Each part is taken where it is found first."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == segment
    *middle, last = rest
    if not segment.startswith(first) or len(segment) < len(first) + len(last):
        return False
    at, end = len(first), len(segment) - len(last)
    for part in middle:
        found = segment.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return segment.endswith(last)
