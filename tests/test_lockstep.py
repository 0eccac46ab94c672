"""Both flavours say the same: same modules, classes, methods, arguments, texts, same order."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lockstep import Tables, differences, files_of

ROOT = Path(__file__).parent.parent

NAMES = {
    "reduct_async": "reduct_sync",
    "AsyncIterator": "Iterator",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
    "aclosing": "closing",
    "aiter_bytes": "iter_bytes",
    "anext": "next",
    "aread": "read",
    "AbstractAsyncContextManager": "AbstractContextManager",
    "asynccontextmanager": "contextmanager",
    "handle_async_request": "handle_request",
    "AsyncByteStream": "SyncByteStream",
}

PHRASES = {
    "async": "blocking",
    "between the tasks of one event loop": "between threads",
    "``reduct_sync`` has the same names, blocking": "``reduct_async`` has the same names, async",
}


def test_flavours_are_in_lockstep() -> None:
    assert {"__init__.py", "client.py"} <= files_of(ROOT / "reduct_async").keys()
    found = differences(ROOT / "reduct_async", ROOT / "reduct_sync", Tables(NAMES, PHRASES))
    assert not found, "\n\n".join(found)


# The rest shows on a small pair of packages that the checker sees what it should see.

SAMPLE_NAMES = {
    "pair_async": "pair_sync",
    "AsyncIterator": "Iterator",
    "__aenter__": "__enter__",
}
SAMPLE_PHRASES = {"an async": "a blocking"}

ASYNC = {
    "py.typed": "",
    "__init__.py": '"""The async package."""\n',
    "_flavour.py": """
from anyio import Lock
WAIT_SECONDS: float = 1.0
_private = 1
class Gate:
    async def __aenter__(self) -> None: ...
    def _private(self) -> None: ...
async def sleep(seconds: float = 1) -> None: ...
""",
    "client.py": '''
"""Holds an async client that is described in a sentence of this length."""
import os
from pair_async._flavour import Lock, Gate
from collections.abc import AsyncIterator

class Client:
    """Sends requests.

    Example:
        >>> async with pair_async.Client() as client:
        ...     await client.names(limit=1)
    """

    async def __aenter__(self) -> "Client":
        return self

    async def names(self, *, limit: int = 1) -> AsyncIterator[str]:
        """Return the names."""
        async with self.gate:
            for name in [await self.ask(n) async for n in self.all()]:
                yield name
''',
}

BLOCKING = {
    "py.typed": "",
    "__init__.py": '"""The async package."""\n',
    "_flavour.py": """
from threading import Lock, Condition
WAIT_SECONDS = 2.0
class Gate:
    def __enter__(self): return self
def sleep(seconds=1): ...
""",
    "client.py": '''
"""Holds a blocking client that is described in a sentence of
this length.
"""
import os
from collections.abc import Iterator
# A comment may differ.
from pair_sync._flavour import Gate, Lock

class Client:
    """Sends requests.

    Example:
        >>> with pair_sync.Client() as client:
        ...     client.names(limit=1)
    """

    def __enter__(self) -> "Client":
        return self

    def names(self, *, limit: int = 1) -> Iterator[str]:
        """Return the names."""
        with self.gate:
            for name in [self.ask(n) for n in self.all()]:
                yield name
''',
}

Compare = Callable[[dict[str, str], Tables], list[str]]


@pytest.fixture
def compare(tmp_path: Path) -> Compare:
    """Compare the sample with a changed blocking twin."""

    def run(blocking: dict[str, str], tables: Tables) -> list[str]:
        for package, files in (("pair_async", ASYNC), ("pair_sync", blocking)):
            for name, text in files.items():
                path = tmp_path / package / name
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
        return differences(tmp_path / "pair_async", tmp_path / "pair_sync", tables)

    return run


def sample_tables() -> Tables:
    return Tables(SAMPLE_NAMES, SAMPLE_PHRASES)


def test_equal_packages_pass(compare: Compare) -> None:
    assert compare(BLOCKING, sample_tables()) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("limit: int = 1", "limit: int = 2", id="changed default"),
        pytest.param("*, limit", "limit", id="lost keyword-only marker"),
        pytest.param("limit", "count", id="renamed argument"),
        pytest.param("limit: int", "limit: float", id="changed annotation"),
        pytest.param("Return the names.", "Return some names.", id="drifted docstring"),
        pytest.param("is described", "was described", id="drifted module docstring"),
        pytest.param("import os\n", "", id="lost import"),
        pytest.param("yield name\n", "yield name\n    def more(self): ...\n", id="appended method"),
        pytest.param("yield name\n", "yield name\ndef more(): ...\n", id="appended function"),
        pytest.param("self.ask(n)", "self.tell(n)", id="changed call"),
    ],
)
def test_changes_are_seen(compare: Compare, before: str, after: str) -> None:
    assert before in BLOCKING["client.py"]
    changed = {**BLOCKING, "client.py": BLOCKING["client.py"].replace(before, after)}
    (found,) = compare(changed, sample_tables())
    assert found.startswith("client.py:\n--- async\n+++ blocking\n")


def test_swapped_methods_are_seen(compare: Compare) -> None:
    head, enter, names = BLOCKING["client.py"].split("    def ")
    swapped = {**BLOCKING, "client.py": f"{head}    def {names}    def {enter}"}
    (found,) = compare(swapped, sample_tables())
    assert found.startswith("client.py:")


@pytest.mark.parametrize("orphan", ["more.py", "sub/more.py", "py.typing"])
def test_orphan_modules_are_seen(compare: Compare, orphan: str, tmp_path: Path) -> None:
    (tmp_path / "pair_sync" / "sub").mkdir(parents=True)
    found = compare({**BLOCKING, orphan: ""}, sample_tables())
    assert found == [f"{orphan} is in one package only"]


def test_missing_modules_are_seen(compare: Compare) -> None:
    rest = {name: text for name, text in BLOCKING.items() if name != "py.typed"}
    assert compare(rest, sample_tables()) == ["py.typed is in one package only"]


@pytest.mark.parametrize(
    ("before", "after", "odd"),
    [
        ("WAIT_SECONDS", "SECONDS", "WAIT_SECONDS"),
        ("class Gate", "class Door", "Gate"),
        ("__enter__", "__exit__", "Gate.__enter__(self)"),
        ("seconds=1", "seconds=2", "sleep(seconds=1)"),
        ("seconds=1", "time=1", "sleep(seconds=1)"),
        ("def sleep", "def wait", "sleep(seconds=1)"),
    ],
)
def test_odd_names_of_the_exempt_module_are_seen(
    compare: Compare, before: str, after: str, odd: str
) -> None:
    changed = {**BLOCKING, "_flavour.py": BLOCKING["_flavour.py"].replace(before, after)}
    assert f"_flavour.py: {odd} is in one package only" in compare(changed, sample_tables())


def test_unused_table_entries_are_seen(compare: Compare) -> None:
    tables = Tables({**SAMPLE_NAMES, "AsyncThing": "Thing"}, {**SAMPLE_PHRASES, "awaits": "waits"})
    assert compare(BLOCKING, tables) == [
        "'AsyncThing' in the tables was never used",
        "'awaits' in the tables was never used",
    ]
