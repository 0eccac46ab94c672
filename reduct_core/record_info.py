"""What is known of a record besides its payload; the base of both flavours' Record."""

from datetime import datetime

from .headers import RecordHead
from .times import to_datetime, to_local_datetime


class RecordInfo:
    """Metadata of a record."""

    __slots__ = ("_head", "last")

    def __init__(self, head: RecordHead, last: bool):
        self._head = head
        self.last = last
        """Whether this was the last record of its query when the server answered; not set
        where the end came with an answer of its own."""

    @property
    def timestamp(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        return self._head.timestamp

    @property
    def entry(self) -> str:
        """Name of the entry."""
        return self._head.entry

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return self._head.size

    @property
    def content_type(self) -> str:
        """Type of the payload; ``application/octet-stream`` unless stored otherwise."""
        return self._head.content_type

    @property
    def labels(self) -> dict[str, str]:
        """Labels; changing the dict changes nothing on the server.

        ``Bucket.read`` gets their names from HTTP headers, so in lower case.
        """
        return self._head.labels

    @property
    def computed(self) -> dict[str, str]:
        """Labels that extensions made for this answer; their names begin with '@'."""
        return self._head.computed

    @property
    def time(self) -> datetime:
        """The timestamp as an aware UTC datetime, exact to the microsecond.

        Raises ValueError beyond the year 9999.
        """
        return to_datetime(self.timestamp)

    def get_datetime(self) -> datetime:
        """Return the timestamp as a naive local datetime, as reduct-py does; see `time`."""
        return to_local_datetime(self.timestamp)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__module__}.{type(self).__qualname__} {self.entry!r}"
            f" timestamp={self.timestamp} size={self.size}>"
        )
