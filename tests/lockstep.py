"""Compares the two flavours as syntax trees.

Each module of the async package is turned into blocking form in memory: `async` and `await`
go, names and phrases are replaced by two tables. The result must equal the module of the same
name in the blocking package. Imports are compared as sets, since their order depends on the
names, and docstrings without line breaks, since words of different length wrap differently.

Not seen: a forgotten `await`, which strict types and the behaviour tests catch, and comments,
which may differ.
"""

import ast
import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EXEMPT = {"_flavour.py", "_wire.py"}
"""The modules that differ in more than names; only the names in them must be equal."""


class Tables:
    """What the words of the async flavour are called in the blocking one.

    Args:
        names: identifiers, replaced as whole words in code and in text.
        phrases: parts of docstrings and other text.
    """

    def __init__(self, names: Mapping[str, str], phrases: Mapping[str, str]) -> None:
        self.names = dict(names)
        self.phrases = dict(phrases)
        self._unused = {*names, *phrases}

    def name(self, identifier: str) -> str:
        """Translate an identifier, or each one in a longer text."""
        return re.sub(r"\w+", lambda word: self._replace(word[0], self.names), identifier)

    def text(self, text: str) -> str:
        """Translate a docstring or a message with the code examples in it."""
        text = self.name(re.sub(r"\bawait |\basync (?=with|for|def)", "", text))
        longest_first = sorted(map(re.escape, self.phrases), key=len, reverse=True)
        phrases = rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)"
        return re.sub(phrases, lambda phrase: self._replace(phrase[0], self.phrases), text)

    def unused(self) -> list[str]:
        """Return the entries that nothing asked for yet."""
        return sorted(self._unused)

    def _replace(self, word: str, table: Mapping[str, str]) -> str:
        self._unused.discard(word)
        return table.get(word, word)


class Normal(ast.NodeTransformer):
    """Brings a module into the form in which modules are compared."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                setattr(node, field, imports_first(statements))
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        value = node.value
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            value.value = " ".join(value.value.split())
        return self.generic_visit(node)


class Blocking(ast.NodeTransformer):
    """Turns an async module into its blocking form."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        return self.visit(ast.FunctionDef(**vars(node)))

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self.generic_visit(ast.With(**vars(node)))

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self.generic_visit(ast.For(**vars(node)))

    def visit_Await(self, node: ast.Await) -> Any:
        return self.visit(node.value)

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.is_async = 0
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self.tables.name(node.name)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self.tables.name(node.name)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.tables.name(node.id)
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        node.attr = self.tables.name(node.attr)
        return self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        node.module = node.module and self.tables.name(node.module)
        return self.generic_visit(node)

    def visit_alias(self, node: ast.alias) -> ast.AST:
        node.name = self.tables.name(node.name)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str):
            node.value = self.tables.text(node.value)
        return node


def imports_first(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Put the imports of a block first, one name each, sorted."""
    imports: dict[str, ast.stmt] = {}
    others: list[ast.stmt] = []
    for statement in statements:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                single = type(statement)(**{**vars(statement), "names": [alias]})
                imports[ast.unparse(single)] = single
        else:
            others.append(statement)
    return [imports[text] for text in sorted(imports)] + others


def compare_modules(async_source: str, blocking_source: str, tables: Tables) -> str:
    """Return how the modules differ, as a unified diff of their normal forms; "" if equal."""
    wanted = Normal().visit(Blocking(tables).visit(ast.parse(async_source)))
    found = Normal().visit(ast.parse(blocking_source))
    if ast.dump(wanted) == ast.dump(found):
        return ""
    before, after = (ast.unparse(tree).splitlines() for tree in (wanted, found))
    return "\n".join(difflib.unified_diff(before, after, "async", "blocking", lineterm=""))


def defined_names(source: str, tables: Tables | None = None) -> set[str]:
    """Return what a module defines for others: its public names, methods and their arguments."""
    names: set[str] = set()
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.ClassDef):
            parts = (f"{statement.name}.{one}" for one in map(signature, statement.body) if one)
            names |= {statement.name, *parts}
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names |= {ast.unparse(target) for target in targets}
        else:
            names.add(signature(statement))
    translate = tables.name if tables else str
    # A constructor without arguments is as private as what it sets.
    private = re.compile(r"(^|\.)_[^_]|__init__\(self\)$|^$")
    return {translate(name) for name in names if not private.search(name)}


def signature(statement: ast.stmt) -> str:
    """Return name and arguments of a function, without types; "" for anything else."""
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return ""
    for node in ast.walk(statement.args):
        if isinstance(node, ast.arg):
            node.annotation = None
    return f"{statement.name}({ast.unparse(statement.args)})"


def differences(async_package: Path, blocking_package: Path, tables: Tables) -> list[str]:
    """Return everything in which the two packages are not in lockstep."""
    async_files, blocking_files = files_of(async_package), files_of(blocking_package)
    found = [f"{name} is in one package only" for name in async_files.keys() ^ blocking_files]
    for name in sorted(async_files.keys() & blocking_files):
        async_source, blocking_source = async_files[name], blocking_files[name]
        if name in EXEMPT:
            odd = defined_names(async_source, tables) ^ defined_names(blocking_source)
            found += [f"{name}: {one} is in one package only" for one in sorted(odd)]
        elif difference := compare_modules(async_source, blocking_source, tables):
            found.append(f"{name}:\n{difference}")
    return found + [f"{entry!r} in the tables was never used" for entry in tables.unused()]


def files_of(package: Path) -> dict[str, str]:
    """Return the text of every file of a package by its path in it."""
    return {
        path.relative_to(package).as_posix(): path.read_text()
        for path in package.rglob("*")
        if path.suffix.startswith((".py", ".typ")) and "__pycache__" not in path.parts
    }
