"""Runs that add the same files to ``wine_files`` at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dagster import DagsterInstance

from wine_quality.defs.data.wine_files import PARTITIONS, note_files
from wine_quality_tests.support.servers import await_condition

RUNS, ROUNDS, FILES = 4, 15, 200


class Runs:
    """On one instance of Dagster; each opens it for itself."""

    def __init__(self, folder: Path, storage: str) -> None:
        self.folder = folder
        (folder / "dagster.yaml").write_text(f"storage: {storage}\n")
        with self.open():
            pass  # the tables are there

    def open(self) -> DagsterInstance:
        return DagsterInstance.from_config(str(self.folder))

    def add(self, keys: Sequence[str]) -> None:
        with self.open() as instance:
            note_files(instance, keys)

    def files(self) -> list[str]:
        with self.open() as instance:
            return sorted(instance.get_dynamic_partitions(PARTITIONS))


def test_in_sqlite(tmp_path):
    """Which files are there is looked for before the others are added."""
    runs = Runs(tmp_path, f"{{sqlite: {{base_dir: '{tmp_path}'}}}}")
    rounds = [[f"{turn}-{n}.parquet" for n in range(FILES)] for turn in range(ROUNDS)]
    together = threading.Barrier(RUNS)

    def add_all(_: int) -> None:
        try:
            with runs.open() as instance:
                for keys in rounds:
                    together.wait(60)
                    note_files(instance, keys)
        except BaseException:
            together.abort()
            raise

    with ThreadPoolExecutor(RUNS) as threads:
        list(threads.map(add_all, range(RUNS)))
    assert runs.files() == sorted(key for keys in rounds for key in keys)


@pytest.mark.slow
def test_in_postgresql_in_any_order(postgres, tmp_path):
    """Each adds one file and waits for the next, which another transaction holds."""
    from sqlalchemy import create_engine, text

    name = postgres.create_database()
    runs = Runs(tmp_path, f"{{postgres: {{postgres_url: '{postgres.url(name)}'}}}}")
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
        f"'{name}'"
    )
    held = "INSERT INTO dynamic_partitions (partitions_def_name, partition) VALUES (:name, :key)"
    one_way, other_way = ("1.csv", "2.csv", "3.csv"), ("3.csv", "2.csv", "1.csv")
    with create_engine(postgres.url(name)).connect() as other, ThreadPoolExecutor(2) as threads:
        other.execute(text(held), {"name": PARTITIONS, "key": "2.csv"})
        adding = [threads.submit(runs.add, keys) for keys in (one_way, other_way)]
        await_condition(lambda: postgres.execute(waiting)[0][0] == 2, "both to wait", 30)
        other.rollback()
        for one in adding:
            one.result(30)
    assert runs.files() == ["1.csv", "2.csv", "3.csv"]
