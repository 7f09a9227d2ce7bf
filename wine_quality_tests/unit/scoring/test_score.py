"""Rows of Parquet and CSV through a model, into a file that is whole or not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from wine_quality.engines.batches import UnreadableFileError
from wine_quality.paths import PROJECT_ROOT
from wine_quality.scoring.inputs import DESCRIPTION, Inputs
from wine_quality.scoring.row_batches import ROWS_PER_BATCH, Segment
from wine_quality.scoring.score import BadRowsError, ScoringModel, Target, score
from wine_quality.scoring.sources import find_source

ROWS = ROWS_PER_BATCH + 1000
NOW = datetime(2026, 11, 27)
MODEL = ScoringModel(
    "7", [("a b", "FP64"), ("n", "INT64")], lambda frame: 2 * frame["a b"] + frame["n"]
)


@pytest.fixture
def frame() -> pd.DataFrame:
    random = np.random.default_rng(1)
    return pd.DataFrame(
        {"id": [f"r{n}" for n in range(ROWS)], "a b": random.normal(size=ROWS), "n": range(ROWS)}
    )


def run(source: Path | str, out: Path, rejects: Path | None = None, key=("id",)):
    inputs = Inputs([str(source)])
    try:
        put_aside = UPath(rejects) if rejects else None
        return score(inputs, MODEL, Target(UPath(out), put_aside, key, NOW, {"version": "7"}))
    finally:
        inputs.close()


def test_parquet_and_csv_are_scored_alike(tmp_path, frame):
    frame.to_parquet(tmp_path / "rows.parquet")
    frame[["n", "id", "a b"]].to_csv(tmp_path / "rows.csv", index=False, sep=";")
    frame.to_csv(tmp_path / "comma.csv.gz", index=False, sep=";", decimal=",")
    seen = [
        run(tmp_path / name, tmp_path / "out" / f"{name}.parquet")
        for name in ("rows.parquet", "rows.csv", "comma.csv.gz")
    ]
    assert len({one.inputs_sha256 for one in seen}) == 1
    for file in (tmp_path / "out").iterdir():
        found = pd.read_parquet(file)
        assert list(found["row"]) == list(range(1, ROWS + 1))
        assert list(found["id"]) == list(frame["id"])
        assert np.array_equal(found["prediction"], 2 * frame["a b"] + frame["n"])
        assert set(found["model_version"]) == {"7"}
        described = json.loads(pq.read_metadata(file).metadata[DESCRIPTION.encode()])
        assert described["version"] == "7"
        assert described["rows"] == ROWS
        assert described["inputs_sha256"] == seen[0].inputs_sha256
        assert seen[0].mean == pytest.approx(found["prediction"].mean())
    assert sum(seen[0].counts) == ROWS


def test_files_of_a_folder_are_one_input(tmp_path, frame):
    folder = tmp_path / "in"
    folder.mkdir()
    frame.head(10).to_parquet(folder / "1.parquet")
    frame[10:].to_csv(folder / "2.csv", index=False)
    assert run(f"{folder}/", tmp_path / "out.parquet").rows == ROWS
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert list(found["id"]) == list(frame["id"])
    assert found["row"].is_monotonic_increasing


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_of_a_segment_its_own_rows_are_scored(tmp_path, frame, suffix):
    """Their numbers are those of the whole input; bad rows of other segments do no harm."""
    rows = frame.assign(city=["Bern", "Genf"] * (ROWS // 2))
    rows.loc[0, "a b"] = np.nan
    place, out = tmp_path / f"rows.{suffix}", tmp_path / "out.parquet"
    rows.to_parquet(place) if suffix == "parquet" else rows.to_csv(place, index=False)

    def of(city: str):
        inputs = Inputs([str(place)])
        target = Target(UPath(out), None, ["id"], NOW, {}, Segment("city", city))
        try:
            return score(inputs, MODEL, target)
        finally:
            inputs.close()

    done, found, own = of("Genf"), pd.read_parquet(out), rows[rows["city"] == "Genf"]
    assert (done.read, done.rows) == (ROWS, ROWS // 2)
    assert list(found["row"]) == list(own.index + 1)
    assert list(found["id"]) == list(own["id"])
    assert list(found.columns) == ["row", "id", "prediction", "model_version", "predicted_at"]
    with pytest.raises(BadRowsError, match="row 1: column 'a b' is empty"):
        of("Bern")
    with pytest.raises(UnreadableFileError, match=rf"none of the {ROWS} rows has city = Lugano"):
        of("Lugano")
    place.unlink()
    place = tmp_path / "other.parquet"
    frame.to_parquet(place)
    with pytest.raises(UnreadableFileError, match="column 'city' is missing"):
        of("Genf")


def test_a_classifier_has_a_column_for_each_class(tmp_path, frame):
    def likely(rows: pd.DataFrame) -> np.ndarray:
        positive = 1 / (1 + np.exp(-rows["a b"].to_numpy()))
        return np.column_stack([1 - positive, positive])

    model = ScoringModel(
        *("7", MODEL.columns, lambda rows: (rows["a b"] > 0).astype(int), ("0", "1"), likely)
    )
    frame.to_parquet(tmp_path / "rows.parquet")
    target = Target(UPath(tmp_path / "out.parquet"), None, ["id"], NOW, {})
    score(Inputs([str(tmp_path / "rows.parquet")]), model, target)
    found = pd.read_parquet(tmp_path / "out.parquet")
    names = ["row", "id", "prediction", "probability_0", "probability_1", "model_version"]
    assert list(found.columns) == [*names, "predicted_at"]
    assert np.array_equal(found["probability_1"] > 0.5, found["prediction"] == 1)
    assert found[["probability_0", "probability_1"]].sum(axis=1).to_numpy() == pytest.approx(1)
    frame.rename(columns={"id": "probability_1"}).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="key names probability_1, which the predictions have"):
        named = Target(target.file, None, ["probability_1"], NOW, {})
        score(Inputs([str(tmp_path / "rows.parquet")]), model, named)


BAD = [
    (5, "a b", "", "is empty or NaN"),
    (ROWS_PER_BATCH + 9, "n", "abc", "holds text, such as 'abc'"),
    (ROWS_PER_BATCH + 10, "n", "1.5", "is 1.5, no whole number"),
    (ROWS_PER_BATCH + 11, "a b", "inf", "is infinite"),
]


@pytest.mark.parametrize(("row", "column", "value", "problem"), BAD)
def test_a_bad_row_is_named_and_nothing_is_written(tmp_path, frame, row, column, value, problem):
    bad = frame.astype(str)
    bad.loc[row, column] = value
    bad.to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(BadRowsError) as refused:
        run(tmp_path / "bad.csv", tmp_path / "out" / "x.parquet")
    assert f"bad.csv: row {row + 1}: column '{column}' {problem}" in str(refused.value)
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True
    assert not list(tmp_path.rglob(".*.part"))


def test_bad_rows_are_put_aside_and_the_others_keep_their_numbers(tmp_path, frame):
    bad = frame.astype(str)
    for row, column, value, _ in BAD:
        bad.loc[row, column] = value
    bad.to_csv(tmp_path / "bad.csv", index=False)
    out, rejects = tmp_path / "out.parquet", tmp_path / "out.rejects.parquet"
    seen = run(tmp_path / "bad.csv", out, rejects)
    assert (seen.read, seen.rows, seen.rejected) == (ROWS, ROWS - 4, 4)
    put_aside = pd.read_parquet(rejects)
    wanted = [(row + 1, column, problem) for row, column, _, problem in BAD]
    assert list(zip(*(put_aside[n] for n in ("row", "column", "problem")), strict=True)) == wanted
    found = pd.read_parquet(out)
    assert list(found["row"]) == sorted(set(range(1, ROWS + 1)) - {row for row, *_ in wanted})
    # The next pass has none: what the first put aside is of another file.
    frame.to_csv(tmp_path / "bad.csv", index=False)
    assert run(tmp_path / "bad.csv", out, rejects).rejected == 0
    assert not rejects.exists()


def test_a_row_that_has_nothing_of_the_model_is_no_empty_line(tmp_path):
    """Rows after it would be numbered wrongly, and it would be lost."""
    (tmp_path / "a.csv").write_text("id,a b,n\nx,1,1\ny,,\n,,\nz,2,2\n")
    with pytest.raises(BadRowsError, match="row 2: column 'a b' is empty"):
        run(tmp_path / "a.csv", tmp_path / "out.parquet")
    seen = run(tmp_path / "a.csv", tmp_path / "out.parquet", tmp_path / "rejects.parquet")
    assert (seen.rows, seen.rejected) == (2, 1)
    assert list(pd.read_parquet(tmp_path / "out.parquet")["row"]) == [1, 3]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"id": ["x"], "A_B": [1.0], "n": [1]}, "column 'a b' is missing (the file has 'A_B'"),
        ({"id": ["x"], "a b": ["1"], "n": [1]}, "column 'a b' holds string, not numbers"),
        ({"a b": [1.0], "n": [1]}, "column 'id' is missing"),
        ({"id": [], "a b": [], "n": []}, "has no rows"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_before_it_is_read(tmp_path, columns, words):
    types = {"id": pa.string()} | {"a b": pa.string()} if columns.get("a b") == ["1"] else {}
    pq.write_table(
        pa.table({name: pa.array(v, types.get(name)) for name, v in columns.items()}),
        tmp_path / "a.parquet",
    ) if columns.get("id") != [] else pd.DataFrame(columns, dtype=float).to_parquet(
        tmp_path / "a.parquet"
    )
    with pytest.raises(UnreadableFileError) as refused:
        run(tmp_path / "a.parquet", tmp_path / "out.parquet")
    assert words in str(refused.value)


def test_a_prefix_of_s3_is_scored_as_its_rows_in_one_file(tmp_path, frame, s3):
    """Parquet and CSV at two depths; files that others leave beside their data are passed over."""
    import boto3

    cut = ROWS // 3
    frame[:cut].to_parquet(tmp_path / "a.parquet")
    frame[cut:].to_csv(tmp_path / "b.csv", index=False)
    frame.to_parquet(tmp_path / "whole.parquet")
    for name, key in (
        ("a.parquet", "a.parquet"),
        ("b.csv", "later/b.csv"),
        ("b.csv", "_tmp/b.csv"),
    ):
        boto3.client("s3").upload_file(str(tmp_path / name), "wines", f"scored/{key}")
    done = run("s3://wines/scored/", tmp_path / "out.parquet")
    whole = run(tmp_path / "whole.parquet", tmp_path / "whole-out.parquet")
    assert (done.rows, done.inputs_sha256) == (ROWS, whole.inputs_sha256)
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert list(found["row"]) == list(range(1, ROWS + 1)) and list(found["id"]) == list(frame["id"])
    with pytest.raises(UnreadableFileError, match="names no file"):
        run("s3://wines/nothing/", tmp_path / "out.parquet")


def test_a_key_may_not_hide_a_column_of_the_predictions(tmp_path, frame):
    frame.rename(columns={"id": "row"}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="key names row, which the predictions have"):
        run(tmp_path / "a.parquet", tmp_path / "out.parquet", key=["row"])


def test_a_table_of_a_database_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(UnreadableFileError) as refused:
        find_source("postgresql://me:secret@host/db", tmp_path, "ops.x.config.source")
    assert "and from tables of PostgreSQL" in str(refused.value)
    assert "secret" not in str(refused.value)


KILLED = """
import sys, time
from wine_quality_tests.unit.scoring.test_score import MODEL, run
from dataclasses import replace
from pathlib import Path
import wine_quality_tests.unit.scoring.test_score as test

