"""`make renew`: the stack's data taken over to another PostgreSQL, or store, and killed.

PostgreSQL needs an older server beside PyPI's, SeaweedFS its own lock file; without them their part
is skipped.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from wine_quality.stack import seaweedfs
from wine_quality.stack.settings import StackError
from wine_quality.upkeep import data_services
from wine_quality.upkeep.restore import verify
from wine_quality_tests.integration.test_backup import predictions
from wine_quality_tests.integration.test_stack import run_of, tags_of
from wine_quality_tests.support.renewals import (
    OLD_SERVERS,
    renew,
    renew_here,
    renewed_home,
    stop_at,
)
from wine_quality_tests.support.stack_client import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROWS = """SET ROLE mlflow; CREATE TABLE runs (run_uuid text, share float8, file bytea, ended
    timestamptz DEFAULT now(), status text);
    INSERT INTO runs SELECT 'é' || i, i / 7.0, 'ab' FROM generate_series(1, 500) i"""
READ = "SELECT run_uuid, share, file::text, ended FROM runs ORDER BY 1"


@pytest.fixture
def home(monkeypatch) -> Iterator[Path]:
    with renewed_home(monkeypatch) as folder:
        yield folder


def find_seaweedfs() -> None:
    try:
        seaweedfs.find_program()
    except StackError as error:
        pytest.skip(str(error))


def fill() -> None:
    with data_services.stopped(print) as services:
        with closing(services.connect("mlflow_3")) as connection, connection:
            connection.cursor().execute(ROWS)
        for client, bucket in services.buckets().values():
            for number in range(30):
                client.put_object(Bucket=bucket, Key=f"a/{number}/é", Body=b"x" * 100 * number)


def seen() -> tuple[str, list, dict[str, bytes]]:
    """The server's major version, the rows, the objects."""
    with data_services.stopped(print) as services:
        with closing(services.connect("mlflow_3")) as connection, connection.cursor() as cursor:
            cursor.execute(READ)
            rows = cursor.fetchall()
        objects = {
            f"{bucket}/{entry['Key']}": client.get_object(Bucket=bucket, Key=entry["Key"])[
                "Body"
            ].read()
            for client, bucket in services.buckets().values()
            for entry in client.list_objects_v2(Bucket=bucket)["Contents"]
        }
        return services.postgres_version.partition(".")[0], rows, objects


@pytest.mark.skipif(not OLD_SERVERS, reason="no older PostgreSQL in /usr/lib/postgresql")
def test_a_newer_postgresql(home: Path, tmp_path: Path, monkeypatch):
    old = OLD_SERVERS[-1].parent
    monkeypatch.setenv("WINE_QUALITY_POSTGRES_BIN", str(old))
    fill()
    monkeypatch.delenv("WINE_QUALITY_POSTGRES_BIN")
    before = seen()
    assert before[0] == old.parent.name
    assert "is of PostgreSQL" in renew("postgres", tmp_path / "no", "--with", old, code=1)
    assert not (tmp_path / "no").exists()
    for number, line in enumerate(("all databases as of", "mlflow_3 is restored")):
        stop_at(line, signal.SIGKILL, "postgres", tmp_path / f"killed{number}")
        assert seen() == before
    output = renew("postgres", tmp_path / "killed0", code=1)
    assert "interrupted or is still being made; remove it" in output
    asked = stop_at("mlflow_3 is", signal.SIGINT, "postgres", tmp_path / "asked")
    assert "interrupted: the stack is as it was" in asked
    assert seen() == before and verify(tmp_path / "asked")
    output = renew_here(monkeypatch, "postgres", tmp_path / "backup")
    assert "the same in both: 500 rows of 1 tables in 5 databases" in output
    after = seen()
    assert after[1:] == before[1:] and int(after[0]) > int(before[0])
    assert "of a newer major version" in renew("postgres", tmp_path / "again", code=1)
    # Back, as its last lines name it, and killed when it takes its place.
    data = _data(home)
    (kept,) = data.parent.glob("data-of-*")
    assert f"mv {kept} {data}" in output
    data.rename(data.with_name("data-new"))
    kept.rename(data)
    assert seen() == before
    stop_at("the same in", signal.SIGKILL, "postgres", tmp_path / "late")
    assert seen()[1:] == before[1:]


