"""The generated package is what the document and the templates make of it, and behaves."""

import importlib
import inspect
import pickle
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, get_args
from urllib.parse import unquote

import httpx
import pytest
import regenerate
import yaml
from hypothesis import given
from hypothesis import strategies as st

import reduct_api.api
import reduct_api.models
from reduct_api.api.batch import read_batch
from reduct_api.api.buckets import create_bucket
from reduct_api.api.links import fetch_link
from reduct_api.api.queries import create_query, create_query_by_parameters
from reduct_api.api.records import read_record, remove_record_or_entry, write_record
from reduct_api.api.tokens import get_token
from reduct_api.errors import UnexpectedBody, UnexpectedStatus
from reduct_api.models import (
    BucketSettings,
    QueryEntry,
    QueryId,
    RemovedRecords,
)
from reduct_api.types import Content, RequestSpec, StreamSpec
from tests.document import OPERATIONS, SCHEMAS, Operation, document, minimal

ROOT = Path(__file__).parent.parent

STREAMED = {
    "read_record",
    "head_record",
    "write_batch",
    "read_batch",
    "head_batch",
    "update_batch",
    "remove_batch",
    "io_write",
    "io_read",
    "io_head",
    "io_update",
    "io_remove",
    "fetch_link",
    "head_link",
}
"""Operations whose answer is handed out unread, since its headers or its bytes matter."""


# --- Drift ----------------------------------------------------------------------------------------


def differences(expected: Path, actual: Path) -> list[str]:
    """Name the files that are missing, extra or changed in `actual`."""
    wanted, found = _contents(expected), _contents(actual)
    return sorted(
        [f"missing: {name}" for name in wanted.keys() - found.keys()]
        + [f"extra: {name}" for name in found.keys() - wanted.keys()]
        + [
            f"changed: {name}"
            for name in wanted.keys() & found.keys()
            if wanted[name] != found[name]
        ]
    )


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    destination = tmp_path_factory.mktemp("generated") / "reduct_api"
    regenerate.generate(destination)
    return destination


def test_the_package_is_what_the_document_generates(fresh: Path) -> None:
    assert differences(fresh, regenerate.PRODUCT) == []


@pytest.mark.parametrize(
    ("spoil", "difference"),
    [
        (lambda file: file.write_text(file.read_text() + "\n"), "changed: models/status.py"),
        (lambda file: file.unlink(), "missing: models/status.py"),
        (lambda file: file.with_name("other.py").touch(), "extra: models/other.py"),
    ],
)
def test_drift_is_noticed(
    fresh: Path, tmp_path: Path, spoil: Callable[[Path], object], difference: str
) -> None:
    copied = tmp_path / "reduct_api"
    shutil.copytree(regenerate.PRODUCT, copied)
    spoil(copied / "models" / "status.py")

    assert differences(fresh, copied) == [difference]


def test_a_warning_of_the_generator_keeps_the_package_as_it_was(tmp_path: Path) -> None:
    broken = document()
    content = broken["paths"]["/b/{bucket}"]["post"]["requestBody"]["content"]
    content["text/csv"] = content.pop("application/json")
    source = tmp_path / "openapi.yaml"
    source.write_text(yaml.safe_dump(broken))
    product = tmp_path / "reduct_api"
    product.mkdir()

    with pytest.raises(subprocess.CalledProcessError, match="exit status 1") as caught:
        regenerate.replace(product, source)

    assert "Unsupported content type text/csv" in caught.value.stderr
    assert sorted(tmp_path.iterdir()) == [source, product]


def test_replacing_leaves_nothing_of_the_old_package(fresh: Path, tmp_path: Path) -> None:
    product = tmp_path / "reduct_api"
    product.mkdir()
    (product / "old.py").touch()

    regenerate.replace(product)

    assert differences(fresh, product) == []
    assert list(tmp_path.iterdir()) == [product]


