"""The scripts in the texts for people run as printed, against a server.

The printed address is kept: the proxy setting of the environment leads requests for it to the
server of this test.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import Server

ROOT = Path(__file__).parent.parent

PRINTED_URL = "http://127.0.0.1:8383"

OPENING = f'''
import reduct_sync as reduct

client = reduct.Client("{PRINTED_URL}")
bucket = client.create_bucket("pieces", exist_ok=True)
'''
"""The first lines of the first script, from which the pieces go on."""


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def scripts(text: str) -> list[str]:
    """Return the blocks of Python that are whole scripts: they make a client of their own."""
    return [block for block in blocks(text, "python") if "Client(" in block]


def pieces(text: str) -> list[str]:
    """Return the blocks of Python that go on from the first script."""
    return [block for block in blocks(text, "python") if "Client(" not in block]


def run(server: Server, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script as a user would, in the checkout, with warnings as errors."""
    path = folder / "script.py"
    path.write_text(script)
    inherited = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    proxy = {"http_proxy": server.url} if PRINTED_URL in script else {}
    return subprocess.run(
        [sys.executable, "-W", "error", path],
        cwd=ROOT,
        env=inherited | proxy,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("number", [0, 1], ids=["blocking", "async"])
def test_first_scripts(server: Server, tmp_path: Path, number: int) -> None:
    script = scripts((ROOT / "README.md").read_text())[number]
    result = run(server, script, tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "{'good': 'true', 'unit': 'mm'} b'\\x00\\x01\\x02'" in result.stdout


@pytest.mark.parametrize("name", ["README.md", "docs/migration.md"])
def test_pieces(server: Server, tmp_path: Path, name: str) -> None:
    script = "\n".join([OPENING, *pieces((ROOT / name).read_text()), "client.close()"])
    result = run(server, script, tmp_path)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout


def test_first_scripts_are_the_examples() -> None:
    """The files are checked for style and types, and so are the texts with them."""
    names = ["first_sync.py", "first_async.py"]
    files = [(ROOT / "examples" / name).read_text() for name in names]
    assert scripts((ROOT / "README.md").read_text())[:2] == files


def test_the_embedded_server(server: Server, tmp_path: Path) -> None:
    script = scripts((ROOT / "README.md").read_text())[2]
    result = run(server, script, tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Status 503: ")
    assert result.stdout.endswith("[b'21.5']\n")


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("bucket.writ('entry', b'')", "AttributeError"),
        ("import warnings; warnings.warn('deprecated')", "UserWarning"),
        ("assert not list(bucket.query('nothing'))", None),
        ("assert list(bucket.query('nothing'))", "AssertionError"),
    ],
)
def test_a_piece_that_does_not_run_is_noticed(
    server: Server, tmp_path: Path, script: str, complaint: str | None
) -> None:
    result = run(server, f"{OPENING}{script}\nclient.close()", tmp_path)
    assert (result.returncode == 0) == (complaint is None)
    assert complaint is None or complaint in result.stderr


def test_blocks_are_found_as_printed() -> None:
    text = "a\n```python\nClient()\n```\nb\n```sh\nls\n```\n\n```python\nx = 1\n\ny = 2\n```\n"
    assert scripts(text) == ["Client()\n"]
    assert pieces(text) == ["x = 1\n\ny = 2\n"]