def slow(frame):
    print("scoring", flush=True)
    if len(frame) != test.ROWS_PER_BATCH:
        time.sleep(60)
    return MODEL.predict(frame)

test.MODEL = replace(MODEL, predict=slow)
run(sys.argv[1], Path(sys.argv[2]))
"""


def test_a_kill_leaves_what_was_there(tmp_path, frame):
    """The file of the pass before stays whole; what the killed one left goes with the next."""
    frame.to_parquet(tmp_path / "a.parquet")
    out = tmp_path / "out.parquet"
    run(tmp_path / "a.parquet", out)
    before = out.read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "a.parquet"), str(out)],
        stdout=subprocess.PIPE,
        cwd=PROJECT_ROOT,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
    )
    try:
        assert process.stdout
        assert [process.stdout.readline() for _ in range(2)] == [b"scoring\n"] * 2
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert out.read_bytes() == before
    assert len(list(tmp_path.glob(".out.parquet.*.part"))) == 1
    run(tmp_path / "a.parquet", out)
    assert not list(tmp_path.glob(".*.part"))
    assert pq.read_metadata(out).num_rows == ROWS


def test_a_file_that_changes_meanwhile_gives_no_predictions(tmp_path, frame):
    frame.to_parquet(tmp_path / "a.parquet")
    inputs = Inputs([str(tmp_path / "a.parquet")])
    os.utime(tmp_path / "a.parquet", (time.time() + 9, time.time() + 9))
    with pytest.raises(UnreadableFileError, match="changed while it was read"):
        score(inputs, MODEL, Target(UPath(tmp_path / "out.parquet"), None, [], NOW, {}))
    assert not (tmp_path / "out.parquet").exists()