@pytest.mark.parametrize("tool", ["openapi-python-client", "ruff"])
def test_the_generator_is_the_pinned_one(tool: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = [pin for pin in project["optional-dependencies"]["dev"] if pin.startswith(tool + "==")]

    assert pins == [f"{tool}=={version(tool)}"]


def test_the_readme_names_the_version_of_the_generator() -> None:
    readme = (regenerate.HERE / "README.md").read_text()

    assert f"**{version('openapi-python-client')}**" in readme


# --- Requests -------------------------------------------------------------------------------------


def modules() -> dict[str, ModuleType]:
    """Return the module of each operation by its operationId."""
    found = pkgutil.walk_packages(reduct_api.api.__path__, "reduct_api.api.")
    names = [module.name for module in found if not module.ispkg]
    return {name.rpartition(".")[2]: importlib.import_module(name) for name in names}


MODULES = modules()
DECODED = sorted(
    name
    for name, module in MODULES.items()
    if hasattr(module, "parse_response")
    and inspect.signature(module.parse_response).return_annotation is not None
)


def sample_argument(name: str, annotation: Any) -> Any:
    """Return an argument for a parameter of `build_request`."""
    if name == "body" and annotation is Content:
        return b"content"
    kind: Any = next(kind for kind in [*get_args(annotation), annotation] if kind is not None)
    if kind in (str, int, bool):
        return kind(1)
    return kind.from_dict(minimal(SCHEMAS[kind.__name__]))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_a_request_carries_what_the_document_says(operation: Operation) -> None:
    build = MODULES[operation.name].build_request
    arguments = {
        argument.name: sample_argument(argument.name, argument.annotation)
        for argument in inspect.signature(build).parameters.values()
    }

    spec = build(**arguments)

    places = {place: set[str]() for place in ("path", "query", "header")}
    for parameter in operation.parameters:
        places[parameter["in"]].add(parameter["name"])
    if "requestBody" in operation.content:
        places["header"].add("Content-Type")
    assert (spec.method, spec.url) == (operation.method, re.sub("{.*?}", "1", operation.path))
    assert set(spec.params) == places["query"]
    assert set(spec.headers) == places["header"]
    assert all(isinstance(value, str) for value in spec.headers.values())
    assert isinstance(spec, StreamSpec) == (operation.name in STREAMED)
    bodies = [spec.content is not None, spec.json is not None]
    assert any(bodies) == ("requestBody" in operation.content)
    assert not all(bodies)


def test_operations_that_are_handed_out_unread() -> None:
    found = {
        name: inspect.signature(module.build_request).return_annotation is StreamSpec
        for name, module in MODULES.items()
    }

    assert {name for name, streamed in found.items() if streamed} == STREAMED
    assert {name for name in found if hasattr(MODULES[name], "parse_response")} == (
        found.keys() - STREAMED
    )


def test_what_is_not_given_is_not_sent() -> None:
    assert read_record.build_request("b", "e").params == {}
    assert read_record.build_request("b", "e", ts=0).params == {"ts": 0}
    assert remove_record_or_entry.build_request("b", "e", ts=None).params == {}
    assert create_query_by_parameters.build_request("b", "e", continuous=False).params == {
        "continuous": "false"
    }
    assert fetch_link.build_request("f", ct="", s="", i="", n="").headers == {}


def test_an_absent_body_has_no_content_type() -> None:
    spec = create_bucket.build_request("b")

    assert (spec.json, spec.content, spec.headers) == (None, None, {})
    assert create_bucket.build_request("b", body=BucketSettings()).json == {}


def test_entries_and_file_names_keep_their_slashes() -> None:
    assert read_record.build_request("a/b", "a/b").url == "/b/a%2Fb/a/b"
    assert fetch_link.build_request("a/b c", ct="", s="", i="", n="").url == "/links/a/b%20c"
    assert get_token.build_request("a/b?#%").url == "/tokens/a%2Fb%3F%23%25"


@given(st.text(min_size=1), st.text(min_size=1))
def test_names_arrive_as_they_are(bucket: str, entry: str) -> None:
    spec = read_batch.build_request(bucket, entry, q=1)

    request = httpx.Request("GET", "http://host/api/v1" + spec.url, params=spec.params)

    path, _, query = request.url.raw_path.decode().partition("?")
    assert unquote(path) == f"/api/v1/b/{bucket}/{entry}/batch"
    assert path.count("/") == 6 + entry.count("/")
    assert query == "q=1"


@pytest.mark.parametrize("name", [".", "..", "../..", "a/../b", "a/.", "a.b/..c"])
def test_segments_of_dots_are_not_resolved_away(name: str) -> None:
    one = httpx.URL("http://host/api/v1" + get_token.build_request(name).url)
    many = httpx.URL(
        "http://host/api/v1" + fetch_link.build_request(name, ct="", s="", i="", n="").url
    )

    assert unquote(one.raw_path.decode()) == f"/api/v1/tokens/{name}"
    assert unquote(many.raw_path.decode()) == f"/api/v1/links/{name}"


def test_with_headers_replaces_in_any_case() -> None:
    spec = write_record.build_request("b", "e", body=b"", ts=1, x_reduct_content_length=0)

    other = spec.with_headers({"content-TYPE": "image/png", "x-reduct-label-a": "1"})

    assert other.headers == {
        "x-reduct-content-length": "0",
        "content-TYPE": "image/png",
        "x-reduct-label-a": "1",
    }
    assert (other.url, other.params, other.parse) == (spec.url, spec.params, spec.parse)
    assert spec.headers["Content-Type"] == "application/octet-stream"


# --- Answers --------------------------------------------------------------------------------------


def test_a_success_is_decoded() -> None:
    spec = create_query.build_request("b", "e", body=QueryEntry(query_type="QUERY"))

    assert isinstance(spec, RequestSpec)
    assert spec.parse(httpx.Response(200, json={"id": 7})) == QueryId(id=7)
    assert spec.parse(httpx.Response(200, json={"removed_records": 2})) == RemovedRecords(
        removed_records=2
    )


@pytest.mark.parametrize("status", [100, 201, 204, 302, 404, 500, 599])
@pytest.mark.parametrize("name", sorted(MODULES.keys() - STREAMED))
def test_any_other_status_raises(name: str, status: int) -> None:
    with pytest.raises(UnexpectedStatus, match=str(status)) as caught:
        MODULES[name].parse_response(httpx.Response(status, content=b"{}"))

    assert (caught.value.status_code, caught.value.content) == (status, b"{}")


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"null", b"[]", b"{}", b'"text"', b"1", b"\xff", b"[" * 100_000, b"{"],
)
@pytest.mark.parametrize("name", DECODED)
def test_a_body_that_does_not_parse_raises(name: str, content: bytes) -> None:
    with pytest.raises(UnexpectedBody) as caught:
        MODULES[name].parse_response(httpx.Response(200, content=content))

    assert caught.value.content == content
    assert caught.value.__cause__ is not None


