"""Regenerate the package `reduct_api` from openapi.yaml.

Run as a script it replaces `generated/reduct_api`; the drift test calls `generate` with a
temporary folder.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent / "openapi.yaml"
PRODUCT = HERE / "reduct_api"


def generate(destination: Path, document: Path = DOCUMENT) -> None:
    """Write the package into `destination`, which must not exist; any warning is an error.

    Raises subprocess.CalledProcessError, which holds the generator's output.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "openapi.json")
        source.write_text(json.dumps(with_descriptions(yaml.safe_load(document.read_text()))))
        command = [sys.executable, "-m", "openapi_python_client", "generate"]
        command += ["--path", str(source), "--output-path", str(destination), "--meta", "none"]
        command += ["--config", str(HERE / "config.yml")]
        command += ["--custom-template-path", str(HERE / "templates"), "--fail-on-warning"]
        subprocess.run(command, check=True, capture_output=True, text=True, env=_environment())
    (destination / "py.typed").touch()


def with_descriptions(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the descriptions of parameters and headers where they are read.

    The generator takes the description of a parameter from its schema only, and does not follow
    the references of headers.
    """
    for node in list(_nodes(document)):
        if "in" in node and "schema" in node:
            schema = _resolved(document, node["schema"])
            node["schema"] = {**schema, "description": node["description"]}
        if "headers" in node and "description" in node:
            headers = node["headers"].items()
            node["headers"] = {name: _resolved(document, header) for name, header in headers}
    return document


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value:
        if isinstance(child, dict | list):
            yield from _nodes(child)


def _resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    for key in value.get("$ref", "#").split("/")[1:]:
        document = document[key]
    return document if "$ref" in value else value


def _environment() -> dict[str, str]:
    # The hooks call ruff by name: the one that is installed beside this interpreter.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path}


def replace(product: Path = PRODUCT, document: Path = DOCUMENT) -> None:
    """Put a new package in the place of `product`, which stays as it was if that fails."""
    with tempfile.TemporaryDirectory(dir=product.parent) as folder:
        fresh = Path(folder, product.name)
        generate(fresh, document)
        shutil.rmtree(product, ignore_errors=True)
        fresh.rename(product)


def main() -> None:
    """Regenerate, or exit with what the generator has to say."""
    try:
        replace()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.stdout}{error.stderr}")


if __name__ == "__main__":
    main()
