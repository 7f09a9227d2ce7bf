"""Faults that ``make fuzz`` once found: inputs with a foreign error, or that were read wrongly."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from wine_quality.dagster_support.run_tag_names import SOURCE_TAG
from wine_quality.datasets.dialect import DataFormatError
from wine_quality.datasets.parse import BrokenContractError, parse_wine_csv
from wine_quality.defs.data.new_file_sensor import WatchedSource
from wine_quality.engines.batches import UnreadableFileError
from wine_quality.engines.input_files import find_files, pattern_of
from wine_quality.engines.membership import Membership
from wine_quality.engines.parquet_reader import ParquetReader
from wine_quality.engines.resource import EngineChoice, TrainingEngine
from wine_quality.engines.training_pass import sum_files
from wine_quality.history.wine_history import WineHistory
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.sources.arrivals import Arrival
from wine_quality.sources.seen import KEPT, Seen
from wine_quality.sources.source import read_source
from wine_quality.sources.transfer import SourceError, SourceLimits, redact_url
from wine_quality.wines.loading import RawWineCsvConfig, WinesRefusedError, load_wines
from wine_quality.wines.streaming import aggregate, inspect_files
from wine_quality_tests.fuzz.outcome import require_clear, require_nothing_kept

CORPUS = sorted((Path(__file__).parents[1] / "data" / "bad_input").glob("*.[cp]*"))
HEADER, *ROWS = PACKAGED_RED_WINE.read_text().splitlines()
MEMBERSHIP = Membership()
DUCKDB = TrainingEngine(engine=EngineChoice.duckdb, threads=1)


@pytest.mark.parametrize("path", [p for p in CORPUS if p.suffix == ".csv"], ids=lambda p: p.stem)
def test_a_file_is_refused_in_memory(tmp_path, path):
    history = WineHistory(base_path=str(tmp_path / "history"))
    with pytest.raises(WinesRefusedError) as refused:
        load_wines(RawWineCsvConfig(csv_url=str(path)), history=history)
    require_clear(refused.value, path.name)
    require_nothing_kept(history)


@pytest.mark.parametrize("path", CORPUS, ids=lambda p: p.name)
def test_a_file_is_refused_when_streamed(tmp_path, path):
    history = WineHistory(base_path=str(tmp_path / "history"))
    with pytest.raises(WinesRefusedError) as refused:
        inspection = inspect_files(RawWineCsvConfig(csv_url=str(path)), DUCKDB, history)
        aggregate(inspection, MEMBERSHIP, DUCKDB, history, lambda _line: None)
    require_clear(refused.value, path.name)
    require_nothing_kept(history)


def test_a_column_twice_is_refused_by_arrow_too():
    [path] = [path for path in CORPUS if path.name == "a-column-twice.parquet"]
    with pytest.raises(UnreadableFileError, match="names columns twice"):
        sum_files(ParquetReader([str(path)]), MEMBERSHIP)


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        (f'"{"x" * 150_000}";{HEADER}', ROWS[0], "a first line of"),
        (f'{HEADER};"{"y" * 20_000}";"{"y" * 20_000}"', ROWS[0], "names columns twice"),
        (HEADER, "9" * 200_000 + ROWS[0], None),
    ],
    ids=["csv-field-limit", "names-repeated-in-the-error", "rows-repeated-in-duckdb's-error"],
)
def test_long_text_makes_no_long_error(tmp_path, header, row, words):
    path = tmp_path / "wines.csv"
    path.write_text("\n".join([header, *ROWS[:3], row]))
    history = WineHistory(base_path=str(tmp_path / "history"))
    with pytest.raises(WinesRefusedError) as refused:
        inspection = inspect_files(RawWineCsvConfig(csv_url=str(path)), DUCKDB, history)
        aggregate(inspection, MEMBERSHIP, DUCKDB, history, lambda _line: None)
    assert len(str(refused.value)) < 1500
    if words:
        with pytest.raises(DataFormatError, match=words) as format_error:
            parse_wine_csv(path.read_bytes(), "wines.csv")
        assert len(str(format_error.value)) < 1500


@pytest.mark.parametrize("other", ["7.4", "sour", ""])
def test_a_number_of_400_digits_is_infinite(other):
    """``OverflowError`` from pandas, where the column is not of numbers alone."""
    rows = [first + ROWS[0][ROWS[0].index(";") :] for first in ("9" * 400, "-" + "9" * 400, other)]
    with pytest.raises(BrokenContractError) as broken:
        parse_wine_csv("\n".join([HEADER, *rows]).encode(), "wines.csv")
    message = str(broken.value)
    assert "'fixed acidity'" in message and ("infinite" in message or "holds text" in message), (
        message
    )


def test_lines_that_end_with_carriage_returns_are_read():
    content = "\r".join([HEADER, *ROWS[:3]]).encode()
    assert len(parse_wine_csv(content, "wines.csv")) == 3


@pytest.mark.parametrize(
    "name", ["wines[1].csv", "wines*.csv", "what?.csv", "{a,b}.csv", "it's.csv"]
)
def test_a_name_that_is_a_pattern_is_a_name(tmp_path, name):
    """``wines[1].csv`` named no file, or DuckDB read ``wines1.csv`` in its place."""
    path = tmp_path / name
    path.write_text("\n".join([HEADER, *ROWS[:50]]))
    for other in ("wines1.csv", "winesx.csv", "whats.csv", "a.csv"):
        (tmp_path / other).write_text("\n".join([HEADER, *ROWS[50:200]]))
    opened = DUCKDB.open([str(path)])
    [found] = opened.sum_files(MEMBERSHIP)
    opened.close()
    assert found.file.rows == 50


def test_one_empty_file_among_many_is_no_fault(tmp_path):
    """As Spark writes them."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    names = [name.strip('"') for name in HEADER.split(";")]
    wines = [[float(cell) for cell in row.split(";")] for row in ROWS[:60]]
    table = pa.Table.from_arrays([pa.array(v) for v in zip(*wines, strict=True)], names=names)
    pq.write_table(table, tmp_path / "a.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "b.parquet")
    history = WineHistory(base_path=str(tmp_path / "history"))
    inspection = inspect_files(RawWineCsvConfig(csv_url=f"{tmp_path}/"), DUCKDB, history)
    done = aggregate(inspection, MEMBERSHIP, DUCKDB, history, lambda _line: None)
    assert done.split.train_rows + done.split.test_rows == 60


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "file://[", "s3://[", "http://ⅷ℀.com/x", f"http://{'a' * 70}.com/"]
    + ["~nobody_here/wines.csv", "x" * 300, "/y" * 3000, "wines\udcff.csv", "x" * 5000],
    ids=["bracket", "file", "s3", "nfkc", "label", "home", "name", "path", "bytes", "length"],
)
def test_an_odd_url_is_refused(url):
    with pytest.raises(SourceError) as refused:
        read_source(url, SourceLimits(timeout_seconds=2, total_seconds=10, attempts=1))
    require_clear(refused.value)
    redact_url(url)


