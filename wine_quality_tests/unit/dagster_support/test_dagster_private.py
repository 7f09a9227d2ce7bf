"""The private names of Dagster that the executor stands on, each by itself."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterable

import pytest

from wine_quality.paths import PROJECT_ROOT

MODULE = PROJECT_ROOT / "wine_quality" / "dagster_support" / "dagster_private.py"
TREE = ast.parse(MODULE.read_text())


def _imported(statements: Iterable[ast.AST]) -> list[tuple[str, str]]:
    return [
        (statement.module or "", name.name)
        for statement in statements
        if isinstance(statement, ast.ImportFrom) and "dagster._" in (statement.module or "")
        for name in statement.names
    ]


# Those that only a function needs are in it.
NAMES = _imported(ast.walk(TREE))
FUNCTIONS = [found.name for found in TREE.body if isinstance(found, ast.FunctionDef)]


@pytest.mark.parametrize(("module", "name"), NAMES, ids=[name for _, name in NAMES])
def test_dagster_still_has_it(module, name):
    assert hasattr(importlib.import_module(module), name), (
        f"{module}.{name} is gone or has moved in this Dagster: mend {MODULE.name}"
    )


def test_every_export_is_among_them():
    from wine_quality.dagster_support import dagster_private

    own = [name for _, name in _imported(TREE.body)] + FUNCTIONS
    assert sorted(dagster_private.__all__) == sorted(own)


def test_no_other_module_reaches_into_dagster():
    files = (PROJECT_ROOT / "wine_quality").rglob("*.py")
    private = re.compile(r"(from|import) dagster[\w.]*\._")
    assert [file.name for file in files if private.search(file.read_text())] == [MODULE.name]
