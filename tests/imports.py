"""Finds what modules import, and holds it against the one direction that imports may take."""

import ast
from collections.abc import Iterator
from pathlib import Path

LAYERS = {
    "reduct_api": set[str](),
    "reduct_core": {"reduct_api"},
    "reduct_async": {"reduct_api", "reduct_core"},
    "reduct_sync": {"reduct_api", "reduct_core"},
    # A second reading of the API, independent of the first.
    "reduct_local": set[str](),
    "reduct_pytest": {"reduct_async", "reduct_local", "reduct_sync"},
}
"""Which of our packages each package may import, besides itself."""

IO_MODULES = {
    "aiohttp",
    "anyio",
    "asyncio",
    "concurrent",
    "http",
    "multiprocessing",
    "queue",
    "requests",
    "sched",
    "select",
    "selectors",
    "signal",
    "socket",
    "socketserver",
    "subprocess",
    "trio",
    "urllib.request",
}
"""Modules that perform or wait for I/O; the shared core needs none of them.

`threading` is not among them: what threads share needs a lock. Nor is `ssl`, whose contexts are
settings.
"""

SETTINGS = {"urllib.request.getproxies", "urllib.request.proxy_bypass"}
"""What such modules offer besides: these read the environment."""

WAITING = {"time.sleep", "open", "input", "os.open", "io.open"}
"""Functions that wait, in modules that are harmless otherwise."""

FILE_METHODS = {"open", "read_bytes", "read_text", "write_bytes", "write_text"}
"""Methods of paths that read and write files."""

TRANSPORT_CALLS = {"handle_request", "handle_async_request"}
"""Methods of httpx transports; only the modules `_io` call them."""


def imported_modules(source: str, package: str) -> Iterator[str]:
    """Yield the full name of every module or name that a module of `package` imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                outer = package.split(".")
                outer = outer[: len(outer) - node.level + 1]
                base = ".".join([*outer, base] if base else outer)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def called(source: str) -> Iterator[str]:
    """Yield the dotted text of everything that a module calls."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def wrong_arrows(source: str, package: str) -> list[str]:
    """Return the imports of a module of `package` that point the wrong way."""
    own = package.partition(".")[0]
    allowed = LAYERS[own] | {own}
    return [
        name
        for name in imported_modules(source, package)
        if (top := name.partition(".")[0]) in {*LAYERS, "tests", "tools"} and top not in allowed
    ]


def io_uses(source: str, package: str) -> list[str]:
    """Return the imports and calls by which a module performs I/O or waits."""
    names = [
        name
        for name in imported_modules(source, package)
        if any(f"{name}.".startswith(f"{module}.") for module in IO_MODULES) or name in WAITING
    ]
    return [name for name in names if name not in SETTINGS] + [
        call
        for call in called(source)
        if call in WAITING or ("." in call and call.rpartition(".")[2] in FILE_METHODS)
    ]


def transport_calls(source: str) -> list[str]:
    """Return the calls of methods of httpx transports and clients."""
    return [
        call
        for call in called(source)
        if call.rpartition(".")[2] in TRANSPORT_CALLS
        or call in {"httpx.Client", "httpx.AsyncClient", "httpx.request", "httpx.stream"}
    ]


def modules_of(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield path, package and source of every module below the folder of a package."""
    for path in sorted(folder.rglob("*.py")):
        inside = path.parent.relative_to(folder.parent)
        yield (inside / path.name).as_posix(), ".".join(inside.parts), path.read_text()
