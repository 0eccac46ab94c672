"""What a client writes while its queries read, which is no part of them.

The server reads what was there when a query began. A query that is begun anew on the way would
find more: a loop that writes ahead of itself would never end.
"""

from collections.abc import Iterable


class Since:
    """The timestamps that were written to an entry since a query of it began."""

    __slots__ = ("bucket", "entry", "times")

    def __init__(self, bucket: str, entry: str):
        self.bucket = bucket
        self.entry = entry
        self.times: set[int] = set()


class OwnWrites:
    """The books of one client. May be used from several threads."""

    def __init__(self) -> None:
        self._open: set[Since] = set()

    def watch(self, bucket: str, entry: str) -> Since:
        """Return what will hold the timestamps written from now on; `forget` it at the end."""
        since = Since(bucket, entry)
        self._open.add(since)
        return since

    def forget(self, since: Since) -> None:
        """Note no more."""
        self._open.discard(since)

    def note(self, bucket: str, keys: Iterable[tuple[str, int]]) -> None:
        """Note records that were stored, by entry and timestamp."""
        if not self._open:
            return
        for since in tuple(self._open):
            if since.bucket == bucket:
                since.times.update(timestamp for entry, timestamp in keys if entry == since.entry)
