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
LINES = 300
# File, and why it is longer. A list that grows is a reason to look again.
LONGER = {
    "wine_quality/serving/runtime/prediction_log.py": "a queue, its writer, the locks of both",
    "wine_quality_tests/faults/faults.py": "one table of faults",
    "wine_quality_tests/integration/test_serving.py": "one served model, started once per version",
    "wine_quality_tests/integration/test_serving_bad_input.py": "one table of requests",
    "wine_quality_tests/integration/test_serving_bad_messages.py": "one table of messages",
    "wine_quality_tests/integration/test_serving_fuzz.py": "one served model, and its generators",
    "wine_quality_tests/integration/test_stack.py": "one platform, started once",
    "wine_quality_tests/support/model_server.py": "one client for each protocol of one server",
    "wine_quality_tests/unit/deploy_files/test_compose.py": "one Compose file, read once",
    "wine_quality_tests/unit/deployment/test_deployment.py": "one published model, made once",
    "wine_quality_tests/unit/deployment/test_manifests.py": "one table of settings and manifests",
    "wine_quality_tests/unit/engines/test_engines.py": "the same cases on each engine",
    "wine_quality_tests/unit/history/test_history.py": "the same cases on a folder and on S3",
    "wine_quality_tests/unit/notices/test_notices.py": "the same notices on each channel",
    "wine_quality_tests/unit/policy/test_policy.py": "one table of run config and its refusals",
    "wine_quality_tests/unit/sources/test_allowed_sources.py": "one table of addresses",
    "wine_quality_tests/unit/wines/test_streaming.py": "the same cases on each engine",
}
FOLDERS = ("wine_quality", "wine_quality_tests", "benchmarks", "examples")
BLIND = ("tracking", "environments", "execution")
MODEL_FAMILIES = r"elastic_?net|winequality|linear_?model"


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def test_the_packages_root_has_few_modules():
    assert len(list(PACKAGE.glob("*.py"))) <= ROOT_MODULES


def test_no_file_is_long_without_a_reason():
    files = [file for folder in FOLDERS for file in modules(PROJECT_ROOT / folder)]
    longer = {
        str(file.relative_to(PROJECT_ROOT)): len(file.read_text().splitlines())
        for file in files
        if len(file.read_text().splitlines()) > LINES
    }
    new = {file: lines for file, lines in longer.items() if file not in LONGER}
    assert new == {}, "shorten it, or say in LONGER why it is long"
    assert all((PROJECT_ROOT / file).exists() for file in LONGER)


def test_no_docstring_begins_with_what():
    """A noun names the thing: a reader of the UI or of the API should not have to untangle it."""
    described = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [
        f"{file.relative_to(PROJECT_ROOT)}: {text.splitlines()[0]}"
        for folder in FOLDERS
        for file in modules(PROJECT_ROOT / folder)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, described)
        and (text := ast.get_docstring(node) or "").startswith("What ")
    ]
    assert found == []


@pytest.mark.parametrize("folder", BLIND)
def test_the_layers_below_the_wines_name_none(folder):
    """Neither in code nor in what they tell people: an asset, a data set, a model family."""
    from wine_quality.definitions import defs

    assets = [key.to_user_string() for key in defs.resolve_all_asset_keys()]
    named = re.compile(rf"\b({'|'.join(map(re.escape, assets))})\b|{MODEL_FAMILIES}", re.IGNORECASE)
    assert len(assets) >= 8
    # A module, and a field of MLflow's own answers, have an asset's name by chance.
    by_chance = re.compile(r"registry\.registered_model\b|\[\"registered_model\"\]")
    found = [
        f"{file.relative_to(PACKAGE)}:{number}: {line.strip()}"
        for file in modules(PACKAGE / folder)
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if named.search(by_chance.sub("", line))
    ]
    assert found == []


def test_the_environments_need_the_standard_library_only():
    """They are built by a Python that has nothing installed yet."""
    own = ("paths", "usable_paths", "escaping", "terminal", "settings", "environments")
    image = (PROJECT_ROOT / "deploy" / "images" / "dagster.Dockerfile").read_text()
    assert all(f"COPY wine_quality/{name}" in image for name in own)
    allowed = sys.stdlib_module_names | {f"wine_quality.{name}" for name in own}
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


def test_errors_end_in_error_and_share_a_base():
    """Whoever catches ``ProjectError`` has every error that the project raises itself."""
    bases = {
        found.name: {ast.unparse(base).rpartition(".")[2] for base in found.bases}
        for file in modules(PACKAGE)
        # Copied beside a model, without the rest of the project.
        if "serving/runtime" not in file.as_posix()
        for found in ast.walk(ast.parse(file.read_text()))
        if isinstance(found, ast.ClassDef)
    }

    def is_error(name: str) -> bool:
        return name.endswith(("Error", "Exception")) or any(map(is_error, bases.get(name, ())))

    def is_ours(name: str) -> bool:
        return name == "ProjectError" or any(map(is_ours, bases.get(name, ())))

    errors = {name for name in bases if is_error(name)}
    assert {name for name in errors if not name.endswith("Error")} == set()
    # An answer of S3, which the store's own library sends.
    assert {name for name in errors if not is_ours(name)} == {"InvalidRangeError"}
