"""Folders whose path Alembic, SQLAlchemy or MLflow would take for a template or a URL."""

from __future__ import annotations

import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from wine_quality import usable_paths
from wine_quality.cli.gc import sqlite_reader
from wine_quality.environments.install import BuildError, Environment, building
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, environments_root
from wine_quality.paths import dagster_home, dagster_home_in_use, home
from wine_quality.tracking.servers.embedded_store import embedded_uri
from wine_quality.upkeep.known_runs import Known
from wine_quality.usable_paths import usable_path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the links lie."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("name", ["plain", "with space", "a#b", "Größe", "a+b=c,d"])
def test_other_paths_are_as_they_are(tmp_path, monkeypatch, cache, name):
    monkeypatch.setenv("WINE_QUALITY_HOME", str(tmp_path / name))
    assert home() == tmp_path / name
    assert not cache.exists()


@pytest.mark.parametrize("name", ["x_feature%2Fb", "100%", "what?", "%(here)s"])
def test_a_path_like_a_template_is_reached_by_a_link(tmp_path, monkeypatch, name):
    folder = tmp_path / name
    monkeypatch.setenv("WINE_QUALITY_HOME", str(folder))
    monkeypatch.setenv("DAGSTER_HOME", str(folder / "dagster"))
    used = [home(), dagster_home_in_use()]
    assert not any(sign in f"{used}{embedded_uri('3')}" for sign in "%?")
    (used[0] / "logs").mkdir(parents=True)
    assert [path.resolve() for path in used] == [folder, folder / "dagster"]
    # MLflow keeps the paths of its files: the link has the same name at each start.
    assert home() == used[0]
    used[0].unlink()
    assert home() == used[0] and used[0].resolve() == folder


def test_processes_that_begin_at_once_have_dagsters_file(tmp_path, monkeypatch):
    """None sees a moment without it; threads stand for processes."""
    for turn in range(100):
        monkeypatch.setenv("WINE_QUALITY_HOME", str(tmp_path / str(turn)))
        together = threading.Barrier(8)

        def begin(_: int, together: threading.Barrier = together) -> bool:
            together.wait(30)
            return (dagster_home() / "dagster.yaml").exists()

        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(begin, range(8)))
        assert os.listdir(tmp_path / str(turn) / "dagster") == ["dagster.yaml"]


def test_any_umask_will_do(tmp_path, cache):
    before = os.umask(0o002)
    try:
        assert usable_path(tmp_path / "a%b").parent == cache / "wine_quality" / "links"
    finally:
        os.umask(before)


def test_a_link_that_leads_elsewhere_is_made_anew(tmp_path):
    link = usable_path(tmp_path / "a%b")
    link.unlink()
    link.symlink_to(tmp_path)
    assert usable_path(tmp_path / "a%b").resolve() == tmp_path / "a%b"


def test_no_link_lies_where_others_may_write(tmp_path, monkeypatch, cache):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    usable_path(tmp_path / "a%b")
    (cache / "wine_quality" / "links").chmod(0o777)
    other = tmp_path / f"wine-quality-{os.getuid()}"
    assert usable_path(tmp_path / "a%b").parent == other / "links"
    monkeypatch.setattr(usable_paths, "_user_folders", lambda: iter([cache / "wine_quality"]))
    with pytest.raises(OSError, match="is not of this user alone"):
        usable_path(tmp_path / "a%b")


def test_a_cache_with_such_a_path_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c%d"))
    assert "%" not in str(usable_path(tmp_path / "a%b"))


@pytest.mark.parametrize("name", ["a#b", "a b", "a%20b", "a?b"])
def test_gc_reads_a_store_wherever_it_lies(tmp_path, monkeypatch, name):
    folder = tmp_path / name
    folder.mkdir()
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
        connection.execute("CREATE TABLE runs (run_uuid)")
    seen: list[str] = []

    def add(_: Known, connection: sqlite3.Connection) -> None:
        seen.extend(name for (name,) in connection.execute("SELECT name FROM sqlite_master"))

    monkeypatch.setattr(Known, "add", add)
    sqlite_reader(folder / "mlflow.db")()
    assert seen == ["runs"]
    assert os.listdir(folder) == ["mlflow.db"]


def test_environments_are_built_where_dagster_can_run(tmp_path, monkeypatch, cache):
    link = tmp_path / "a%b" / ".venvs"
    monkeypatch.setenv("WINE_QUALITY_ENVIRONMENTS", str(link))
    environment = Environment("a title", MLFLOW_VERSIONS["3"].directory, (), ())
    with building(environment, lambda *_: None):
        (environments_root() / "mlflow-3").mkdir()
    # Dagster looks itself up by its real path: a link to a folder there would not do.
    assert link.resolve().is_relative_to(cache) and (link / "mlflow-3").is_dir()
    monkeypatch.setattr("sys.prefix", str(link / "mlflow-3"))
    assert MLFLOW_VERSIONS["3"].is_resident


def test_environments_in_the_wrong_place_are_not_removed_but_named(tmp_path, monkeypatch):
    link = tmp_path / "a%b" / ".venvs"
    link.mkdir(parents=True)
    monkeypatch.setenv("WINE_QUALITY_ENVIRONMENTS", str(link))
    environment = Environment("a title", MLFLOW_VERSIONS["3"].directory, (), ())
    with pytest.raises(BuildError, match="make clean"), building(environment, lambda *_: None):
        pass
    assert link.is_dir()
