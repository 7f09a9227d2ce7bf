"""The figures of MLflow's tutorial, to the last digit that matters."""

from __future__ import annotations

import pytest

from wine_quality.datasets.contract import FEATURES, TARGET, conform
from wine_quality.datasets.parse import parse_wine_csv
from wine_quality.models.elastic_net.fit import LinearModel, fit_elastic_net
from wine_quality.models.evaluate import regression_metrics
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.wines.split_rows import count_shared_wines, part_of, split_rows


@pytest.fixture(scope="module")
def split():
    return split_rows(conform(parse_wine_csv(PACKAGED_RED_WINE.read_bytes(), "red")))


def test_no_row_is_in_both_parts(split):
    train, test = part_of(split, "train"), part_of(split, "test")
    assert not set(train.index) & set(test.index)
    assert (len(train), len(test)) == (1199, 400)
    assert count_shared_wines(split) == 95


def test_defaults_give_the_tutorials_figures(split):
    model = fit_elastic_net(part_of(split, "train"), 0.5, 0.5)
    plain = LinearModel.from_json(LinearModel.of(model, FEATURES).to_json())
    test = part_of(split, "test")
    metrics = regression_metrics(test[TARGET].to_numpy(), plain.predict(test))
    assert metrics == pytest.approx(
        {"rmse": 0.7931640229276851, "mae": 0.6271946374319586, "r2": 0.10862644997792614},
        abs=1e-12,
    )


@pytest.mark.parametrize(("alpha", "l1_ratio"), [(-1, 0.5), (0.5, 1.5), (float("nan"), 0.5)])
def test_bad_hyperparameters_are_refused(split, alpha, l1_ratio):
    with pytest.raises(ValueError, match="hyperparameters"):
        fit_elastic_net(part_of(split, "train"), alpha, l1_ratio)
