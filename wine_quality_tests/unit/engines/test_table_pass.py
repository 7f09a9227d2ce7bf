"""A pass over any table of numbers: parts, sums and figures as of the same rows in memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from wine_quality.engines.batches import UnreadableFileError
from wine_quality.engines.broken_rules import BrokenFilesError
from wine_quality.engines.membership import Membership
from wine_quality.engines.resource import TrainingEngine
from wine_quality.engines.row_table import RowTable
from wine_quality.engines.table_pass import StreamedTable, inspect_table
from wine_quality.families.family import find_family
from wine_quality.models.elastic_net.fit import LinearModel
from wine_quality.models.elastic_net.moments import Moments
from wine_quality.tables.dataset import Column, Dataset, DeclarationError, Task

pytest.importorskip("duckdb", reason="DuckDB is not installed here")

FLATS = Dataset(
    "flats",
    (
        Column("area", "float", 5, 1000, "m²"),
        Column("rent", "float"),
        Column("rooms", "int", 1, 20),
        Column("age", "float", 0),
        Column("same", "float"),
    ),
    "rent",
    Task.regression,
)
TABLE, ENGINE = RowTable.of(FLATS), TrainingEngine(engine="duckdb", threads=2)
NAMES = ["area", "rooms", "age", "same", "rent"]


def flats(rows: int, seed: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    area = random.uniform(20, 200, rows)
    rooms = np.ceil(area / 40).astype("int64")
    age = random.exponential(30, rows)
    noise = random.normal(scale=80, size=rows)
    rent = 300 + 14 * area + 55 * rooms - 3 * age + noise
    return pd.DataFrame({"rent": rent, "area": area, "rooms": rooms, "age": age, "same": 7.5})


def write(frame: pd.DataFrame, folder: Path, suffix: str, files: int = 2) -> str:
    folder.mkdir()
    for number, rows in enumerate(np.array_split(np.arange(len(frame)), files)):
        part, place = frame.iloc[rows], folder / f"{number}.{suffix}"
        part.to_parquet(place, index=False) if suffix == "parquet" else part.to_csv(
            place, index=False
        )
    return f"{folder}/"


def read(place: str, membership: Membership = Membership()) -> StreamedTable:  # noqa: B008
    files, _ = inspect_table(ENGINE, TABLE, place, "flats", trusted=True)
    return StreamedTable.read(ENGINE, TABLE, files, membership, print)


def test_the_sums_are_those_of_the_rows_in_any_format(tmp_path):
    rows = flats(30_000)
    found = [read(write(rows, tmp_path / suffix, suffix)) for suffix in ("parquet", "csv")]
    found.append(read(write(rows.sample(frac=1), tmp_path / "other", "parquet", files=5)))
    matrix = rows[NAMES].to_numpy(dtype=float)
    tested = TABLE.is_test(matrix.T, Membership())
    assert tested.mean() == pytest.approx(0.25, abs=0.02)
    for one in found:
        for got, part in ((one.sums.test, matrix[tested]), (one.sums.train, matrix[~tested])):
            expected = Moments.of_rows(NAMES, part)
            assert got.n == len(part)
            assert got.mean == pytest.approx(expected.mean, rel=1e-12)
            assert got.cross == pytest.approx(expected.cross, rel=1e-9, abs=1e-6)
        assert one.sha256 == found[0].sha256
    again = StreamedTable.from_plain(TABLE, json.loads(json.dumps(found[0].to_plain())))
    assert again.sums.train.cross == pytest.approx(found[0].sums.train.cross, rel=0, abs=0)
    assert again.examples("test").equals(found[0].examples("test"))
    assert list(again.examples("train").columns) == NAMES
    other = RowTable(TABLE.columns[1:])
    with pytest.raises(ValueError, match="the data set has rooms, age, same, rent now"):
        StreamedTable.from_plain(other, found[0].to_plain())


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize(
    ("name", "alpha"), [("elastic_net", 0.05), ("lasso", 0.5), ("ridge", 20.0), ("ridge", 1e4)]
)
def test_the_model_is_that_of_all_rows_in_memory(tmp_path, name, alpha, standardize):
    rows = flats(20_000, seed=3)
    table = read(write(rows, tmp_path / "rows", "parquet"))
    matrix = rows[NAMES].to_numpy(dtype=float)
    tested = TABLE.is_test(matrix.T, Membership())
    train = rows[~tested][NAMES].astype(float)
    family = find_family(name)
    point = family.hyperparameters(alpha=alpha, standardize=standardize)
    expected = family.fit(Task.regression, point, train, "rent")
    got = family.from_sums(point, table.sums.train)
    ours, theirs = (one.steps[-1][1] if standardize else one for one in (got, expected))
    assert ours.coef_ == pytest.approx(theirs.coef_, rel=1e-6, abs=1e-8)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, rel=1e-6)
    assert set(vars(ours)) == set(vars(theirs))
    held = rows[tested][NAMES[:-1]].astype(float)
    assert got.predict(held) == pytest.approx(expected.predict(held), rel=1e-7)
    if standardize:
        assert set(vars(got.steps[0][1])) == set(vars(expected.steps[0][1]))


def test_the_second_pass_measures_all_rows_of_the_test_part(tmp_path):
    rows = flats(20_000, seed=4)
    table = read(write(rows, tmp_path / "rows", "csv"))
    tested = rows[TABLE.is_test(rows[NAMES].to_numpy(dtype=float).T, Membership())]
    model = LinearModel(tuple(NAMES[:-1]), (14.0, 50.0, -3.0, 0.0), 310.0)
    predicted, actual = model.predict(tested), tested["rent"]
    assert table.measure(ENGINE, model) == pytest.approx(
        {
            "rmse": root_mean_squared_error(actual, predicted),
            "mae": mean_absolute_error(actual, predicted),
            "r2": r2_score(actual, predicted),
        },
        rel=1e-9,
    )
    with (tmp_path / "rows" / "1.csv").open("a") as file:
        file.write("1,50,2,3,7.5\n")
    with pytest.raises(UnreadableFileError, match="is not what it was"):
        table.measure(ENGINE, model)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_rows_against_the_contract_are_named(tmp_path, suffix):
    rows = flats(3000)
    rows.loc[5, "area"], rows.loc[2000, "age"] = 3, np.inf
    rows["rooms"] = rows["rooms"].astype(float)
    rows.loc[7, "rooms"] = 2.5
    place = write(rows, tmp_path / "rows", suffix)
    with pytest.raises(BrokenFilesError) as broken:
        read(place)
    text = str(broken.value)
    assert "lies outside 5 to 1000 m²" in text and "is not a whole number" in text
    assert "'age'" in text and "is infinite" in text
    write(rows.rename(columns={"age": "aged"}), tmp_path / "named", suffix)
    with pytest.raises(BrokenFilesError, match="is missing; the file has 'aged', did you mean"):
        inspect_table(ENGINE, TABLE, f"{tmp_path / 'named'}/", "flats", trusted=True)


def test_what_cannot_be_read_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WINE_QUALITY_ALLOWED_ROOTS", str(tmp_path / "allowed"))
    place = write(flats(10), tmp_path / "rows", "parquet")
    with pytest.raises(UnreadableFileError, match="WINE_QUALITY_ALLOWED_ROOTS"):
        inspect_table(ENGINE, TABLE, place, "flats", trusted=False)
    (tmp_path / "secret.parquet").write_bytes((tmp_path / "rows" / "0.parquet").read_bytes())
    (tmp_path / "rows" / "2.parquet").symlink_to(tmp_path / "secret.parquet")
    files, left_out = inspect_table(ENGINE, TABLE, place, "flats", trusted=True)
    assert len(files.versions) == 2 and "2.parquet" in left_out[0].path
    with pytest.raises(ValueError, match="row\\(s\\) is in the test part"):
        read(write(flats(2), tmp_path / "few", "parquet", files=1), Membership(0.0))
    named = Dataset("named", (*FLATS.columns, Column("city", "text")), "rent", Task.regression)
    with pytest.raises(DeclarationError, match=r"named has columns of text \(city\)"):
        RowTable.of(named)
