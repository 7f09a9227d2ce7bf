"""The house rules that import-linter (``make lint``, pyproject.toml) has no contract for."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wine_quality.paths import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "wine_quality"
ROOT_MODULES = 8
BLIND = ("tracking", "environments", "execution")
MODEL_FAMILIES = r"elastic_?net|winequality|linear_?model"


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def test_the_packages_root_has_few_modules():
    assert len(list(PACKAGE.glob("*.py"))) <= ROOT_MODULES


@pytest.mark.parametrize("folder", BLIND)
def test_the_layers_below_the_wines_name_none(folder):
    """Neither in code nor in what they tell people: an asset, a data set, a model family."""
    from wine_quality.definitions import defs

    assets = [key.to_user_string() for key in defs.resolve_all_asset_keys()]
    named = re.compile(rf"\b({'|'.join(map(re.escape, assets))})\b|{MODEL_FAMILIES}", re.IGNORECASE)
    assert len(assets) >= 8
    found = [
        f"{file.relative_to(PACKAGE)}:{number}: {line.strip()}"
        for file in modules(PACKAGE / folder)
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if named.search(line)
    ]
    assert found == []


def test_the_environments_need_the_standard_library_only():
    """They are built by a Python that has nothing installed yet."""
    allowed = sys.stdlib_module_names | {"wine_quality.paths", "wine_quality.environments"}
    for file in modules(PACKAGE / "environments"):
        for name in _imported(file):
            top = name.partition(".")[0]
            part = ".".join(name.split(".")[:2]) if top == "wine_quality" else top
            assert part in allowed, f"{file.name} imports {name}"


def _imported(file: Path) -> Iterator[str]:
    """Also by functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
