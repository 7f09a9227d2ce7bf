"""`make add-mlflow`: the files it writes, with a stand-in for uv, which needs an index."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wine_quality.environments import mlflow_versions
from wine_quality.environments.add_version import AddVersionError, add_version
from wine_quality.environments.install import BuildError
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import LOCK_FILES, PROJECT_ROOT

LOCKED = "mlflow==2.9.2 \\\n    --hash=sha256:00\nnumpy==1.26.4 \\\npandas==2.1.0 \\\n"


class Locks:
    """Stands in for uv; fails for one name."""

    def __init__(self, failing: str = "") -> None:
        self.failing, self.seen = failing, {}

    def __call__(self, folder: Path, name: str) -> None:
        if name == self.failing:
            raise BuildError(f"{name}.in could not be locked: no such version")
        self.seen[name] = (folder / f"{name}.in").read_text()
        assert (folder / "common.in").exists() and (folder / "serving.in").exists()
        (folder / f"{name}.txt").write_text(LOCKED)


@pytest.fixture
def checkout(tmp_path) -> dict[str, Path]:
    locks = shutil.copytree(LOCK_FILES, tmp_path / "requirements")
    table = Path(shutil.copy(mlflow_versions.__file__, tmp_path / "versions.py"))
    return {"locks": locks, "table": table}


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def load(table: Path, monkeypatch):
    spec = importlib.util.spec_from_file_location("table_with_one_more", table)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module.MLFLOW_VERSIONS


@pytest.mark.parametrize("key", ["2.0.1", "2.9.2", "3.1.4", "3.99.0"])
def test_an_entry_and_three_locks_are_made(checkout, monkeypatch, key):
    locks = Locks()
    written = add_version(key, **checkout, compile_lock=locks, say=lambda _text: None)
    assert all(path.exists() for path in written)
    assert re.search(rf"^mlflow=={re.escape(key)}$", locks.seen[f"mlflow-{key}"], re.MULTILINE)
    assert "numpy==1.26.4\npandas==2.1.0\n" in locks.seen[f"serving-{key}"]
    assert f"-c mlflow-{key}.txt\nmlflow\n" in locks.seen[f"server-{key}"]
    table = load(checkout["table"], monkeypatch)
    keys = list(table)
    # "3" is the newest 3.x, and the last.
    assert keys == [*sorted(keys[:-1], key=lambda one: [*map(int, one.split("."))]), "3"]
    assert [one for one in keys if one != key] == list(MLFLOW_VERSIONS)
    ports = [version.port for version in table.values()]
    assert len(set(ports)) == len(ports)
    assert table[key].servers == (int(key[0]),)
    assert table[key].backend == MLFLOW_VERSIONS["3"].backend


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "is not a version of MLflow. Give all of it, such as 2.22.5"),
        ("2.22", "is not a version"),
        ("../2.22.5", "is not a version"),
        ("2.1.1", "in the table already: make env MLFLOW=2.1.1"),
        ("1.30.1", "needs pins by hand"),
    ],
)
def test_what_cannot_be_added_is_said(checkout, tmp_path, key, reason):
    before = files(tmp_path)
    with pytest.raises(AddVersionError, match=re.escape(reason)):
        add_version(key, **checkout, compile_lock=Locks(), say=lambda _text: None)
    assert files(tmp_path) == before


@pytest.mark.parametrize("failing", ["mlflow-2.9.2", "serving-2.9.2", "server-2.9.2"])
def test_nothing_is_written_where_a_lock_cannot_be_made(checkout, tmp_path, failing):
    before = files(tmp_path)
    with pytest.raises(BuildError, match="could not be locked"):
        add_version("2.9.2", **checkout, compile_lock=Locks(failing), say=lambda _text: None)
    assert files(tmp_path) == before


def test_the_command_line_says_it_in_a_sentence():
    command = [sys.executable, "-m", "wine_quality.environments", "add", "2.1.1"]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "MLflow 2.1.1 is in the table already: make env MLFLOW=2.1.1\n"
