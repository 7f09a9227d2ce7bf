"""The private names of Dagster that the executor stands on, each by itself."""

from __future__ import annotations

import importlib
import re

import pytest

from wine_quality.environments.versions import PROJECT_ROOT

MODULE = PROJECT_ROOT / "wine_quality" / "environments" / "dagster_private.py"
IMPORT = re.compile(r"^( *)from (dagster\._[\w.]+) import (.+)$", re.MULTILINE)
NAMES = [
    (module, name)
    for _, module, names in IMPORT.findall(MODULE.read_text())
    for name in names.split(", ")
]
# Imported inside a function, which stands for them.
INNER = [
    name for space, _, names in IMPORT.findall(MODULE.read_text()) if space for name in [names]
]
FUNCTIONS = ["workspace_of_files"]


@pytest.mark.parametrize(("module", "name"), NAMES, ids=[name for _, name in NAMES])
def test_dagster_still_has_it(module, name):
    assert hasattr(importlib.import_module(module), name), (
        f"{module}.{name} is gone or has moved in this Dagster: mend {MODULE.name}"
    )


def test_every_export_is_among_them():
    from wine_quality.environments import dagster_private

    outer = [name for _, name in NAMES if name not in INNER]
    assert sorted(dagster_private.__all__) == sorted(outer + FUNCTIONS)


def test_no_other_module_reaches_into_dagster():
    files = (PROJECT_ROOT / "wine_quality").rglob("*.py")
    private = re.compile(r"(from|import) dagster[\w.]*\._")
    assert [file.name for file in files if private.search(file.read_text())] == [MODULE.name]
