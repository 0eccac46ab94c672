"""Entry patterns, matched as the server matches them (http-api.md 5.6 and trap T32)."""

import re
from collections.abc import Sequence
from functools import lru_cache

from .names import is_meta


def matches(patterns: Sequence[str], name: str) -> bool:
    """Tell whether the entry `name` is selected by `patterns`.

    Includes first, then exclusions (``!pattern``); only exclusions, or none at all, include
    every entry. Attachments (``x/$meta``) are selected by their exact name alone.
    """
    # A "!" alone is no exclusion for the server, but a name that no entry has.
    excludes = [pattern[1:] for pattern in patterns if pattern.startswith("!") and pattern != "!"]
    includes = [pattern for pattern in patterns if pattern == "!" or pattern[:1] != "!"]
    if is_meta(name):
        chosen = name in includes
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
    return _glob(pattern).fullmatch("/" + name) is not None


@lru_cache(maxsize=256)
def _glob(pattern: str) -> re.Pattern[str]:
    """Return the expression for a pattern and "/" + name; ``**`` is any number of segments."""
    text = ""
    for segment in pattern.split("/"):
        if segment == "**":
            text += "(?:/[^/]+)*"
        else:
            text += "/" + "[^/]*".join(re.escape(part) for part in segment.split("*"))
    return re.compile(text)
