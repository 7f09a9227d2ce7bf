"""Packages of other projects in the environment of a version; resolved by the real uv."""

from __future__ import annotations

import pytest

from wine_quality.environments import build, extra_packages
from wine_quality.environments.extra_packages import add_packages, extra_lock
from wine_quality.environments.install import BuildError
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS

VERSION = MLFLOW_VERSIONS["1.26"]


@pytest.fixture
def requirements(tmp_path, monkeypatch):
    """A file to write into; what is added goes into an empty folder of environments."""
    monkeypatch.setattr(extra_packages, "environments_root", lambda: tmp_path / "environments")
    return tmp_path / "requirements.txt"


def test_packages_are_locked_with_hashes_and_those_of_the_version_stay(requirements):
    locks, before = build.locks_of_all(VERSION), build.lock_files(VERSION, dev=False)
    requirements.with_name("more.txt").write_text("iniconfig==2.1.0\n")
    requirements.write_text("# ours\n-r more.txt\nsix  # in the lock file already\n")
    assert add_packages(VERSION, requirements, locks)
    [pin, *hashes] = extra_lock(VERSION).read_text().splitlines()
    assert pin == "iniconfig==2.1.0 \\"
    assert hashes and all("--hash=sha256:" in line for line in hashes)
    assert build.lock_files(VERSION, dev=False) == [*before, extra_lock(VERSION)]
    assert build.locks_of_all(VERSION) == locks
    assert not add_packages(VERSION, requirements, locks)

    # A second project's are added to the first's.
    requirements.write_text("toml==0.10.2\n")
    assert add_packages(VERSION, requirements, locks)
    found = extra_lock(VERSION).read_text()
    assert "iniconfig==2.1.0" in found and "toml==0.10.2" in found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mlflow==2.1.1\n", "do not go with MLflow 1.26, whose own stay as they are"),
        ("--index-url http://127.0.0.1:9\nsix\n", "has the option '--index-url"),
    ],
)
def test_what_does_not_go_with_the_version_changes_nothing(requirements, text, problem):
    requirements.write_text(text)
    with pytest.raises(BuildError, match=problem):
        add_packages(VERSION, requirements, build.locks_of_all(VERSION))
    assert not extra_lock(VERSION).exists()
