"""The result of each check, and the statistics behind it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from wine_quality.defs import checks
from wine_quality.models.compare import population_stability, profile
from wine_quality.monitoring.drift import drift_against_champion
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.wines.in_memory import MemorySplit
from wine_quality.wines.split import Evaluation


@pytest.fixture(scope="module")
def red() -> pd.DataFrame:
    return pd.read_csv(PACKAGED_RED_WINE, sep=";")


def test_data_has_not_drifted_from_itself(red):
    assert population_stability(red, profile(red)) == pytest.approx(dict.fromkeys(red, 0.0))


def test_a_random_part_is_stable_and_a_shift_is_not(red):
    reference = profile(red)
    part = population_stability(red.sample(400, random_state=1), reference)
    assert max(part.values()) < 0.1
    shifted = population_stability(red.assign(pH=red["pH"] + 0.3), reference)
    assert shifted["pH"] > 0.25
    assert shifted["alcohol"] == pytest.approx(0)


def test_stability_is_the_textbook_sum():
    reference = {"x": {"edges": [1.0], "shares": [0.5, 0.5]}}
    frame = pd.DataFrame({"x": [0, 0, 0, 2]})
    expected = 0.25 * np.log(0.75 / 0.5) - 0.25 * np.log(0.25 / 0.5)
    assert population_stability(frame, reference)["x"] == pytest.approx(expected)


def test_an_empty_bin_is_far_but_not_infinitely(red):
    constant = red.assign(pH=3.0)
    found = population_stability(red, profile(constant))["pH"]
    assert 0.25 < found < 100


def test_parts(red):
    split = pd.concat([red[:750].assign(part="train"), red[750:1000].assign(part="test")])
    assert checks.parts_are_apart(MemorySplit(split), 0.25).passed
    assert not checks.parts_are_apart(MemorySplit(split), 0.5).passed
    twice = pd.concat([split, split[:1].assign(part="test")])
    found = checks.parts_are_apart(MemorySplit(twice), 0.25)
    assert not found.passed
    assert found.description is not None and found.description.startswith("1 row(s) in both")


def test_shared_wines_are_a_warning():
    assert checks.few_shared_wines(95, 400, 0.5).passed
    found = checks.few_shared_wines(300, 400, 0.5)
    assert not found.passed
    assert found.severity.value == "WARN"


def test_predictions_outside_the_scale_are_counted():
    def check(predicted: list[float]):
        values = np.array(predicted)
        found = Evaluation.of_rows({}, 0.0, 9, values, values)
        return checks.predictions_in_scale(found, (0, 10))

    assert check([0.0, 10.0]).passed
    found = check([5, np.nan, np.inf, 11])
    assert not found.passed
    assert found.description is not None and found.description.startswith("3 of 4")
    assert not check([np.nan]).passed


def test_drift_names_the_columns():
    found = drift_against_champion({"pH": 0.4, "alcohol": 0.1}, "7", 0.25)
    assert not found.passed
    assert found.severity.value == "WARN"
    assert found.description is not None
    assert found.description.startswith("1 column(s) above 0.25: pH.")
    assert drift_against_champion(None, None, 0.25).passed
