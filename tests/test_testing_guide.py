"""The snippets of docs/testing.md are modules of tests that pass as printed."""

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

GUIDE = Path(__file__).parent.parent / "docs" / "testing.md"

SNIPPETS = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def run(pytester: pytest.Pytester, modules: list[str]) -> pytest.RunResult:
    """Run modules of tests in one session, each in a folder of its own, warnings as errors."""
    for number, module in enumerate(modules):
        folder = pytester.mkpydir(f"snippet_{number}")
        (folder / "test_snippet.py").write_text(module)
    without = ["-p", "no:asyncio", "-p", "no:trio", "-p", "no:schemathesis"]
    return pytester.runpytest_subprocess("-W", "error", *without, timeout=120)


def test_snippets_pass(pytester: pytest.Pytester) -> None:
    tests = sum(len(re.findall(r"^(?:async )?def test_", text, re.M)) for text in SNIPPETS)
    assert len(SNIPPETS) == 7
    assert tests == 8
    run(pytester, SNIPPETS).assert_outcomes(passed=tests)


def test_a_wrong_snippet_is_seen(pytester: pytest.Pytester) -> None:
    wrong = SNIPPETS[0].replace('b"180"', 'b"181"')
    run(pytester, [wrong]).assert_outcomes(failed=1)
