"""Which modules a Python source file can import, by reading it; nothing is executed."""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Iterator

_BY_NAME = {"import_module", "__import__"}


def scan_imports(source: bytes) -> frozenset[str]:
    """Dotted names that a file's import statements (and `import_module("literal")`) ask for, wherever they stand.

    Relative imports are left out, and so is the standard library. A file that does not parse gives none. After
    `from a import b` both `a` and `a.b` are named: which of them is a module, only the installation knows.
    """
    if b"import" not in source:
        return frozenset()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    names = {name for node in ast.walk(tree) for name in _asked(node)}
    return frozenset(name for name in names if name.partition(".")[0] not in sys.stdlib_module_names)


def _asked(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name != "*")
    elif isinstance(node, ast.Call) and node.args and _called(node.func) in _BY_NAME:
        first = node.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str) and not first.value.startswith("."):
            yield first.value


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) else ""
