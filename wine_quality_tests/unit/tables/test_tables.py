"""A data set by declaration: read, held against its contract, divided."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from wine_quality.datasets.dialect import DataFormatError
from wine_quality.datasets.parse import BrokenContractError
from wine_quality.sources.source import SourceError, SourceLimits
from wine_quality.tables.dataset import (
    DECLARED,
    Column,
    Dataset,
    DeclarationError,
    Task,
    declared_names,
    find_dataset,
)
from wine_quality.tables.parts import split_table
from wine_quality.tables.read import read_table

RENTS = Dataset(
    "rents",
    (
        Column("city", "text", values=("Bern", "Genf")),
        Column("rooms", "int", 1, 20),
        Column("area", "float", 5, 1000, "m²"),
        Column("rent", "float", 0),
    ),
    "rent",
    Task.regression,
)
ROWS = "city,rooms,area,rent\nBern,2,51.5,1200\nGenf,3,80,2100.5\n"


def read(folder: Path, content: str | bytes, name: str = "rents.csv"):
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(RENTS, str(file), trusted=True)


@pytest.mark.parametrize("name", declared_names(DECLARED))
def test_the_sample_of_each_data_set_keeps_its_contract(name):
    dataset = find_dataset(name)
    table = read_table(dataset)
    assert list(table.frame.columns) == [column.name for column in dataset.columns]
    assert len(table.frame) == {"white_wine": 4898, "diabetes": 442}.get(name, len(table.frame))
    assert table.source == dataset.sample.name


def test_a_file_is_read_as_it_is_written(tmp_path):
    table = read(tmp_path, ROWS)
    assert [str(kind) for kind in table.frame.dtypes][1:] == 3 * ["float64"]
    assert table.frame.iloc[1].tolist() == ["Genf", 3.0, 80.0, 2100.5]
    semicolons = ROWS.replace(",", ";").replace(".", ",")
    for content in (semicolons, gzip.compress(ROWS.encode())):
        assert read(tmp_path, content).frame.equals(table.frame)
    table.frame.to_parquet(tmp_path / "rents.parquet")
    assert read_table(RENTS, str(tmp_path / "rents.parquet"), trusted=True).frame.equals(
        table.frame
    )
    assert RENTS.features == ("rooms", "area")
    assert RENTS.segments("city") == ("Bern", "Genf")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("city,rooms,area,rent\nBern,2,51.5,-1\n", r"'rent': lies outside 0 to inf .*line\(s\)"),
        ("city,rooms,area,rent\nBern,2.5,51.5,1\n", "'rooms': is not a whole number"),
        ("city,rooms,area,rent\nBasel,2,51.5,1\n", "'city': holds 'Basel', which is none"),
        ("city,rooms,area,rent\n,2,51.5,1\n", "'city': is empty"),
        ("city,rooms,area\nBern,2,51.5\n", "'rent': is missing"),
        ("city,rooms,area,rent,id\nBern,2,51.5,1,1\n", "'id': is not in the contract"),
        ("city,rooms,area,rent\nBern,two,51.5,1\n", "'rooms': holds text, such as 'two'"),
    ],
)
def test_rows_against_the_contract_are_refused(tmp_path, rows, expected):
    with pytest.raises(BrokenContractError, match=expected):
        read(tmp_path, rows)


@pytest.mark.parametrize(
    "content",
    [b"", b"PAR1 and no more", b"city,rooms,area,rent\n", b"%PDF-1.4", b"city,rooms\n1,2,3,4\n"],
)
def test_what_is_no_table_is_refused(tmp_path, content):
    with pytest.raises(DataFormatError):
        read(tmp_path, content)


def test_limits_name_the_field(tmp_path, monkeypatch):
    file = tmp_path / "rents.csv"
    file.write_text(ROWS)
    limits = SourceLimits(max_bytes=10, size_setting="max_megabytes", url_setting="source")
    with pytest.raises(SourceError, match=r"\(max_megabytes\)"):
        read_table(RENTS, str(file), limits, trusted=True)
    monkeypatch.setenv("WINE_QUALITY_ALLOWED_ROOTS", "/")
    with pytest.raises(SourceError, match=r"\(max_megabytes\)"):
        read_table(RENTS, str(file), limits)
    with pytest.raises(SourceError, match="Check source"):
        read_table(RENTS, str(tmp_path / "none.csv"), limits)
    with pytest.raises(SourceError, match="has no sample"):
        read_table(RENTS)


def test_a_path_of_run_config_is_read_only_where_it_may(tmp_path, monkeypatch):
    monkeypatch.delenv("WINE_QUALITY_ALLOWED_ROOTS", raising=False)
    file = tmp_path / "rents.csv"
    file.write_text(ROWS)
    with pytest.raises(SourceError, match="WINE_QUALITY_ALLOWED_ROOTS"):
        read_table(RENTS, str(file))


def test_parts_are_apart_and_have_the_classes():
    columns = (Column("x"), Column("y", "int", 0, 1))
    dataset = Dataset("classes", columns, "y", Task.classification)
    import pandas as pd

    frame = pd.DataFrame({"x": range(40), "y": [1] * 8 + [0] * 32})
    train, test = split_table(dataset, frame, 0.25, 1)
    assert (len(train), len(test)) == (30, 10)
    assert set(train["x"]).isdisjoint(test["x"]) and test["y"].sum() == 2
    with pytest.raises(DeclarationError, match="cannot be divided"):
        split_table(dataset, frame.iloc[7:10])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"target": "price"}, "no column 'price'"),
        ({"task": Task.classification}, "must be of type int"),
        ({"columns": (*RENTS.columns, Column("rent"))}, "named twice"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(change, expected):
    given = {
        "name": "rents",
        "columns": RENTS.columns,
        "target": "rent",
        "task": Task.regression,
        **change,
    }
    with pytest.raises(DeclarationError, match=expected):
        Dataset(**given)
    with pytest.raises(DeclarationError, match="cannot be divided by 'rooms'"):
        RENTS.segments("rooms")
