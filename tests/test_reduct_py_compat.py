"""Programs written for reduct-py 1.21 work here: its names, arguments and attributes are kept.

`tests/data/reduct_py_surface.json` is made from reduct-py itself (tools/reduct_py_surface.py).
"""

import copy
import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any, get_args, get_origin, get_type_hints

import attrs
import pytest

import reduct_async
import reduct_sync
from tests.flavours import Flavour

SURFACE = json.loads((Path(__file__).parent / "data" / "reduct_py_surface.json").read_text())

REFUSED = {
    ("Client.__init__", "session"): "transport=",
    **{
        ("Bucket.remove_query", keyword): "remove_batch"
        for keyword in ("each_n", "each_s", "limit", "include", "exclude")
    },
}
"""Keywords that are a TypeError, and the cure that its message names.

`session` is aiohttp's. The filters of a removal are ignored by the server, which would remove
too much.
"""

DEPARTURES = {
    "Bucket.__init__: parameters": "buckets come from a client, in reduct-py too",
    "ReductError.__init__: parameters": "the status is called as its attribute, status_code",
    "Record.__init__: parameters": "records come from a bucket, in reduct-py too",
}
"""What is not carried over, and why. An entry that is not a departure any more is a failure."""

CONSTRUCTED = {
    "BucketSettings",
    "LifecycleSettings",
    "Permissions",
    "ReplicationSettings",
    "TokenCreateRequest",
}
"""Models that users construct; only what reduct-py requires may be required here."""

PACKAGES = [pytest.param(reduct_async, id="async"), pytest.param(reduct_sync, id="sync")]


def problems(surface: dict[str, Any], package: ModuleType) -> Iterator[str]:
    """Yield every way in which `package` lacks something of the surface."""
    for name, theirs in surface["classes"].items():
        ours = getattr(package, name, None)
        if ours is None or name not in package.__all__:
            yield f"{name}: missing"
            continue
        for member, value in theirs.get("members", {}).items():
            if getattr(getattr(ours, member, None), "value", None) != value:
                yield f"{name}.{member}: missing"
        for path, required in theirs.get("fields", {}).items():
            yield from field_problems(name, ours, path, required)
        for attribute in theirs.get("attributes", []):
            if attribute not in instance_attributes(ours):
                yield f"{name}.{attribute}: missing"
        for method, description in theirs.get("methods", {}).items():
            yield from method_problems(name, ours, method, description, package is reduct_async)


def field_problems(name: str, model: Any, path: str, required: bool) -> Iterator[str]:
    """Yield what is wrong with the field of a model at a dotted path."""
    *outer, last = path.split(".")
    for part in outer:
        (model,) = set(get_args(hint := get_type_hints(model)[part])) - {NoneType} or {hint}
    field = attrs.fields_dict(model).get(last)
    if field is None and last not in dir(model):
        yield f"{name}.{path}: missing"
    elif field is not None and name in CONSTRUCTED and not required and is_required(field):
        yield f"{name}.{path}: required"


def is_required(field: Any) -> bool:
    return bool(field.init and field.default is attrs.NOTHING)


def instance_attributes(cls: type) -> set[str]:
    """Return the names of properties, methods, and attributes that methods set on `self`."""
    own = [item for base in cls.__mro__ for item in vars(base).items()]
    sources = (inspect.getsource(value) for _, value in own if inspect.isfunction(value))
    assigned = (re.findall(r"\bself\.(\w+)(?:: [^=\n]+)? = ", source) for source in sources)
    return {name for name, _ in own}.union(*assigned)


def method_problems(
    name: str, cls: type, method: str, theirs: dict[str, Any], is_async: bool
) -> Iterator[str]:
    """Yield what keeps a call of reduct-py's method from working with ours."""
    label = f"{name}.{method}"
    # Enter and exit have the flavour's own names and no arguments that users write.
    if method in {"__aenter__", "__aexit__"}:
        if not hasattr(cls, method if is_async else method.replace("__a", "__")):
            yield f"{label}: missing"
        return
    ours = getattr(cls, method, None)
    if ours is None:
        yield f"{label}: missing"
        return
    if theirs["kind"] not in kinds(ours, is_async):
        yield f"{label}: no {theirs['kind']}"
    parameters = list(inspect.signature(ours).parameters.values())
    positional = [
        {"name": one.name, "default": None if one.default is one.empty else repr(one.default)}
        for one in parameters
        if one.name != "self" and one.kind is one.POSITIONAL_OR_KEYWORD
    ]
    if positional[: len(theirs["parameters"])] != theirs["parameters"]:
        yield f"{label}: parameters"
    if any(one.kind in {one.VAR_POSITIONAL, one.VAR_KEYWORD} for one in parameters):
        yield f"{label}: swallows arguments"
    for keyword in theirs["keywords"]:
        accepted = {one.name for one in parameters}
        if keyword not in accepted and (label, keyword) not in REFUSED:
            yield f"{label}: no keyword {keyword!r}"


