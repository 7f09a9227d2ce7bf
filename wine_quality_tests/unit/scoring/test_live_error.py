"""Labels that arrive later, joined to predictions."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from upath import UPath

from wine_quality.scoring.inputs import Inputs
from wine_quality.scoring.live_error import LabelsError, live_errors, require_label_for_each
from wine_quality.scoring.score import ScoringModel, Target, score

MODEL = ScoringModel("3", [("a", "FP64")], lambda frame: frame["a"].to_numpy())


def predict(folder: Path, frame: pd.DataFrame, day: int, key: list[str]) -> None:
    frame.to_parquet(folder / "rows.parquet")
    target = Target(UPath(folder / f"day-{day}.parquet"), None, key, datetime(2026, 11, day), {})
    score(Inputs([str(folder / "rows.parquet")]), MODEL, target)


def errors(folder: Path, labels: pd.DataFrame, keys: list[str], period: str = "day"):
    labels.to_csv(folder / "labels.csv", index=False)
    given = Inputs([str(folder / "labels.csv")])
    return live_errors(Inputs([str(folder / "day-*.parquet")]), given, "y", keys, period)


def test_the_error_of_each_day_and_month(tmp_path):
    rows = pd.DataFrame({"shop": ["a", "a", "b"], "n": [1, 2, 1], "a": [1.0, 2.0, 3.0]})
    predict(tmp_path, rows, 2, ["shop", "n"])
    later = rows.assign(n=rows["n"] + 10, a=[5.0, 5.0, 5.0])
    predict(tmp_path, later, 3, ["shop", "n"])
    # In another order; of the second day two have no label yet.
    labels = pd.DataFrame(
        {"y": [4.0, 2.0, 0.0, 6.0, np.nan], "shop": list("baaaa"), "n": [1, 2, 1, 11, 12]}
    )
    first, second = errors(tmp_path, labels, ["shop", "n"])
    assert (first.begins, first.version, first.rows) == (date(2026, 11, 2), "3", 3)
    assert first.rmse == pytest.approx((2 / 3) ** 0.5)
    assert first.mae == pytest.approx(2 / 3)
    assert (second.begins, second.rows, second.rmse) == (date(2026, 11, 3), 1, 1.0)
    [month] = errors(tmp_path, labels, ["shop", "n"], "month")
    assert (month.begins, month.rows) == (date(2026, 11, 1), 4)


def test_of_classes_the_share_that_was_wrong(tmp_path):
    predict(tmp_path, pd.DataFrame({"id": list("abcd"), "a": [0.0, 1.0, 1.0, 0.0]}), 2, ["id"])
    [found] = errors(tmp_path, pd.DataFrame({"id": list("abc"), "y": [0, 1, 0]}), ["id"])
    assert (found.rows, found.wrong) == (3, pytest.approx(1 / 3))


def test_a_key_with_two_labels_is_refused(tmp_path):
    predict(tmp_path, pd.DataFrame({"id": ["x"], "a": [1.0]}), 2, ["id"])
    labels = pd.DataFrame({"id": ["x", "x"], "y": [1, 2]})
    with pytest.raises(LabelsError, match="id x has two labels, 1 and 2"):
        errors(tmp_path, labels, ["id"])
    [same] = errors(tmp_path, labels.assign(y=1), ["id"])
    assert (same.rows, same.rmse) == (1, 0.0)


def test_without_a_key_the_order_joins_and_the_number_must_fit(tmp_path):
    predict(tmp_path, pd.DataFrame({"a": [1.0, 2.0]}), 2, [])
    [found] = errors(tmp_path, pd.DataFrame({"y": [1.0, 4.0], "by": ["x", "y"]}), [])
    assert (found.rows, found.rmse) == (2, 2**0.5)
    labels = Inputs([str(tmp_path / "labels.csv")])
    require_label_for_each(labels, "y", 2)
    with pytest.raises(LabelsError, match="3 rows were scored, but there are 2 labels"):
        require_label_for_each(labels, "y", 3)
