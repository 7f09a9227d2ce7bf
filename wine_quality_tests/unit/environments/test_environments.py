"""The version table, and how an environment's Python is found or missed."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys

import pytest

from wine_quality.environments import build, interpreters
from wine_quality.environments.mlflow_versions import DEFAULT_VERSION, MLFLOW_VERSIONS, get_version
from wine_quality.paths import PROJECT_ROOT

REQUIREMENTS = PROJECT_ROOT / "deploy" / "requirements"


@pytest.mark.parametrize("version", MLFLOW_VERSIONS.values(), ids=list(MLFLOW_VERSIONS))
def test_a_version_has_its_lock_file(version):
    text = version.lock_file.read_text()
    [pinned] = re.findall(r"^mlflow==([\w.]+)", text, re.MULTILINE)
    assert pinned.startswith(version.client)


@pytest.mark.parametrize("file", sorted(REQUIREMENTS.glob("*.txt")), ids=lambda file: file.name)
def test_a_lock_file_has_hashes_and_names_no_index(file):
    text = file.read_text()
    pins = re.findall(r"^[\w.\[\]-]+==", text, re.MULTILINE)
    assert pins
    assert len(re.findall(r"--hash=sha256:", text)) >= len(pins)
    assert "--index-url" not in text
    assert "://" not in re.sub(r"#.*", "", text)


def test_the_test_environment_is_the_default_versions():
    assert importlib.metadata.version("mlflow").startswith(get_version(DEFAULT_VERSION).client)


def test_an_unknown_version_names_those_there_are():
    with pytest.raises(ValueError, match=r'unknown MLflow version "9.9".*1\.26.*2\.1\.1.*3'):
        get_version("9.9")


def test_without_a_fitting_python_the_version_is_passed_over(tmp_path):
    """As on a machine that has only a newer Python and no way to download one."""
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\n[ $1 = --version ]\n")
    uv.chmod(0o755)
    with pytest.raises(interpreters.InterpreterMissingError, match=r"apt-get install python3\.99"):
        interpreters.find_python([str(uv)], ("3.99",))
    root = tmp_path / "environments"
    code = (
        "import sys; from wine_quality.environments import interpreters, __main__ as m\n"
        "interpreters._candidates = lambda wanted: []\n"
        "sys.argv[1:] = ['build', '1.26', '2.1.1', *sys.argv[1:]]; sys.exit(m.main())"
    )

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *options],
            capture_output=True,
            text=True,
            cwd=PROJECT_ROOT,
            env={"PATH": str(tmp_path), "WINE_QUALITY_ENVIRONMENTS": str(root)},
            timeout=100,
        )

    strict, lenient = run(), run("--keep-going")
    assert strict.returncode == 1
    assert "MLflow 1.26: No Python 3.11 is here" in strict.stderr
    assert lenient.returncode == 0
    assert "MLflow 2.1.1: No Python 3.11 is here" in lenient.stderr
    assert not list(root.glob("mlflow-*"))


def test_a_stamp_says_whether_an_environment_is_current(tmp_path, monkeypatch):
    monkeypatch.setenv("WINE_QUALITY_ENVIRONMENTS", str(tmp_path))
    version = get_version("2.1.1")
    version.python.parent.mkdir(parents=True)
    version.python.touch()
    assert not build.is_current(version, dev=False)  # interrupted: no stamp
    stamp = version.directory / "wine_quality.stamp"
    stamp.write_text(build.digest(build.lock_files(version, dev=False)))
    assert build.is_current(version, dev=False)
    stamp.write_text("of another lock file")
    assert not build.is_current(version, dev=False)