def kinds(function: Any, is_async: bool) -> set[str]:
    """Return how the result of a method can be used: awaited, iterated, entered, or plainly.

    In the blocking flavour the words mean the blocking counterparts.
    """
    iterate, enter = ("__anext__", "__aenter__") if is_async else ("__next__", "__enter__")
    is_generator = inspect.isasyncgenfunction if is_async else inspect.isgeneratorfunction
    inner = inspect.unwrap(function)
    if is_generator(inner):
        return {"iterator" if inner is function else "context manager"}
    if inspect.iscoroutinefunction(function):
        return {"coroutine"} if is_async else set()
    returned = get_type_hints(function).get("return", object)
    returned = get_origin(returned) or returned
    found = {"plain"} if is_async else {"plain", "coroutine"}
    found |= {"iterator"} if hasattr(returned, iterate) else set()
    return found | ({"context manager"} if hasattr(returned, enter) else set())


@pytest.mark.parametrize("package", PACKAGES)
def test_surface_of_reduct_py_is_kept(package: ModuleType) -> None:
    assert sorted(problems(SURFACE, package)) == sorted(DEPARTURES)


async def test_refused_keywords_name_the_cure(flavour: Flavour) -> None:
    nowhere = "http://127.0.0.1:1"
    bucket = flavour.client(nowhere).bucket("bucket")
    calls: dict[str, Callable[..., Any]] = {
        "Client.__init__": lambda **refused: flavour.client(nowhere, **refused),
        "Bucket.remove_query": lambda **refused: bucket.remove_query("entry", 1, 2, **refused),
    }
    for (method, keyword), cure in REFUSED.items():
        with pytest.raises(TypeError, match=cure):
            await calls[method](**{keyword: object()})


def add_class(classes: dict[str, Any]) -> None:
    classes["Made"] = {}


def add_member(classes: dict[str, Any]) -> None:
    classes["QuotaType"]["members"]["SOFT"] = "SOFT"


def change_member(classes: dict[str, Any]) -> None:
    classes["QuotaType"]["members"]["HARD"] = "hard"


def add_field(classes: dict[str, Any]) -> None:
    classes["BucketInfo"]["fields"]["made"] = True


def add_inner_field(classes: dict[str, Any]) -> None:
    classes["ReplicationDetailInfo"]["fields"]["diagnostics.hourly.made"] = False


def loosen_field(classes: dict[str, Any]) -> None:
    classes["ReplicationSettings"]["fields"]["src_bucket"] = False


def add_attribute(classes: dict[str, Any]) -> None:
    classes["Record"]["attributes"].append("made")


def add_method(classes: dict[str, Any]) -> None:
    classes["Bucket"]["methods"]["made"] = classes["Bucket"]["methods"]["info"]


def add_parameter(classes: dict[str, Any]) -> None:
    classes["Bucket"]["methods"]["info"]["parameters"].append({"name": "made", "default": None})


def swap_parameters(classes: dict[str, Any]) -> None:
    classes["Bucket"]["methods"]["query"]["parameters"].reverse()


def change_default(classes: dict[str, Any]) -> None:
    classes["Client"]["methods"]["create_bucket"]["parameters"][2]["default"] = "True"


def add_keyword(classes: dict[str, Any]) -> None:
    classes["Bucket"]["methods"]["query"]["keywords"].append("made")


def change_kind(classes: dict[str, Any]) -> None:
    classes["Record"]["methods"]["get_datetime"]["kind"] = "iterator"


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (add_class, "Made: missing"),
        (add_member, "QuotaType.SOFT: missing"),
        (change_member, "QuotaType.HARD: missing"),
        (add_field, "BucketInfo.made: missing"),
        (add_inner_field, "ReplicationDetailInfo.diagnostics.hourly.made: missing"),
        (loosen_field, "ReplicationSettings.src_bucket: required"),
        (add_attribute, "Record.made: missing"),
        (add_method, "Bucket.made: missing"),
        (add_parameter, "Bucket.info: parameters"),
        (swap_parameters, "Bucket.query: parameters"),
        (change_default, "Client.create_bucket: parameters"),
        (add_keyword, "Bucket.query: no keyword 'made'"),
        (change_kind, "Record.get_datetime: no iterator"),
    ],
)
def test_what_is_missing_is_seen(package: ModuleType, change: Any, expected: str) -> None:
    surface = copy.deepcopy(SURFACE)
    change(surface["classes"])
    assert set(problems(surface, package)) - set(problems(SURFACE, package)) == {expected}
