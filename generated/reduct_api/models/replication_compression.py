from ..types import OpenEnum


class ReplicationCompression(OpenEnum):
    """How contents are compressed on the way."""

    NONE = "none"
    ZSTD = "zstd"
    GZIP = "gzip"
