"""Type checkers see the right types of every public call; the table is `typing_example.py`."""

import inspect
import re
from pathlib import Path
from types import ModuleType

import mypy.api
import pytest

import reduct_async
import reduct_sync

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "tests" / "typing_example.py"

WRONG_USE = re.compile(r"  # type: ignore\[([a-z-]+)\]$", re.MULTILINE)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The errors of mypy for the example and for two copies that have errors, by module."""
    folder = tmp_path_factory.mktemp("typing")
    text = EXAMPLE.read_text()
    (folder / "as_it_is.py").write_text(text)
    (folder / "bare.py").write_text(WRONG_USE.sub("", text))
    assert text.count("client.list(), list[BucketInfo]") == 2
    changed = text.replace("client.list(), list[BucketInfo]", "client.list(), list[ServerInfo]")
    changed = changed.replace("# type: ignore[call-arg]", "# type: ignore[return-value]")
    (folder / "changed.py").write_text(changed)
    arguments = ["--config-file", str(ROOT / "pyproject.toml"), "--no-error-summary"]
    arguments += ["--cache-dir", str(ROOT / ".mypy_cache"), str(folder)]
    output, faults, _ = mypy.api.run(arguments)
    assert faults == ""
    errors = [line for line in output.splitlines() if " error: " in line]
    return {
        module: [line for line in errors if f"{module}.py:" in line]
        for module in ("as_it_is", "bare", "changed")
    }


def test_the_table_is_right(reports: dict[str, list[str]]) -> None:
    assert reports["as_it_is"] == []


def test_wrong_uses_are_errors(reports: dict[str, list[str]]) -> None:
    """Each one where it is noted, of the kind noted, and no others."""
    lines = EXAMPLE.read_text().splitlines()
    noted = [
        (number, match[1])
        for number, line in enumerate(lines, 1)
        if (match := WRONG_USE.search(line))
    ]
    # One wrong `with` is two errors: no __enter__, no __exit__.
    found = {
        (int(match[1]), match[2])
        for line in reports["bare"]
        if (match := re.search(r"bare\.py:(\d+): error: .*\[([a-z-]+)\]$", line))
    }
    assert len(reports["bare"]) >= len(found)
    assert sorted(found) == noted
    assert len(noted) > 30


def test_a_wrong_table_is_seen(reports: dict[str, list[str]]) -> None:
    text = "\n".join(reports["changed"])
    assert len(re.findall(r"\[assert-type\]", text)) == 2
    assert "[unused-ignore]" in text


VARIABLES = {
    "Client": ("client_", "client"),
    "Bucket": ("bucket_", "bucket|manager"),
    "Subscription": ("records_", "subscription"),
    "Record": ("records_|metadata", "record"),
    "Batch": ("batches", "ours|several"),
    "RecordBatch": ("batches", "ours|several"),
}
"""In which functions of the example the members of a class stand, and after which names."""


@pytest.mark.parametrize("package", [reduct_async, reduct_sync])
@pytest.mark.parametrize("name", VARIABLES)
def test_the_table_is_complete(package: ModuleType, name: str) -> None:
    """Every public method and attribute is in it, in both flavours."""
    functions, variables = VARIABLES[name]
    text = functions_of(functions, package.__name__.removeprefix("reduct"))
    used = set(re.findall(rf"\b(?:{variables})\.(\w+)", text))
    assert public(getattr(package, name)) - used == set()


def functions_of(prefixes: str, flavour: str) -> str:
    """Return the code of the example's functions of a flavour, or of both."""
    return "\n".join(
        part
        for part in re.split(r"^(?:async )?def ", EXAMPLE.read_text(), flags=re.MULTILINE)
        if re.match(rf"({prefixes})(\(|{flavour.strip('_')}\()", part)
    )


def public(cls: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(cls) if not name.startswith("_")}


def test_gaps_of_the_table_are_seen() -> None:
    assert {"query", "name", "read"} <= public(reduct_sync.Bucket)
    assert "await" not in functions_of("client_", "sync")
    assert "reduct_sync" not in functions_of("client_", "async")
    assert functions_of("metadata", "sync") == functions_of("metadata", "async") != ""
