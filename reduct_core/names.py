"""Names: which ones may enter a URL, and which ones the server can store.

Addressing is lenient (system buckets and entries of others exist), but never lets a name
change the path: no empty, "." or ".." segment, no control character. Creating follows the
server's rule, so that a bad name is told before anything is sent.
"""

import re
from collections.abc import Sequence

META = "$meta"
"""Last segment of the entry that holds the attachments of the entry before it."""

MAX_SEGMENT_BYTES = 255
"""The file system's limit for one segment; beyond it the server answers 500."""

_BUCKET = re.compile(r"[A-Za-z0-9_-]+")
_ENTRY = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*(/\$meta)?|\$meta")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    if not value:
        raise ValueError(f"{what} must not be empty")
    if _CONTROL.search(value):
        raise ValueError(f"{what} {value!r} holds a control character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} {value!r} is not valid Unicode text") from None
    return value


def _segments(value: object, what: str) -> str:
    text = _text(value, what)
    for segment in text.split("/"):
        if segment in ("", ".", ".."):
            raise ValueError(f"{what} {text!r} has an empty, '.' or '..' segment")
    return text


def segment(value: object, what: str) -> str:
    """Return a name that is one path segment (bucket, token, replication, lifecycle)."""
    text = _segments(value, what)
    if "/" in text:
        raise ValueError(f"{what} {text!r} must not contain '/'")
    return text


def bucket(value: object) -> str:
    """Return a bucket name that may be addressed."""
    return segment(value, "bucket name")


def new_bucket(value: object) -> str:
    """Return a bucket name that the server can create."""
    text = _text(value, "bucket name")
    if not _BUCKET.fullmatch(text):
        raise ValueError(f"bucket name {text!r}: letters, digits, '_' and '-' are allowed")
    return _short(text, "bucket name")


def entry(value: object) -> str:
    """Return an entry name that may be addressed: segments joined by '/'."""
    return _segments(value, "entry name")


def new_entry(value: object) -> str:
    """Return an entry name that the server can create, or may exist for attachments."""
    text = _text(value, "entry name")
    if not _ENTRY.fullmatch(text):
        raise ValueError(
            f"entry name {text!r}: letters, digits, '_' and '-' are allowed, in segments joined"
            " by '/'"
        )
    return _short(text, "entry name")


def file_name(value: object) -> str:
    """Return a file name for a link; '/' separates segments."""
    return _segments(value, "file_name")


def _short(text: str, what: str) -> str:
    for part in text.split("/"):
        if len(part) > MAX_SEGMENT_BYTES:
            raise ValueError(
                f"{what}: a segment has {len(part)} characters, {MAX_SEGMENT_BYTES} are allowed"
            )
    return text


def entry_list(entries: object) -> list[str]:
    """Return one name or pattern, or several, as a list; an empty list stays empty."""
    if isinstance(entries, str):
        entries = [entries]
    if not isinstance(entries, Sequence) or isinstance(entries, (bytes, bytearray)):
        raise TypeError(f"entries must be a str or a list of str, not {type(entries).__name__}")
    return [_text(name, "entry name") if is_pattern(name) else entry(name) for name in entries]


def is_pattern(name: object) -> bool:
    """Tell whether `name` selects by pattern: it holds '*', or begins with '!' or '/'."""
    return isinstance(name, str) and ("*" in name or name.startswith(("!", "/")))


def is_path_pattern(name: str) -> bool:
    """Tell whether `name` is a pattern that only servers from 1.21 on know as one.

    Older ones know "*" at the end of a name; an exclusion or a path selects something else.
    """
    return name.startswith(("!", "/")) or "*" in name[:-1] or ("*" in name and "/" in name)


def is_meta(name: str) -> bool:
    """Tell whether `name` holds attachments; listings and patterns pass over it."""
    return name.endswith(META) and name.rpartition("/")[2] == META


def is_claimed(name: str) -> bool:
    """Tell whether the server's routes take single-record calls on `name` for another call.

    Nested names ending in /batch or /q, and the top-level name "rename" (http-api.md 2.2);
    the batch calls reach them.
    """
    return name == "rename" or name.endswith(("/batch", "/q"))
