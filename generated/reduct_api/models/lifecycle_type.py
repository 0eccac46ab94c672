from ..types import OpenEnum


class LifecycleType(OpenEnum):
    """What happens to old records."""

    DELETE = "delete"
    COMPRESS = "compress"
