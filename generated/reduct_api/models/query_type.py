from ..types import OpenEnum


class QueryType(OpenEnum):
    """Whether records are read or removed."""

    QUERY = "QUERY"
    REMOVE = "REMOVE"
