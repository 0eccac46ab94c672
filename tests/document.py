"""openapi.yaml as data, for the tests of the document and of what is generated from it."""

import copy
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import regenerate
import yaml


@functools.cache
def _document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(regenerate.DOCUMENT.read_text())
    return loaded


def document() -> dict[str, Any]:
    """Return the document, for the caller to change."""
    return copy.deepcopy(_document())


def resolved(loaded: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference points to, or the value itself if it is none."""
    for key in value.get("$ref", "#").split("/")[1:]:
        loaded = loaded[key]
    return loaded if "$ref" in value else value


class Operation(NamedTuple):
    """An operation of the document, with its own parameters and those of its path."""

    name: str
    method: str
    path: str
    parameters: list[dict[str, Any]]
    content: dict[str, Any]


def operations(loaded: dict[str, Any]) -> Iterator[Operation]:
    """Yield the operations of a document."""
    for path, item in loaded["paths"].items():
        for method, content in item.items():
            if method != "parameters":
                references = item.get("parameters", []) + content.get("parameters", [])
                parameters = [resolved(loaded, reference) for reference in references]
                yield Operation(content["operationId"], method.upper(), path, parameters, content)


def minimal(schema: dict[str, Any]) -> Any:
    """Return the smallest JSON value that fits a schema."""
    if "$ref" in schema:
        return minimal(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    if is_nullable(schema):
        return None
    if "allOf" in schema:
        return minimal(schema["allOf"][0])
    if schema["type"] == "object":
        return {name: minimal(schema["properties"][name]) for name in schema.get("required", [])}
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("format") == "date-time":
        return "2026-01-02T03:04:05Z"
    return {"string": "1", "integer": 1, "boolean": True, "array": []}[schema["type"]]


def is_nullable(schema: dict[str, Any]) -> bool:
    return "null" in schema.get("type", []) or {"type": "null"} in schema.get("anyOf", [])


SCHEMAS: dict[str, Any] = document()["components"]["schemas"]
OPERATIONS = list(operations(document()))
