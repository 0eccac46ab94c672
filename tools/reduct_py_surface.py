"""Print the public surface of the installed reduct-py as JSON.

Run it with the interpreter of an environment that holds reduct-py:

    python -m venv /tmp/reference && /tmp/reference/bin/pip install reduct-py==1.21.0
    /tmp/reference/bin/python tools/reduct_py_surface.py > tests/data/reduct_py_surface.json

Listed are, per public class: methods with their parameters (name, default as source text), the
keywords that `**kwargs` takes by the docstring, the attributes of instances, and the members of
enums.
"""

import dataclasses
import enum
import inspect
import json
import re
import sys
from importlib import import_module
from typing import Any

SPECIAL_METHODS = {"__init__", "__len__", "__aenter__", "__aexit__"}
"""Methods that a user calls without writing their names."""


def surface(package: Any) -> dict[str, Any]:
    """Describe every class that the package exports."""
    classes = {name: value for name, value in vars(package).items() if inspect.isclass(value)}
    return {
        "version": package.__version__,
        "classes": {name: describe_class(classes[name]) for name in sorted(classes)},
    }


def describe_class(cls: type) -> dict[str, Any]:
    """Describe one class; only what reduct-py itself defines counts, not what pydantic adds."""
    own: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.partition(".")[0] == "reduct":
            own |= vars(base)
    description: dict[str, Any] = {}
    if issubclass(cls, enum.Enum):
        description["members"] = {member.name: member.value for member in cls}
        return description
    if hasattr(cls, "model_fields"):
        description["fields"] = describe_fields(cls)
        return description
    attributes = [name for name, value in own.items() if isinstance(value, property)]
    attributes += re.findall(r"^ +self\.([a-z]\w*)\b.*=", source_of_init(own), re.MULTILINE)
    if dataclasses.is_dataclass(cls):
        attributes += [field.name for field in dataclasses.fields(cls)]
    description["attributes"] = sorted(attributes)
    description["methods"] = {
        name: describe_method(inspect.unwrap(function), function)
        for name, value in sorted(own.items())
        if inspect.isfunction(function := getattr(value, "__func__", value))
        and (not name.startswith("_") or name in SPECIAL_METHODS)
    }
    return description


def describe_fields(model: Any) -> dict[str, bool]:
    """Return which fields a model has and whether each is required.

    Fields of a model that is not exported itself follow as dotted paths, never required.
    """
    fields: dict[str, bool] = {}
    for name, field in model.model_fields.items():
        fields[name] = field.is_required()
        inner = field.annotation
        if hasattr(inner, "model_fields") and not hasattr(import_module("reduct"), inner.__name__):
            fields |= {f"{name}.{path}": False for path in describe_fields(inner)}
    return fields


def source_of_init(own: dict[str, Any]) -> str:
    """Return the source of the constructor, "" where there is none to read."""
    constructor = own.get("__init__")
    return (
        ""
        if constructor is None or "__dataclass_fields__" in own
        else inspect.getsource(constructor)
    )


def describe_method(inner: Any, outer: Any) -> dict[str, Any]:
    """Describe one method; `outer` is what decorators made of `inner`."""
    if inspect.iscoroutinefunction(inner):
        kind = "coroutine"
    elif inspect.isasyncgenfunction(inner):
        kind = "iterator" if inner is outer else "context manager"
    else:
        kind = "plain"
    parameters = [
        parameter
        for parameter in inspect.signature(inner).parameters.values()
        if parameter.name != "self" and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    return {
        "kind": kind,
        "parameters": [
            {"name": parameter.name, "default": default_text(parameter)} for parameter in parameters
        ],
        "keywords": documented_keywords(inspect.getdoc(inner) or ""),
    }


def default_text(parameter: inspect.Parameter) -> str | None:
    """Return the default as source text, None if the parameter is required."""
    return None if parameter.default is parameter.empty else repr(parameter.default)


def documented_keywords(docstring: str) -> list[str]:
    """Return the names in the section `Keyword Args` or `Kwargs` of a docstring."""
    section = re.search(r"^(?:Keyword Args|Kwargs):\n((?:    .*\n?|\n)*)", docstring, re.MULTILINE)
    if section is None:
        return []
    return re.findall(r"^    (\w+) ?(?:\(.*\))?:", section[1], re.MULTILINE)


if __name__ == "__main__":
    json.dump(surface(import_module("reduct")), sys.stdout, indent=1)
    print()
