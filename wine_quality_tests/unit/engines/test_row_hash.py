"""``data_sha256`` of streamed wines: of their rows, whatever the file, format, order and engine."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wine_quality.datasets.accumulate import TrainingData
from wine_quality.datasets.contract import COLUMNS
from wine_quality.engines.membership import Membership
from wine_quality.engines.parquet_reader import ParquetReader
from wine_quality.engines.resource import EngineChoice, TrainingEngine
from wine_quality.engines.row_hash import RowHasher, RowsHash
from wine_quality.engines.training_pass import sum_files
from wine_quality.history.wine_history import WineHistory
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.wines.loading import RawWineCsvConfig
from wine_quality.wines.split import PassResult
from wine_quality.wines.streaming import aggregate, inspect_files
from wine_quality_tests.support.generated_wines import packaged_wines

WINES = packaged_wines()
MASK = (1 << 64) - 1


def parquet(path: Path, wines: np.ndarray, row_group_size: int = 500) -> str:
    path.parent.mkdir(exist_ok=True)
    table = pa.table({name: wines[:, i] for i, name in enumerate(COLUMNS)})
    pq.write_table(table, path, row_group_size=row_group_size)
    return str(path)


def streamed(place: str, base: Path, accumulated: bool = False) -> PassResult:
    engine = TrainingEngine(engine=EngineChoice.duckdb, threads=2)
    history = WineHistory(base_path=str(base))
    data = TrainingData.accumulated if accumulated else TrainingData.newest
    inspection = inspect_files(RawWineCsvConfig(csv_url=place, training_data=data), engine, history)
    return aggregate(inspection, Membership(), engine, history, lambda _line: None)


def sha256(place: str, base: Path) -> str:
    return streamed(place, base).split.data.data_sha256


def hashed(wines: np.ndarray) -> RowsHash:
    hasher = RowHasher(len(wines))
    hasher.add(list(np.ascontiguousarray(wines.T)))
    return hasher.total


def in_plain_python(wines: np.ndarray) -> RowsHash:
    """The documented rule on Python's own whole numbers."""

    def mix(number: int, multiplier: int) -> int:
        number = number * multiplier & MASK
        return number ^ number >> 32

    first = second = 0
    for wine in wines:
        number = 0
        for value in wine:
            number = mix(number ^ int((value + 0.0).view(np.uint64)), 0x9E3779B97F4A7C15)
        number = mix(number, 0xFF51AFD7ED558CCD)
        first += number
        second += mix(number, 0xC4CEB9FE1A85EC53)
    return RowsHash(len(wines), first & MASK, second & MASK)


def test_the_hash_is_that_of_plain_python():
    wines = WINES[:50].copy()
    wines[3, 2] = -0.0
    assert hashed(wines) == in_plain_python(wines)


def test_a_copy_in_any_format_order_and_layout_is_the_same_data(tmp_path):
    base, history = tmp_path / "wines", tmp_path / "history"
    expected = sha256(parquet(base / "red.parquet", WINES), history)
    csv = tmp_path / "red.csv"
    shutil.copy(PACKAGED_RED_WINE, csv)
    os.utime(csv, (1, 1))
    order = np.random.default_rng(1).permutation(len(WINES))
    for number, part in enumerate(np.array_split(WINES[order], 3)):
        parquet(tmp_path / "parts" / f"{number}.parquet", part, row_group_size=77)
    places = (str(csv), parquet(base / "mixed.parquet", WINES[order], 60), f"{tmp_path}/parts/")
    assert {sha256(place, history) for place in places} == {expected}
    [found] = sum_files(ParquetReader([str(base / "red.parquet")]), Membership())
    assert found.rows_hash.sha256 == expected


def test_other_wines_are_other_data():
    changed, swapped, moved = WINES.copy(), WINES.copy(), WINES.copy()
    changed[700, 7] += 1e-9
    swapped[[3, 9], 4] = swapped[[9, 3], 4]
    moved[5, [0, 1]] = moved[5, [1, 0]]
    others = [changed, swapped, moved, WINES[:-1], np.vstack([WINES, WINES[:1]]), WINES[:0]]
    assert len({hashed(wines).sha256 for wines in (WINES, *others)}) == 7


def test_hashes_of_rows_that_differ_a_little_are_all_different():
    """Whole numbers and short fractions, whose bits are mostly zero."""
    grid = np.array(np.meshgrid(*[np.arange(12) / 2 for _ in range(4)])).reshape(4, -1).T
    wines = np.hstack([np.zeros((len(grid), 8)), grid])
    totals = {hashed(wines[row : row + 1]).first for row in range(0, len(wines), 3)}
    assert len(totals) == len(range(0, len(wines), 3))


def test_accumulated_files_add_up_to_the_whole(tmp_path):
    history = tmp_path / "history"
    streamed(parquet(tmp_path / "a.parquet", WINES[:900]), history)
    both = streamed(parquet(tmp_path / "b.parquet", WINES[900:]), history, accumulated=True)
    whole = sha256(parquet(tmp_path / "whole.parquet", WINES), tmp_path / "other")
    assert both.split.data.data_sha256 == whole
    assert both.split.data.data_files == 2


def test_the_same_file_touched_is_the_same_version(tmp_path):
    path = parquet(tmp_path / "a.parquet", WINES)
    first = streamed(path, tmp_path / "history")
    os.utime(path, (1, 1))
    again = streamed(path, tmp_path / "history")
    assert again.accepted == first.accepted


def test_sums_of_before_there_was_a_hash_are_added_up(tmp_path):
    """As an older commit left them: the data keeps a hash, of the files' own."""
    from wine_quality.history.accepted_files import list_versions, write_object

    base = tmp_path / "history"
    streamed(parquet(tmp_path / "a.parquet", WINES[:900]), base)
    with WineHistory(base_path=str(base)).store() as (store, root):
        [version] = list_versions(store, root)
        plain = json.loads(Path(version.path).read_text())
        assert plain.pop("rows_hash")
        file = streamed(str(tmp_path / "a.parquet"), tmp_path / "x").accepted[0]
        Path(version.path).unlink()
        write_object(store, root, file, json.dumps(plain).encode(), "sums.json")
    both = streamed(parquet(tmp_path / "b.parquet", WINES[900:]), base, accumulated=True)
    assert both.split.train_rows + both.split.test_rows == 1599
    whole = sha256(parquet(tmp_path / "whole.parquet", WINES), tmp_path / "other")
    assert both.split.data.data_sha256 != whole
    with pytest.raises(ValueError):
        RowsHash.from_plain(["1", "x"])
