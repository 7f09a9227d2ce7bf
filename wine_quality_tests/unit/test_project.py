"""``pyproject.toml``: what is declared against what is imported and locked."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from wine_quality.paths import PROJECT_ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest brings it
    import tomli as tomllib

# Where the name of the package is not that of the import.
PACKAGES = {
    "google": "protobuf",
    "grpc": "grpcio",
    "psycopg2": "psycopg2-binary",
    "sklearn": "scikit-learn",
    "upath": "universal-pathlib",
    "yaml": "pyyaml",
}
# Imported only where that extra is used.
EXTRA_OF = {
    "lightgbm": "lightgbm",
    "dagster_slack": "slack",
    "slack_sdk": "slack",
    "py4j": "spark",
    "pyspark": "spark",
    "nanio": "stack",
}


def project() -> dict:
    return tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]


def name_of(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found, requirement
    return found[0].lower().replace("_", "-")


def imports() -> dict[str, set[Path]]:
    """Modules of others that the package imports, and where."""
    found: dict[str, set[Path]] = {}
    for file in (PROJECT_ROOT / "wine_quality").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            for name in {name.partition(".")[0] for name in names}:
                if name not in sys.stdlib_module_names and name != "wine_quality":
                    found.setdefault(name, set()).add(file)
    return found


def test_whatever_is_imported_is_declared():
    declared = project()
    extras = declared["optional-dependencies"]
    groups = {key: {name_of(one) for one in given} for key, given in extras.items()}
    everywhere = {name_of(one) for one in declared["dependencies"]}
    runtime = PROJECT_ROOT / "wine_quality" / "serving" / "runtime"
    missing = []
    for module, files in imports().items():
        package = PACKAGES.get(module, module).lower().replace("_", "-")
        allowed = everywhere | groups.get(EXTRA_OF.get(module, ""), set())
        for file in sorted(files):
            here = allowed | groups["serving"] if file.is_relative_to(runtime) else allowed
            if file.name == "store.py" and file.parent.name == "stack":
                here = allowed | groups["stack"]
            if package not in here:
                missing.append(f"{package} ({file.relative_to(PROJECT_ROOT)})")
    assert missing == []


@pytest.mark.parametrize("key", ["1.26", "2.1.1", "3"])
def test_dagster_is_pinned_as_in_the_lock_files(key):
    """A run's plan goes from the installed package's environment to a version's."""
    lock = (PROJECT_ROOT / "deploy" / "requirements" / f"mlflow-{key}.txt").read_text()
    locked = dict(re.findall(r"^(dagster[\w-]*)==(\S+)", lock, re.MULTILINE))
    given = [*project()["dependencies"], *sum(project()["optional-dependencies"].values(), [])]
    pins = {name_of(one): one.partition("==")[2] for one in given if one.startswith("dagster")}
    assert all(pins.values())
    assert "dagster" in locked
    for name in pins.keys() & locked.keys():
        assert pins[name] == locked[name], name


def test_the_version_is_that_of_the_package():
    import wine_quality

    assert project()["version"] == wine_quality.__version__
    newest = re.search(r"^## (\S+)", (PROJECT_ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest and newest[1] == wine_quality.__version__


def test_no_large_file_is_tracked():
    """Such as a wheel that lay in the checkout when all of it was added."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT_ROOT, capture_output=True)
    if listed.returncode != 0:
        pytest.skip("this is no checkout of git's")
    files = [PROJECT_ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert [str(file) for file in files if file.is_file() and file.stat().st_size > 1e6] == []
