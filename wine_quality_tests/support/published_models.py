"""The models that KServe and Seldon generate from their Go types and publish on PyPI.

They are read, not imported: importing them would need all that they depend on.
"""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

from wine_quality.environments.interpreters import find_uv
from wine_quality_tests.support.resource_schemas import FOLDER


def install(folder: Path) -> Path:
    """Both packages, by hash and without their dependencies."""
    subprocess.run(
        [
            *(*find_uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"),
            *("--target", str(folder), "--requirement", str(FOLDER / "models.txt")),
        ],
        check=True,
        timeout=240,
    )
    return folder


def fields(models: Path, name: str) -> dict[str, str]:
    """By the name in JSON, the type of each field of a model class; empty for an enumeration."""
    file = models / f"{re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', name).lower()}.py"
    (made,) = (one for one in ast.parse(file.read_text()).body if isinstance(one, ast.ClassDef))
    assert made.name == name, file
    tables = {
        target.id: ast.literal_eval(line.value)
        for line in made.body
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Dict)
        for target in line.targets
        if isinstance(target, ast.Name)
    }
    types = tables.get("openapi_types", tables.get("swagger_types"))
    return {tables["attribute_map"][attribute]: kind for attribute, kind in types.items()}
