"""The examples in the docstrings of `reduct_core` are true."""

import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

import reduct_core

MODULES = [f"reduct_core.{found.name}" for found in pkgutil.iter_modules(reduct_core.__path__)]


def results(module: ModuleType) -> doctest.TestResults:
    return doctest.testmod(module, report=False, verbose=False)


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str) -> None:
    assert results(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    assert sum(results(importlib.import_module(name)).attempted for name in MODULES) >= 4


def test_a_wrong_example_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    module = ModuleType("wrong", ">>> 1 + 1\n3\n")
    assert results(module).failed == 1
    assert "Expected:\n    3" in capsys.readouterr().out
