from ..types import OpenEnum


class Status(OpenEnum):
    """Whether a bucket or entry can be used, or is being removed."""

    READY = "READY"
    DELETING = "DELETING"