def _data(home: Path) -> Path:
    place = home / "stack" / "postgres"
    return (place / "elsewhere" if (place / "elsewhere").exists() else place) / "data"


def test_another_store(home: Path, tmp_path: Path, monkeypatch):
    find_seaweedfs()
    fill()
    before = seen()
    assert "WITH=nanio, minio or seaweedfs" in renew("store", tmp_path / "no", code=1)
    assert "WITH is 'ceph'" in renew("store", tmp_path / "no", "--with", "ceph", code=1)
    for line in ("dagster: ", "s3 is ready"):
        stop_at(line, signal.SIGKILL, "store", tmp_path / line[:2], "--with", "seaweedfs")
        assert seen() == before
    output = renew("store", tmp_path / "backup", "--with", "seaweedfs")
    assert "the same in both: 60 objects" in output
    with pytest.raises(StackError, match="of another store"):
        seen()
    monkeypatch.setenv("WINE_QUALITY_STORE", "seaweedfs")
    assert seen() == before
    assert "60 objects" in renew_here(monkeypatch, "store", tmp_path / "backup2", "nanio")
    monkeypatch.setenv("WINE_QUALITY_STORE", "nanio")
    assert seen() == before


@pytest.mark.skipif(
    os.environ.get("WINE_QUALITY_UPGRADE_TEST") != "all" or not OLD_SERVERS,
    reason="it takes two minutes: WINE_QUALITY_UPGRADE_TEST=all, and an older PostgreSQL",
)
def test_a_stack_with_a_champion(home: Path, tmp_path: Path, monkeypatch):
    """The job's run, its model and what it predicts, on other servers; then another run."""
    find_seaweedfs()
    old = str(OLD_SERVERS[-1].parent)
    stack = Stack(home, ["3"], WINE_QUALITY_POSTGRES_BIN=old, WINE_QUALITY_STORE="nanio")
    try:
        stack.up()
        ended = run_of(stack, ["3"])
        before = predictions(stack, "3")
        assert "the stack is up" in renew("postgres", tmp_path / "up", code=1)
        stack.down()
        renew("postgres", tmp_path / "one")
        renew("store", tmp_path / "two", "--with", "seaweedfs")
        monkeypatch.setenv("WINE_QUALITY_STORE", "seaweedfs")
        renew("dagster", tmp_path / "three")
        assert "no PostgreSQL 18 is here" in stack.call("up", "--detach").stdout
        unchanged = Stack(home, ["3"], WINE_QUALITY_STORE="nanio")
        assert "of another store: set it to seaweedfs" in unchanged.call("up", "--detach").stdout
        stack = Stack(home, ["3"], WINE_QUALITY_STORE="seaweedfs")
        assert "PostgreSQL 18" in stack.up()
        assert predictions(stack, "3") == before and tags_of(stack, ended["3"].run_id)
        run_of(stack, ["3"])
    finally:
        stack.down()


def test_what_is_refused_before_anything_is_written(home: Path, tmp_path: Path):
    assert "name a new folder for the backup that comes first" in renew("store", "", code=2)
    assert "there is no PostgreSQL data" in renew("postgres", tmp_path / "backup", code=1)
    assert "WITH is not for dagster" in renew("dagster", tmp_path / "a", "--with", "2", code=2)
    for given in ("", "3", "1.26 4"):
        assert "two MLflow versions" in renew("mlflow", tmp_path / "a", "--with", given, code=2)
    (tmp_path / "note").write_text("mine")
    assert "is not empty" in renew("dagster", tmp_path, code=1)
    with data_services.stopped(print):
        for what in ("postgres", "store", "dagster"):
            output = renew(
                what, tmp_path / "backup", "--with", "seaweedfs" * (what == "store"), code=1
            )
            assert "the stack is up; stop it" in output
    beyond = tmp_path / "note" / "backup"
    assert "NotADirectoryError" in renew("dagster", beyond, code=1)
    (home / "stack" / "restore.unfinished").write_text("/backups/monday")
    output = renew("dagster", tmp_path / "backup", code=1)
    assert "finish it first: make restore FROM=/backups/monday" in output
    assert list(tmp_path.iterdir()) == [tmp_path / "note"]
