from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import list_of, nullable, parse_bool, parse_int, parse_object, parse_str, without_none
from .query_type import QueryType


@define(kw_only=True)
class QueryEntry:
    """Which records are read or removed.

    Unknown fields are ignored, so check their spelling.
    """

    query_type: QueryType = field(converter=QueryType)
    """QUERY to read, REMOVE to remove."""
    entries: list[str] | None = None
    """Names and patterns of entries; only for queries over several entries and for links. `*`
    stands for letters within a segment, or at the end of a name without slashes for
    anything; `**` for any number of segments; `!` excludes. Absent, empty or only
    exclusions: all entries but attachments.
    """
    start: int | None = None
    """First timestamp in microseconds, included; the oldest record by default. Later than
    `stop` is refused (422), in a query over several entries if it is so for any of them,
    also by default: so give both, 0 and 18446744073709551615 will do.
    """
    stop: int | None = None
    """Timestamp in microseconds to stop at, excluded; by default after the record that is the
    latest now. Ignored by a continuous query.
    """
    ttl: int | None = None
    """Seconds for which the query is kept after the start of its last read; 60 by default. A
    continuous query over several entries needs more than the 5 s that an idle read takes.
    """
    only_metadata: bool | None = None
    """Whether contents are left out; such a query must be read with HEAD: to a GET the server
    closes the connection without an answer. False by default.
    """
    continuous: bool | None = None
    """Whether the query goes on with records written later; new ones are looked for every
    quarter of `ttl`. False by default, and for REMOVE.
    """
    when: Any = None
    """A condition on labels, usually an object, also a boolean, a number or a text, and
    directives that begin with `#`; null selects everything.
    """
    strict: bool | None = None
    """Whether a condition that cannot be evaluated ends the query with an error, instead of
    passing the record over. False by default.
    """
    ext: Any = None
    """Extensions to run on the records, as an object with one key per extension or an array of
    such objects; ignored by REMOVE.
    """
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {
                "query_type": self.query_type.value,
                "entries": self.entries,
                "start": self.start,
                "stop": self.stop,
                "ttl": self.ttl,
                "only_metadata": self.only_metadata,
                "continuous": self.continuous,
                "when": self.when,
                "strict": self.strict,
                "ext": self.ext,
            }
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(
            query_type=QueryType(fields.pop("query_type")),
            entries=nullable(list_of(parse_str))(fields.pop("entries", None)),
            start=nullable(parse_int)(fields.pop("start", None)),
            stop=nullable(parse_int)(fields.pop("stop", None)),
            ttl=nullable(parse_int)(fields.pop("ttl", None)),
            only_metadata=nullable(parse_bool)(fields.pop("only_metadata", None)),
            continuous=nullable(parse_bool)(fields.pop("continuous", None)),
            when=fields.pop("when", None),
            strict=nullable(parse_bool)(fields.pop("strict", None)),
            ext=fields.pop("ext", None),
        )
        result.additional_properties = fields
        return result
