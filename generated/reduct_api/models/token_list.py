from collections.abc import Mapping
from typing import Any, Self

from attrs import define, field

from ..types import list_of, parse_object, without_none
from .token import Token


@define(kw_only=True)
class TokenList:
    """The tokens of a server."""

    tokens: list[Token]
    """The tokens, sorted by name."""
    additional_properties: dict[str, Any] = field(init=False, factory=dict, repr=False)
    """Fields that this version does not know, kept as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are None."""
        return self.additional_properties | without_none(
            {"tokens": [item.to_dict() for item in self.tokens]}
        )

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Build from a JSON object; KeyError, TypeError or ValueError if it does not fit."""
        fields = parse_object(source)
        result = cls(tokens=list_of(Token.from_dict)(fields.pop("tokens")))
        result.additional_properties = fields
        return result
