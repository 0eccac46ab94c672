"""Imports point one way, the core performs no I/O, and only `_io` talks to a transport."""

from pathlib import Path

import pytest

from tests.imports import LAYERS, io_uses, modules_of, transport_calls, wrong_arrows

ROOT = Path(__file__).parent.parent

FOLDERS = {name: ROOT / name for name in LAYERS} | {"reduct_api": ROOT / "generated/reduct_api"}

CLIENT_PACKAGES = ["reduct_api", "reduct_core", "reduct_async", "reduct_sync"]


@pytest.mark.parametrize("package", LAYERS)
def test_imports_point_one_way(package: str) -> None:
    modules = list(modules_of(FOLDERS[package]))
    assert modules
    found = {path: wrong_arrows(source, inside) for path, inside, source in modules}
    assert {path: arrows for path, arrows in found.items() if arrows} == {}


@pytest.mark.parametrize("package", ["reduct_api", "reduct_core"])
def test_shared_packages_perform_no_io(package: str) -> None:
    found = {path: io_uses(source, inside) for path, inside, source in modules_of(FOLDERS[package])}
    assert {path: uses for path, uses in found.items() if uses} == {}


def test_only_io_modules_use_transports() -> None:
    callers = {
        path
        for package in CLIENT_PACKAGES
        for path, _, source in modules_of(FOLDERS[package])
        if transport_calls(source)
    }
    assert callers == {"reduct_async/_io.py", "reduct_sync/_io.py"}


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("reduct_api", "import reduct_core"),
        ("reduct_api.models", "from reduct_core.times import x"),
        ("reduct_core", "from reduct_sync import Client"),
        ("reduct_core", "import reduct_async.client as c"),
        ("reduct_sync", "from reduct_async import Client"),
        ("reduct_async", "from reduct_sync._io import Io"),
        ("reduct_async", "from tests import flavours"),
        ("reduct_async", "import reduct_local"),
        ("reduct_local", "from reduct_core import names"),
        ("reduct_local.api", "from reduct_api.models import BucketInfo"),
        ("reduct_local", "import reduct_sync"),
        ("reduct_pytest", "from reduct_core import times"),
        ("reduct_sync", "import reduct_pytest"),
        ("reduct_core", "def f():\n    import reduct_sync"),
        ("reduct_core", "if TYPE_CHECKING:\n    from reduct_sync import Client"),
    ],
)
def test_wrong_arrows_are_seen(package: str, line: str) -> None:
    assert len(wrong_arrows(line, package)) == 1


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("reduct_api.api.bucket", "from ...types import RequestSpec"),
        ("reduct_api", "import httpx"),
        ("reduct_core", "from reduct_api.models import BucketInfo"),
        ("reduct_core", "from . import times"),
        ("reduct_sync", "from reduct_core import times\nfrom reduct_api import models"),
        ("reduct_async", "from reduct_async._io import Io"),
        ("reduct_local.api", "from reduct_local.errors import ApiError"),
        ("reduct_pytest", "import reduct_async, reduct_local, reduct_sync"),
    ],
)
def test_right_arrows_pass(package: str, line: str) -> None:
    assert wrong_arrows(line, package) == []


@pytest.mark.parametrize(
    "source",
    [
        "import socket",
        "import asyncio.locks",
        "from concurrent import futures",
        "from urllib import request",
        "from urllib.request import urlopen",
        "from urllib.request import getproxies, urlopen",
        "Path('x').read_bytes()",
        "import os\nos.open('x', 0)",
        "from time import sleep",
        "import time\ntime.sleep(1)",
        "with open('x') as file: pass",
        "from anyio import Lock",
    ],
)
def test_io_is_seen(source: str) -> None:
    assert len(io_uses(source, "reduct_core")) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.time_ns()",
        "from urllib.parse import quote",
        "from urllib.request import getproxies",
        "import threading",
        "opened(file)",
    ],
)
def test_harmless_imports_pass(source: str) -> None:
    assert io_uses(source, "reduct_core") == []


@pytest.mark.parametrize(
    "source",
    [
        "self._transport.handle_request(request)",
        "await self._transport.handle_async_request(request)",
        "httpx.Client()",
        "httpx.request('GET', url)",
    ],
)
def test_transport_calls_are_seen(source: str) -> None:
    body = f"async def f(self): {source}"
    assert len(transport_calls(body)) == 1
