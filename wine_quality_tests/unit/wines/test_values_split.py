"""Accumulated data is divided by the wines' own values, in memory as by the streaming engines."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pytest

from wine_quality.datasets.accumulate import ConflictPolicy, TrainingData
from wine_quality.datasets.contract import COLUMNS
from wine_quality.datasets.parquet import read_parquet, write_parquet
from wine_quality.defs.data.split_config import SplitConfig
from wine_quality.defs.data.train_test_split import check_split
from wine_quality.engines.resource import EngineChoice, TrainingEngine
from wine_quality.history.wine_history import WineHistory
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.wines.in_memory import MemorySplit, divide
from wine_quality.wines.loading import LoadedWines, RawWineCsvConfig, load_wines
from wine_quality.wines.split import PassResult
from wine_quality.wines.split_rows import split_by_values, split_rows
from wine_quality.wines.streaming import aggregate, inspect_files
from wine_quality_tests.unit.datasets.test_accumulate import wines

HEADER, *ROWS = PACKAGED_RED_WINE.read_text().splitlines()
CONFIG = SplitConfig()


@pytest.fixture
def arrive(tmp_path):
    """Writes a file of some rows, and loads all that arrived so far."""
    history = WineHistory(base_path=str(tmp_path / "history"))

    def load(name: str, rows: list[str]) -> LoadedWines:
        (tmp_path / name).write_text("\n".join([HEADER, *rows]))
        config = RawWineCsvConfig(
            csv_url=str(tmp_path / name),
            training_data=TrainingData.accumulated,
            conflicts=ConflictPolicy.keep,
        )
        return load_wines(config, history=history)

    return load


def divided(loaded: LoadedWines) -> MemorySplit:
    return divide(loaded, CONFIG.test_fraction, CONFIG.seed)


def kinds(split: MemorySplit, part: str) -> set[Any]:
    return set(pd.MultiIndex.from_frame(split.examples(part)[list(COLUMNS)]))


def test_what_a_champion_was_trained_on_is_never_held_out_later(arrive):
    first = divided(arrive("1.csv", ROWS[:800]))
    second = divided(arrive("2.csv", ROWS[700:]))
    assert len(first.frame) == 800 and len(second.frame) == 1599
    assert not kinds(first, "train") & kinds(second, "test")
    assert not kinds(first, "test") & kinds(second, "train")
    assert all(result.passed for result in check_split(PassResult(second, {}), CONFIG))
    assert second.data.split == second.frame.attrs["split"] == "hash"


def test_the_parts_are_those_of_the_streaming_engines(arrive, tmp_path):
    loaded = divided(arrive("wines.csv", ROWS))
    engine = TrainingEngine(engine=EngineChoice.duckdb, threads=1)
    history = WineHistory(base_path=str(tmp_path / "streamed"))
    inspection = inspect_files(
        RawWineCsvConfig(csv_url=str(tmp_path / "wines.csv")), engine, history
    )
    from wine_quality.engines.membership import Membership

    done = aggregate(inspection, Membership(), engine, history, lambda _line: None)
    assert done.split.test_rows == loaded.test_rows
    streamed = done.split.examples("test")
    assert set(pd.MultiIndex.from_frame(streamed)) == kinds(loaded, "test")


def test_one_file_is_shuffled_as_in_the_tutorial(tmp_path):
    loaded = load_wines(RawWineCsvConfig(), history=WineHistory(base_path=str(tmp_path)))
    split = divided(loaded)
    pd.testing.assert_frame_equal(split.frame, split_rows(loaded.frame))
    assert (split.data.split, split.test_rows) == ("shuffled", 400)


def test_a_split_of_an_older_run_is_read():
    """Accumulated, shuffled, and without a word of how it was divided."""
    old = split_rows(wines(PACKAGED_RED_WINE))
    old.attrs = {"data_sha256": "ab", "training_data": "accumulated", "split_seed": 40}
    stored = io.BytesIO()
    write_parquet(old, stored)
    stored.seek(0)
    split = MemorySplit(read_parquet(stored))
    assert (split.train_rows, split.test_rows) == (1199, 400)
    assert split.data.split is None


def test_too_few_wines_for_two_parts_are_named():
    with pytest.raises(ValueError, match=r"of the 1 row\(s\) none is in the"):
        split_by_values(wines(PACKAGED_RED_WINE)[:1])
