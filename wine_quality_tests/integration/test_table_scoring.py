"""Rows of a real PostgreSQL's tables, scored as those of files are."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from upath import UPath

from wine_quality.datasets.contract import FEATURES
from wine_quality.engines.batches import UnreadableFileError
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.scoring.inputs import DESCRIPTION
from wine_quality.scoring.score import BadRowsError, ScoringModel, Target, score
from wine_quality.scoring.sources import open_source
from wine_quality.settings.places import TABLE_DATABASES
from wine_quality_tests.support.postgres import PASSWORD
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
MODEL = ScoringModel("7", [("a b", "FP64"), ("n", "INT64")], lambda rows: rows["a b"] + rows["n"])
ROWS = 40_000


@pytest.fixture
def database(postgres, monkeypatch):
    """A function that runs SQL in a database of the test's own, and its address without a login."""
    name = postgres.create_database()
    monkeypatch.setenv(TABLE_DATABASES, f"postgresql://else/where, {postgres.url(name)}")
    address = f"postgresql://127.0.0.1:{postgres.port}/{name}?table="
    return lambda sql: postgres.execute(sql, name), address


def scored(source: str, out: Path, key=(), rejects: bool = False):
    inputs = open_source(source, out.parent, "source", 1, "512MB")
    try:
        aside = UPath(out.with_name("rejects.parquet")) if rejects else None
        target = Target(UPath(out), aside, list(key), datetime(2026, 11, 27), {})
        return score(inputs, MODEL, target)
    finally:
        inputs.close()


def test_a_table_is_scored_as_the_file_of_its_rows(database, tmp_path):
    execute, address = database
    execute(
        "CREATE SCHEMA s; CREATE TABLE s.rows AS SELECT i AS id, i::bigint AS n, (i / 7.0)::numeric"
        f" AS \"a b\", 'x' AS more FROM generate_series(1, {ROWS}) i"
    )
    done = scored(f"{address}s.rows", tmp_path / "out.parquet", ["id"])
    frame = pd.DataFrame(execute('SELECT n, "a b"::float8 FROM s.rows'), columns=["n", "a b"])
    frame.to_parquet(tmp_path / "rows.parquet")
    same = scored(str(tmp_path / "rows.parquet"), tmp_path / "same.parquet")
    assert (done.rows, done.inputs_sha256) == (ROWS, same.inputs_sha256)
    found = pd.read_parquet(tmp_path / "out.parquet").set_index("id")
    assert found["prediction"]["7"] == 8.0 and len(found) == ROWS


def test_only_what_the_environment_lists_is_read_and_no_login_is_named(
    database, postgres, tmp_path
):
    _, address = database
    for source, reason in (
        (address.replace("127.0.0.1", "localhost") + "t", TABLE_DATABASES),
        (address.replace("?", "x?") + "t", TABLE_DATABASES),
        (address.replace("//", "//postgres:geheim@") + "t", "names a user or password"),
        (f"{address}t&host=evil", "does not name one table"),
        (f"{address}a.b.c", "does not name one table"),
        (address.partition("?")[0], "does not name one table"),
        (f"{address}t%00", "does not name one table"),
    ):
        with pytest.raises(UnreadableFileError) as refused:
            scored(source, tmp_path / "out.parquet")
        assert reason in str(refused.value)
        assert "geheim" not in str(refused.value) and PASSWORD not in str(refused.value)


def test_a_name_is_a_name_and_nothing_is_written(database, tmp_path):
    execute, address = database
    execute('CREATE TABLE kept AS SELECT 1.0::float8 AS "a b", 2 AS n')
    name = 'kept" WHERE pg_sleep(60) IS NULL; DROP TABLE kept; --'
    quoted = name.replace('"', '""')
    execute(f'CREATE TABLE "{quoted}" AS SELECT * FROM kept')
    assert scored(f"{address}{quote(name)}", tmp_path / "out.parquet").rows == 1
    with pytest.raises(UnreadableFileError, match="names no table"):
        scored(f"{address}{quote(name)}x", tmp_path / "out.parquet")
    execute("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'DELETE FROM kept RETURNING n'")
    execute('CREATE VIEW writes AS SELECT "a b", f() AS n FROM kept')
    with pytest.raises(UnreadableFileError, match="read-only transaction"):
        scored(f"{address}writes", tmp_path / "out.parquet")
    assert execute("SELECT count(*) FROM kept") == [(1,)]


def test_bad_rows_and_columns_are_refused_in_words(database, tmp_path):
    execute, address = database
    execute('CREATE TABLE t ("a b" float8, n int); INSERT INTO t VALUES (1, 2), (NULL, 3)')
    with pytest.raises(BadRowsError, match="row 2: column 'a b' is empty"):
        scored(f"{address}t", tmp_path / "out.parquet")
    done = scored(f"{address}t", tmp_path / "out.parquet", rejects=True)
    assert (done.rows, done.rejected) == (1, 1)
    execute('CREATE TABLE words ("a b" text)')
    with pytest.raises(
        UnreadableFileError, match=r"'n' is missing; column 'a b' holds string \(text\)"
    ):
        scored(f"{address}words", tmp_path / "out.parquet")


def test_make_predict_of_a_table_keeps_the_password_to_itself(
    database, mlflow_version, mlflow_server, home, tmp_path
):
    execute, address = database
    server, name = mlflow_server(mlflow_version), f"table-{uuid.uuid4().hex[:8]}"
    config, out = tmp_path / "config.yaml", tmp_path / "out.parquet"
    fields = f"registered_model_name: {name}, experiment_name: {name}"
    config.write_text(f"resources: {{mlflow: {{config: {{{fields}}}}}}}")
    given = ("--mlflow", mlflow_version.key, "--tracking-uri", server.uri, "--config", str(config))
    trained = run_command("run", *given)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    wines = pd.read_csv(PACKAGED_RED_WINE, sep=";")[list(FEATURES)][:100]
    execute(f"CREATE TABLE wines ({', '.join(f'{chr(34)}{one}{chr(34)} float8' for one in wines)})")
    values = ", ".join(str(tuple(map(float, row))) for row in wines.to_numpy())
    execute(f"INSERT INTO wines VALUES {values}")
    done = run_command("predict", f"{address}wines", "--out", str(out), *given)
    assert done.returncode == 0, done.stdout + done.stderr
    wines.to_parquet(tmp_path / "wines.parquet")
    file = run_command(
        "predict", str(tmp_path / "wines.parquet"), "--out", f"{out}2.parquet", *given
    )
    assert file.returncode == 0, file.stdout + file.stderr
    one, other = (pd.read_parquet(path)["prediction"] for path in (out, f"{out}2.parquet"))
    assert np.array_equal(one, other) and len(one) == 100
    described = json.loads(pq.read_metadata(out).metadata[DESCRIPTION.encode()])
    assert described["source"] == f"{address}wines"
    texts = [done.stdout, done.stderr, json.dumps(described), json.dumps(server.runs(name))]
    for kept in home.rglob("*"):
        if kept.is_file():
            texts.append(kept.read_bytes().decode("latin-1"))
    for secret in (PASSWORD, "p%40ss"):
        assert not any(secret in text for text in texts)
