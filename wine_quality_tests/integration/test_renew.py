"""`make renew`: the stack's data taken over to another PostgreSQL, store or Dagster, and killed.

PostgreSQL needs an older server beside PyPI's, SeaweedFS its own lock file, an older Dagster an
environment named by ``WINE_QUALITY_OLD_DAGSTER=…/bin/python``; without them their part is skipped.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from wine_quality.paths import PROJECT_ROOT
from wine_quality.stack import seaweedfs
from wine_quality.stack.settings import StackError
from wine_quality.upkeep import data_services
from wine_quality.upkeep.restore import verify
from wine_quality.upkeep.unfinished import instance_variables
from wine_quality_tests.support.servers import await_condition, dying_with_us, processes_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

OLD_SERVERS = sorted(Path("/usr/lib/postgresql").glob("1[4-7]/bin/postgres"))
OLD_DAGSTER = os.environ.get("WINE_QUALITY_OLD_DAGSTER", sys.executable)
ROWS = """SET ROLE mlflow; CREATE TABLE runs (run_uuid text, share float8, file bytea, ended
    timestamptz DEFAULT now(), status text);
    INSERT INTO runs SELECT 'é' || i, i / 7.0, 'ab' FROM generate_series(1, 500) i"""
READ = "SELECT run_uuid, share, file::text, ended FROM runs ORDER BY 1"
# Written by the older Dagster, read by this one.
RUNS = """
from dagster import DagsterInstance, asset, materialize
@asset
def wine(): return 1
with DagsterInstance.get() as instance:
    for number in range(3):
        materialize([wine], instance=instance, tags={"number": str(number)})
"""
LIST = """
from dagster import AssetKey, DagsterInstance
with DagsterInstance.get() as instance:
    print(sorted(run.tags["number"] for run in instance.get_runs()))
    print(instance.get_latest_materialization_event(AssetKey("wine")) is not None)
"""


@pytest.fixture
def home(monkeypatch) -> Iterator[Path]:
    """Not under pytest's folder, which is closed to the user that PostgreSQL runs as."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    folder = Path(tempfile.mkdtemp(prefix="wine-quality-renew-"))
    folder.chmod(0o755)
    monkeypatch.setenv("WINE_QUALITY_HOME", str(folder))
    monkeypatch.setenv("WINE_QUALITY_STORE", "nanio")
    yield folder
    await_condition(lambda: not processes_of(folder), "the stack's processes to end")
    shutil.rmtree(folder)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "wine_quality", "renew", *map(str, arguments)]


def renew(*arguments: object, code: int = 0) -> str:
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, cwd=PROJECT_ROOT, timeout=200
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def stop_at(line: str, number: signal.Signals, *arguments: object) -> str:
    """Send a signal as soon as the renewal prints that line; what it wrote to stderr."""
    process = subprocess.Popen(
        dying_with_us(*command(*arguments)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT_ROOT,
    )
    assert process.stdout is not None and process.stderr is not None
    with process.stdout, process.stderr:
        found = next((one for one in process.stdout if one.startswith(line)), None)
        process.send_signal(number)
        rest = process.stderr.read()
    process.wait(60)
    assert found is not None, rest
    return rest


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
    for number, line in enumerate(("all databases as of", "mlflow_3 is restored", "the same in")):
        stop_at(line, signal.SIGKILL, "postgres", tmp_path / f"killed{number}")
        if number == 0:
            output = renew("postgres", tmp_path / "killed0", code=1)
            assert "interrupted or is still being made; remove it" in output
        if line != "the same in":  # then it may be a moment too late
            assert seen() == before
    asked = stop_at("mlflow_3 is", signal.SIGINT, "postgres", tmp_path / "asked")
    if seen()[0] == before[0]:
        assert "interrupted: the stack is as it was" in asked
        assert seen() == before and verify(tmp_path / "asked")
        output = renew("postgres", tmp_path / "backup")
        assert "the same in both: 500 rows of 1 tables in 5 databases" in output
        assert "to go back" in output
    after = seen()
    assert after[1:] == before[1:] and int(after[0]) > int(before[0])
    assert "of a newer major version" in renew("postgres", tmp_path / "again", code=1)
    # And back, as its last lines name it.
    data = _data(home)
    (kept,) = data.parent.glob("data-of-*")
    data.rename(data.with_name("data-new"))
    kept.rename(data)
    assert seen() == before


def _data(home: Path) -> Path:
    place = home / "stack" / "postgres"
    return (place / "elsewhere" if (place / "elsewhere").exists() else place) / "data"


def test_another_store(home: Path, tmp_path: Path, monkeypatch):
    try:
        seaweedfs.find_program()
    except StackError as error:
        pytest.skip(str(error))
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
    assert "60 objects" in renew("store", tmp_path / "backup2", "--with", "nanio")
    monkeypatch.setenv("WINE_QUALITY_STORE", "nanio")
    assert seen() == before


def in_dagster(folder: Path, python: str, program: str) -> str:
    """Run a program on the stack's instance with some Dagster."""
    with data_services.stopped(print) as services:
        variables = instance_variables(services, folder)
        own = (services.folder / "dagster" / "dagster.yaml").read_text()
        (folder / "dagster.yaml").write_text(own.partition("compute_logs:")[0])
        done = subprocess.run(
            [python, "-W", "ignore", "-c", program],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def of_dagster(query: str) -> list:
    with data_services.stopped(print) as services:
        name = services.settings["DAGSTER_POSTGRES_DB"]
        with (
            closing(services.connect(name)) as connection,
            connection,
            connection.cursor() as found,
        ):
            found.execute(query)
            return found.fetchall() if found.description else []


def test_another_dagster(home: Path, tmp_path: Path):
    assert "Dagster has no tables here" in renew("dagster", tmp_path / "none", code=1)
    in_dagster(tmp_path, OLD_DAGSTER, RUNS)
    rows = "SELECT count(*) FROM event_logs"
    before = of_dagster(rows)
    # Of a Dagster that this one does not know.
    ((revision,),) = of_dagster("SELECT version_num FROM alembic_version")
    of_dagster("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    output = renew("dagster", tmp_path / "newer", code=1)
    assert "could not migrate its database; nothing was changed" in output
    assert of_dagster("SELECT version_num FROM alembic_version") == [("ffffffffffff",)]
    of_dagster(f"UPDATE alembic_version SET version_num = '{revision}'")
    for number, line in ((signal.SIGKILL, "instance migrate"), (signal.SIGINT, "dagster is")):
        stop_at(line, number, "dagster", tmp_path / number.name)
        assert of_dagster(rows) == before
    assert "the same in both" in renew("dagster", tmp_path / "backup")
    assert in_dagster(tmp_path, sys.executable, LIST) == "['0', '1', '2']\nTrue\n"
    names = "SELECT datname FROM pg_database WHERE datname LIKE '%\\_\\_%'"
    assert of_dagster(names) == []


def test_what_is_refused_before_anything_is_written(home: Path, tmp_path: Path):
    assert "name a new folder for the backup that comes first" in renew("store", "", code=2)
    assert "there is no PostgreSQL data" in renew("postgres", tmp_path / "backup", code=1)
    assert "WITH is not for dagster" in renew("dagster", tmp_path / "a", "--with", "2", code=1)
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
    (home / "stack" / "restore.unfinished").write_text("/backups/monday")
    output = renew("dagster", tmp_path / "backup", code=1)
    assert "finish it first: make restore FROM=/backups/monday" in output
    assert list(tmp_path.iterdir()) == [tmp_path / "note"]
