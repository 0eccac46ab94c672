"""The example of a project with tests runs as its README says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "examples" / "pytest_project"


def run(project: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests of a project, with warnings as errors and without leaving files."""
    # pytest-asyncio warns where it is not set up, and the project does not use it.
    options = ["-W", "error", "-p", "no:asyncio", "-p", "no:trio", "-p", "no:cacheprovider"]
    # These take long to import.
    options += ["-p", "no:schemathesis", "-p", "no:hypothesispytest", "-p", "no:xdist"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=project,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_its_tests_pass() -> None:
    result = run(PROJECT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " 11 passed" in result.stdout


def test_its_tests_find_defects(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project)
    for name, good, bad in (
        ("archive.py", '{"$gt": limit}', '{"$lt": limit}'),
        ("recorder.py", "{429, 503, 507}", "{507}"),
        ("curve.py", '"peak": self.peak', '"top": self.peak'),
    ):
        module = project / "presses" / name
        text = module.read_text()
        assert good in text
        module.write_text(text.replace(good, bad))
        result = run(project)
        assert result.returncode == 1, result.stdout + result.stderr
        assert " failed" in result.stdout
        module.write_text(text)
