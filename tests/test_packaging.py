"""The distribution as users get it: built, installed alone, used, typed, uninstalled."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parent.parent

CLIENT = ["reduct_api", "reduct_async", "reduct_core", "reduct_sync"]
PACKAGES = sorted([*CLIENT, "reduct_local", "reduct_pytest"])

IN_SDIST = [
    ".ci/run",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "examples/demo.py",
    "generated/README.md",
    "generated/config.yml",
    "generated/regenerate.py",
    "generated/templates/endpoint_module.py.jinja",
    "openapi.yaml",
    "pyproject.toml",
    "tests/conftest.py",
    "tests/data/reduct_py_surface.json",
    "tests/local/test_kill.py",
    "tools/server.py",
]
"""What someone needs who builds, regenerates and tests from the source distribution alone."""

RIGHT_USE = """
import reduct_async
import reduct_sync

with reduct_sync.Client("http://127.0.0.1:8383", timeout=1.0) as client:
    bucket: reduct_sync.Bucket = client.bucket("name")
other = reduct_async.Client("http://127.0.0.1:8383").bucket("name").name.upper()
"""

EMBEDDED_USE = """
import reduct_local
import reduct_sync

with reduct_local.Server() as server, reduct_sync.Client(server.url) as client:
    bucket = client.create_bucket("name")
    bucket.write("entry", b"data", timestamp=1)
    print([record.read_all() for record in bucket.query("entry")])
"""

WRONG_USE = """
import reduct_async
import reduct_sync

reduct_sync.Client(8383)
reduct_async.Client("http://127.0.0.1:8383").bucket("name").name.missing()
"""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in `cwd`, away from the checkout and from this interpreter's settings."""
    environment = {key: text for key, text in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def succeed(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed and return what it printed."""
    result = run(*command, cwd=cwd)
    assert result.returncode == 0, f"{command}:\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The source distribution, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    succeed(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return {"wheel": wheel, "sdist": sdist}


@pytest.fixture(params=["wheel", "sdist"])
def python(request: pytest.FixtureRequest, built: dict[str, Path], tmp_path: Path) -> Path:
    """The interpreter of a clean environment with nothing but the distribution installed."""
    succeed(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    succeed(python, "-m", "pip", "install", "--quiet", built[request.param], cwd=tmp_path)
    return python


def test_wheel_holds_the_packages_and_nothing_else(built: dict[str, Path]) -> None:
    names = zipfile.ZipFile(built["wheel"]).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert sorted(top for top in tops if not top.endswith(".dist-info")) == PACKAGES
    assert [f"{name}/py.typed" for name in PACKAGES if f"{name}/py.typed" not in names] == []
    assert [name for name in names if name.endswith("dist-info/licenses/LICENSE")]


def test_sdist_is_complete(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert [name for name in IN_SDIST if name not in names] == []


def test_installed_alone(python: Path, tmp_path: Path) -> None:
    code = f"import {', '.join(CLIENT)}; print(reduct_sync.__file__, reduct_sync.__version__)"
    file, version = succeed(python, "-c", code, cwd=tmp_path).split()
    assert Path(file).is_relative_to(tmp_path / "env")
    assert version in succeed(python, "-m", "pip", "show", "reduct-httpx", cwd=tmp_path)

    without = run(python, "-c", "import reduct_local", cwd=tmp_path)
    assert "pip install 'reduct-httpx[local]'" in without.stderr

    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable"]
    (tmp_path / "right.py").write_text(RIGHT_USE)
    succeed(*mypy, python, "right.py", cwd=tmp_path)
    (tmp_path / "wrong.py").write_text(WRONG_USE)
    report = run(*mypy, python, "wrong.py", cwd=tmp_path).stdout
    assert 'Argument 1 to "Client" has incompatible type "int"' in report
    assert 'has no attribute "missing"' in report
    assert "Found 2 errors" in report

    succeed(python, "-m", "pip", "uninstall", "--quiet", "--yes", "reduct-httpx", cwd=tmp_path)
    for package in PACKAGES:
        gone = run(python, "-c", f"import {package}", cwd=tmp_path)
        assert "ModuleNotFoundError" in gone.stderr


def test_installed_with_the_embedded_server(built: dict[str, Path], tmp_path: Path) -> None:
    succeed(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    succeed(python, "-m", "pip", "install", "--quiet", f"{built['wheel']}[local]", cwd=tmp_path)
    assert succeed(python, "-c", EMBEDDED_USE, cwd=tmp_path) == "[b'data']\n"
    assert "--data" in succeed(tmp_path / "env" / "bin" / "reduct-local", "--help", cwd=tmp_path)
