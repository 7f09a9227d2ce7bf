"""Reading and the data contract, without servers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wine_quality.datasets.contract import COLUMNS, check_contract
from wine_quality.datasets.dialect import DataFormatError
from wine_quality.datasets.parse import BrokenContractError, parse_wine_csv
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.sources.source import SourceError, SourceLimits, read_source

RED = PACKAGED_RED_WINE.read_bytes()
HEADER, ROW = RED.decode().splitlines()[:2]


def test_the_packaged_file_keeps_the_contract():
    frame = parse_wine_csv(RED, "red")
    assert check_contract(frame) == []
    assert len(frame) == 1599
    assert int(frame.duplicated().sum()) == 240


def test_a_comma_separated_file_reads_the_same():
    commas = parse_wine_csv(RED.replace(b";", b","), "red")
    assert commas.equals(parse_wine_csv(RED, "red"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n ", "is empty"),
        (HEADER.encode(), "no rows"),
        (b"<html><title>Not here</title></html>", "HTML page titled 'Not here'"),
        (b"a;b\n\xff;1\n", r"not UTF-8 text \(line 2\)"),
        (b"a;" * 1_000_000, "has more than 1000 columns"),
        (b"a;a\n1;2\n", "names columns twice"),
        (f"{HEADER}\n{ROW}\n{ROW};9;9\n".encode(), r"has 14 field\(s\) in line 3"),
    ],
)
def test_what_is_no_wine_file_is_named(content, words):
    with pytest.raises(DataFormatError, match=words):
        parse_wine_csv(content, "file")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "empty or NaN"),
        ("NaN", "empty or NaN"),
        ("inf", "infinite"),
        ("much", "holds text, such as 'much'"),
        ("-3", "outside"),
    ],
)
def test_a_bad_value_is_named_with_its_line(value, words):
    bad = ROW.replace("7.4;", f"{value};", 1)
    with pytest.raises(BrokenContractError) as broken:
        parse_wine_csv(f"{HEADER}\n{ROW}\n{bad}\n".encode(), "file")
    [violation] = broken.value.violations
    assert violation.column == "fixed acidity"
    assert words in violation.problem
    assert violation.rows == (3,)


def test_a_misnamed_column_is_recognized():
    with pytest.raises(BrokenContractError) as broken:
        parse_wine_csv(RED.replace(b'"alcohol"', b'"alchohol"', 1), "file")
    problems = [str(violation) for violation in broken.value.violations]
    assert "column 'alcohol': is missing; the file has 'alchohol', did you mean that?" in problems


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(max_size=300))
def test_no_bytes_pass_or_crash(content):
    with pytest.raises((DataFormatError, BrokenContractError)):
        parse_wine_csv(content, "fuzz")


def test_missing_and_oversized_sources(tmp_path):
    with pytest.raises(SourceError, match="does not exist"):
        read_source(str(tmp_path / "none.csv"))
    with pytest.raises(SourceError, match="larger than the limit"):
        read_source(str(PACKAGED_RED_WINE), SourceLimits(max_bytes=100))
    with pytest.raises(SourceError, match="not a regular file"):
        read_source(str(tmp_path))
    with pytest.raises(SourceError, match="use https://"):
        read_source("gopher://host/file")


def test_columns_are_those_of_the_file():
    assert list(COLUMNS) == [name.strip('"') for name in HEADER.split(";")]