def test_an_empty_success_is_none() -> None:
    empty = MODULES.keys() - STREAMED - set(DECODED)

    assert "remove_bucket" in empty
    for name in empty:
        assert MODULES[name].parse_response(httpx.Response(200)) is None


def test_errors_can_be_pickled() -> None:
    status = pickle.loads(pickle.dumps(UnexpectedStatus(404, b"gone")))
    body = pickle.loads(pickle.dumps(UnexpectedBody(b"<html>")))

    assert (status.status_code, status.content, str(status)) == (
        404,
        b"gone",
        "unexpected status 404",
    )
    # The content, which may hold a token, stays out of the text.
    assert (body.content, str(body)) == (b"<html>", "6 bytes that are not the documented JSON")


def test_modules_are_imported_when_they_are_used() -> None:
    """A program that only writes and reads does not wait for the models."""
    code = (
        "import sys, reduct_sync\n"
        "assert 'reduct_api.models.server_info' not in sys.modules\n"
        "assert 'reduct_api.api.buckets.get_bucket' not in sys.modules\n"
        "assert reduct_sync.ServerInfo.__name__ == 'ServerInfo'\n"
        "assert 'reduct_api.models.server_info' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", [reduct_api.api, reduct_api.api.buckets, reduct_api.models])
def test_unknown_names_are_attribute_errors(module: ModuleType) -> None:
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match="no attribute 'made_up'"):
        module.made_up  # noqa: B018
