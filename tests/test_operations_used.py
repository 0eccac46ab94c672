"""Every operation of the document serves a facade, or is left out for a reason."""

import ast
import inspect
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType

import pytest

import reduct_api.models
import reduct_async
import reduct_sync

ROOT = Path(__file__).parent.parent

UNUSED = {
    "create_query_by_parameters": "deprecated by the server: knows no conditions",
    "head_query_by_parameters": "deprecated by the server: knows no conditions",
    "remove_query_by_parameters": "deprecated by the server; misspelt filters remove all",
    "fetch_link": "links are for those who have no client",
    "head_link": "links are for those who have no client",
    "head_alive": "get_alive says the same",
    "head_ready": "get_ready says the same",
    "io_update": "carries a change on to all later records of the entry (B2)",
    "io_remove": "reports an error of one record for all with the same timestamp (T6)",
}
"""Operations that no facade needs, and why."""

NOT_EXPORTED = {
    "ReplicationDiagnostics": "reached through ReplicationDetailInfo, as in reduct-py",
}
"""Models in public signatures or fields that users never make or name."""


def operations() -> set[str]:
    """Return the operations of the generated package."""
    modules = (ROOT / "generated/reduct_api/api").glob("*/*.py")
    return {path.stem for path in modules if path.stem != "__init__"}


def used_operations(sources: Iterable[str]) -> set[str]:
    """Return the operations that modules name as `api.<tag>.<operation>`."""
    return {
        node.attr
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and isinstance(node.value.value, ast.Name)
        and node.value.value.id == "api"
    }


def unaccounted(known: set[str], used: set[str], unused: Mapping[str, str]) -> set[str]:
    """Return operations that are neither used nor listed, or both."""
    return (known - used - unused.keys()) | (used & unused.keys()) | (unused.keys() - known)


@pytest.mark.parametrize("flavour", ["reduct_async", "reduct_sync"])
def test_every_operation_is_used_or_listed(flavour: str) -> None:
    paths = [*(ROOT / flavour).glob("*.py"), *(ROOT / "reduct_core").glob("*.py")]
    used = used_operations(path.read_text() for path in paths)
    assert unaccounted(operations(), used, UNUSED) == set()


def test_what_is_unaccounted_is_seen() -> None:
    used = used_operations(["x = api.server.get_info, api.server.head_alive.build_request()\n"])
    assert used == {"get_info", "head_alive"}
    assert unaccounted({"get_info", "head_alive", "made_up"}, used, {}) == {"made_up"}
    assert unaccounted({"get_info"}, {"get_info"}, {"get_info": "no reason"}) == {"get_info"}
    assert unaccounted({"get_info"}, {"get_info"}, {"gone": "no reason"}) == {"gone"}


def models_in(hint: object) -> set[str]:
    """Return the generated models that a type hint names, also inside lists and unions."""
    own = (
        {hint.__name__}
        if getattr(hint, "__module__", "").startswith("reduct_api.models")
        and isinstance(hint, type)
        else set()
    )
    return own.union(*(models_in(part) for part in typing.get_args(hint)))


def models_of(cls: type) -> set[str]:
    """Return the generated models in the signatures of the public methods of a class."""
    methods = [
        getattr(value, "__wrapped__", value)
        for name, value in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_") or name == "__init__"
    ]
    hints = (typing.get_type_hints(method).values() for method in methods)
    return {model for found in hints for hint in found for model in models_in(hint)}


@pytest.mark.parametrize("package", [reduct_async, reduct_sync], ids=["async", "sync"])
def test_models_of_public_methods_are_exported(package: ModuleType) -> None:
    needed = models_of(package.Client) | models_of(package.Bucket)
    assert {"BucketInfo", "Permissions", "ReplicationMode"} <= needed
    assert needed - set(package.__all__) == set()


@pytest.mark.parametrize("package", [reduct_async, reduct_sync], ids=["async", "sync"])
def test_models_in_fields_of_models_are_exported(package: ModuleType) -> None:
    exported = {
        name
        for name in package.__all__
        if hasattr(getattr(reduct_api.models, name, None), "to_dict")
    }
    needed = {
        model
        for name in exported
        for hint in typing.get_type_hints(getattr(reduct_api.models, name)).values()
        for model in models_in(hint)
    }
    assert needed - set(package.__all__) == NOT_EXPORTED.keys()


def test_a_forgotten_model_is_seen() -> None:
    class Facade:
        def tokens(self) -> list[reduct_api.models.QueryLinkRequest | None]:
            raise AssertionError

    assert models_of(Facade) == {"QueryLinkRequest"}
