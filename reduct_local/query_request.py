"""The JSON body of query creation (`QueryEntry`): types here, meaning in `queries`."""

from collections.abc import Mapping
from dataclasses import dataclass

from reduct_local.errors import ApiError
from reduct_local.integers import U64_MAX

DEFAULT_TTL_S = 60


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """A query as asked for; None where the document says nothing.

    `start` and `stop` are microseconds, `stop` exclusive; `ttl` is seconds. `when` and `ext` are
    the JSON values as they came: they are looked at only once bucket and entry are there.
    """

    remove: bool
    entries: tuple[str, ...] | None = None
    start: int | None = None
    stop: int | None = None
    ttl: int = DEFAULT_TTL_S
    only_metadata: bool = False
    continuous: bool = False
    strict: bool = False
    when: object = None
    ext: object = None


def parse_query(document: Mapping[str, object]) -> QueryRequest:
    """Return the request that a JSON object means; unknown members are ignored.

    Raises ApiError 422 for wrong types. Conditions, extensions and ranges are not checked here.
    """
    ttl = _u64(document, "ttl")
    return QueryRequest(
        remove=_query_type(document) == "REMOVE",
        entries=_entries(document),
        start=_u64(document, "start"),
        stop=_u64(document, "stop"),
        ttl=DEFAULT_TTL_S if ttl is None else ttl,
        only_metadata=_flag(document, "only_metadata"),
        continuous=_flag(document, "continuous"),
        strict=_flag(document, "strict"),
        when=document.get("when"),
        ext=document.get("ext"),
    )


def _query_type(document: Mapping[str, object]) -> str:
    if "query_type" not in document:
        raise ApiError(422, "Invalid JSON: missing field `query_type`")
    value = document["query_type"]
    if value not in ("QUERY", "REMOVE"):
        raise ApiError(422, f"Invalid JSON: unknown variant of `query_type`: {value}")
    return str(value)


def _u64(document: Mapping[str, object], name: str) -> int | None:
    value = document.get(name)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= U64_MAX:
        raise ApiError(422, f"Invalid JSON: `{name}` must be an integer from 0 to 2^64-1")
    return value


def _flag(document: Mapping[str, object], name: str) -> bool:
    value = document.get(name)
    if value is not None and not isinstance(value, bool):
        raise ApiError(422, f"Invalid JSON: `{name}` must be a boolean")
    return bool(value)


def _entries(document: Mapping[str, object]) -> tuple[str, ...] | None:
    value = document.get("entries")
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ApiError(422, "Invalid JSON: `entries` must be an array of strings")
    return tuple(value)
