"""The public names of both flavours: sorted, importable, equal, printed as users import them."""

import importlib.metadata
import inspect
from types import ModuleType

import pytest

import reduct_async
import reduct_sync

PACKAGES = [pytest.param(reduct_async, id="async"), pytest.param(reduct_sync, id="sync")]


def exported_classes(package: ModuleType) -> dict[str, type]:
    """Return the classes that a package exports by their public names."""
    values = {name: getattr(package, name) for name in package.__all__}
    return {name: value for name, value in values.items() if inspect.isclass(value)}


def badly_printed(package: ModuleType, classes: dict[str, type]) -> list[str]:
    """Return the classes that print under a name by which users cannot import them.

    A class of the flavour prints as `reduct_sync.Client`. What both flavours share prints under
    the shared package that defines it.
    """
    shared = ("reduct_api", "reduct_core")
    return [
        name
        for name, value in classes.items()
        if value.__module__.partition(".")[0] not in shared
        and f"{value.__module__}.{value.__qualname__}" != f"{package.__name__}.{name}"
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_names_are_sorted_and_importable(package: ModuleType) -> None:
    assert package.__all__ == sorted(set(package.__all__))
    assert [name for name in package.__all__ if not hasattr(package, name)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_public_is_exported(package: ModuleType) -> None:
    public = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public - set(package.__all__) == set()


def test_both_flavours_export_the_same_names() -> None:
    assert reduct_async.__all__ == reduct_sync.__all__


def test_only_what_the_flavours_define_differs() -> None:
    """A model or an error is the same class in both, so that programs may mix the flavours."""
    ours, theirs = exported_classes(reduct_async), exported_classes(reduct_sync)
    different = {name for name in ours if ours[name] is not theirs[name]}
    defined = {name for name, cls in ours.items() if cls.__module__ == reduct_async.__name__}
    assert different == defined
    assert {"Bucket", "Client", "Record"} <= different


@pytest.mark.parametrize("package", PACKAGES)
def test_classes_print_under_their_public_name(package: ModuleType) -> None:
    assert badly_printed(package, exported_classes(package)) == []
    assert repr(package.Client) == f"<class '{package.__name__}.Client'>"


def test_badly_printed_classes_are_seen() -> None:
    private = type("Client", (), {"__module__": "reduct_sync.client"})
    twin = type("Client", (), {"__module__": "reduct_async"})
    foreign = type("Client", (), {"__module__": "somewhere"})
    good = type("Client", (), {"__module__": "reduct_sync"})
    classes = {"Client": good, "Private": private, "Twin": twin, "Foreign": foreign}
    assert badly_printed(reduct_sync, classes) == ["Private", "Twin", "Foreign"]


@pytest.mark.parametrize("package", PACKAGES)
def test_version_is_that_of_the_distribution(package: ModuleType) -> None:
    assert package.__version__ == importlib.metadata.version("reduct-httpx")
