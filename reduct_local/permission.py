"""What a request asks of the caller's token."""

from enum import Enum


class Permission(Enum):
    """The classes of permissions; READ and WRITE are of one bucket."""

    ANY = "any"
    READ = "read"
    WRITE = "write"
    FULL = "full"