@pytest.mark.parametrize(
    "url", ["http://user:hunter2@[x", "http://user:hunter2@ⅷ℀.com", "file://user:hunter2@h/x"]
    + ["jar:file://user:hunter2@", "://user:hunter2@", "s3://user:hunter2@"]
)  # fmt: skip
def test_no_password_in_the_error_of_an_odd_url(url):
    assert "hunter2" not in redact_url(url)
    with pytest.raises(SourceError) as refused:
        read_source(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("field", ["max_megabytes", "timeout_seconds", "total_seconds"])
@pytest.mark.parametrize("value", [float("inf"), 1e300, float("nan")])
def test_limits_are_finite(field, value):
    """``OverflowError`` from the conversion to bytes, or from the thread that is waited for."""
    with pytest.raises(ValueError, match=field):
        RawWineCsvConfig(**{field: value})


@pytest.mark.parametrize("limit", ["", "x", "0", "9" * 30 + "TB"])
def test_a_bad_memory_limit_is_named(limit):
    engine = TrainingEngine(engine=EngineChoice.duckdb, memory_limit=limit)
    with pytest.raises(ValueError, match=r"training_engine\.config\.memory_limit is .* 512MB"):
        engine.open([str(PACKAGED_RED_WINE)])


def test_a_streaming_engine_names_a_path_that_is_no_text():
    with pytest.raises(UnreadableFileError) as refused:
        pattern_of("~x/\udcff")
    require_clear(refused.value, "UTF-8")


# The sensor.


def test_a_modification_time_in_the_future_hides_no_later_file(tmp_path, tick):
    """The mark went to the year 2096, and nothing that arrived before it was ever seen."""
    (tmp_path / "future.csv").write_text("x")
    os.utime(tmp_path / "future.csv", (4e9, 4e9))
    first = tick()
    assert len(first.run_requests) == 1
    (tmp_path / "later.csv").write_text("x")
    second = tick(first.cursor)
    assert [request.tags[SOURCE_TAG] for request in second.run_requests] == [
        str(tmp_path / "later.csv")
    ]


def test_arrivals_of_a_clock_that_was_wrong_hide_no_later_one():
    now = time.time()
    ahead = [Arrival(now + 10**6 + n, f"/wines/{n}.csv", "1") for n in range(2 * KEPT)]
    seen = Seen().handled(ahead, [], now)
    later = Arrival(now + 1, "/wines/later.csv", "1")
    assert seen.unseen([*ahead, later]) == [later]


@pytest.mark.parametrize("when", ["1e999", "NaN", "4e9"])
def test_a_cursor_that_is_no_time_yet_starts_again(tmp_path, tick, when):
    (tmp_path / "a.csv").write_text("x")
    found = tick(f'{{"mark": [{when}, ""], "recent": {{}}}}')
    assert len(found.run_requests) == 1
    assert json.loads(found.cursor)["mark"][0] < time.time()


def test_a_name_that_is_not_utf_8_stops_no_other(tmp_path, tick):
    (tmp_path / "a.csv").write_text("x")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.csv")).write_text("x")
    found = tick()
    assert len(found.run_requests) == 1
    assert r"\xff.csv has a name that is not UTF-8: rename it." in tick(found.cursor).skip_message
    found = find_files([f"{tmp_path}/"])
    assert found.paths == [str(tmp_path / "a.csv")]
    assert r"\xff.csv is not UTF-8" in found.left_out[0].reason


@pytest.mark.parametrize(
    ("name", "value"),
    [("PLACE", "http://u:hunter2@[x"), ("ALPHA", "inf"), ("SETTLE_SECONDS", "inf")]
    + [
        ("MLFLOW_VERSION", "\udcff"),
        ("INTERVAL_SECONDS", "9" * 400),
        ("INTERVAL_SECONDS", "x" * 5000),
        ("MLFLOW_VERSION", "x" * 5000),
    ],
)
def test_a_variable_is_named(monkeypatch, name, value):
    """They ended the code location by a foreign error, or failed each run that followed."""
    monkeypatch.setenv(f"WINE_QUALITY_WATCH_{name}", value)
    with pytest.raises(ValueError, match=f"WINE_QUALITY_WATCH_{name} is ") as refused:
        WatchedSource.from_environment()
    assert "hunter2" not in str(refused.value) and len(str(refused.value).encode()) < 700
