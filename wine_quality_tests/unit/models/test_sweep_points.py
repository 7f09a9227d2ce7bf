"""The sweep's numbers, against scikit-learn's ElasticNet fitted point by point."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wine_quality.datasets.contract import FEATURES, TARGET
from wine_quality.models import plots
from wine_quality.models.elastic_net.sweep_points import (
    Point,
    PointScore,
    best_of,
    check_points,
    cross_validate,
    grid,
)
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.wines.split_rows import part_of, split_rows

RED = pd.read_csv(PACKAGED_RED_WINE, sep=";")
TRAIN = part_of(split_rows(RED), "train")
ALPHAS = [0.001, 0.02, 0.3, 1.0]
RATIOS = [0.0, 0.3, 1.0]


def one_by_one(point: Point, folds: int, seed: int) -> list[float]:
    """RMSE on each fold of a model fitted for itself, far more exactly than by default."""
    from sklearn.linear_model import ElasticNet
    from sklearn.model_selection import KFold

    features, target = TRAIN[list(FEATURES)].to_numpy(), TRAIN[TARGET].to_numpy()
    errors = []
    for train, test in KFold(folds, shuffle=True, random_state=seed).split(features):
        model = ElasticNet(
            alpha=point.alpha, l1_ratio=point.l1_ratio, tol=1e-11, max_iter=1_000_000
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(features[train], target[train])
        errors.append(float(np.sqrt(np.mean((model.predict(features[test]) - target[test]) ** 2))))
    return errors


def test_each_point_of_a_grid_is_what_a_fit_of_its_own_gives():
    points = grid(ALPHAS, RATIOS)
    scores = cross_validate(TRAIN, points, folds=3, seed=7)
    assert [score.point for score in scores] == points
    for score in scores:
        assert score.fold_rmse == pytest.approx(one_by_one(score.point, 3, 7), rel=1e-7)


point = st.builds(Point, st.sampled_from(ALPHAS), st.sampled_from(RATIOS))


@settings(max_examples=25, deadline=None)
@given(st.lists(point, min_size=1, max_size=8, unique=True))
def test_a_point_scores_the_same_in_any_company(points):
    for score in cross_validate(TRAIN, points, folds=3, seed=7):
        [alone] = cross_validate(TRAIN, [score.point], folds=3, seed=7)
        assert score.fold_rmse == pytest.approx(alone.fold_rmse, rel=1e-7)


def test_mean_and_deviation_are_those_of_the_folds():
    score = PointScore(Point(0.1, 0.5), (0.5, 0.7, 0.9))
    assert score.mean == pytest.approx(0.7)
    assert score.std == pytest.approx(np.std([0.5, 0.7, 0.9]))


def test_of_equals_the_stronger_penalty_is_the_best():
    scores = [PointScore(Point(alpha, 0.5), (0.7, 0.7)) for alpha in (0.1, 0.3, 0.2)]
    worse = PointScore(Point(9.0, 0.5), (0.7, 0.8))
    assert best_of([*scores, worse]).point == Point(0.3, 0.5)


def test_the_default_hyperparameters_are_not_the_best():
    """The purpose of the sweep: the tutorial's alpha 0.5 is far from the best."""
    scores = cross_validate(TRAIN, grid([0.001, 0.5], [0.1, 0.5]), folds=5, seed=40)
    tutorial = next(score for score in scores if score.point == Point(0.5, 0.5))
    assert best_of(scores).point.alpha == 0.001
    assert best_of(scores).mean < 0.9 * tutorial.mean


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([], "has 0 points; it must have 1 to 10000. Set alphas and l1_ratios, or points"),
        (grid(range(101), np.linspace(0, 1, 100)), "has 10100 points"),
        ([Point(0.1, 0.5), Point(-1.0, 0.5)], "alpha=-1.0, l1_ratio=0.5.*alpha is -1.0; it must"),
        ([Point(0.1, 1.5)], "l1_ratio is 1.5; it must be between 0 and 1"),
        ([Point(float("nan"), 0.5)], "alpha is nan; it must be finite"),
    ],
)
def test_points_that_cannot_be_swept_are_named(points, words):
    with pytest.raises(ValueError, match=words):
        check_points(points)


def test_repeated_points_count_once():
    assert check_points([Point(1, 0.5), Point(2, 0.5), Point(1, 0.5)]) == [(1, 0.5), (2, 0.5)]


def test_fewer_rows_than_folds():
    with pytest.raises(ValueError, match="4 training row.* cannot be divided into 5 folds"):
        cross_validate(TRAIN[:4], [Point(0.1, 0.5)], folds=5, seed=0)


@pytest.mark.parametrize(
    "points",
    [grid(ALPHAS, RATIOS), [Point(0.1, 0.2), Point(0.3, 0.9), Point(2, 0.5)], [Point(0.1, 0.2)]],
)
def test_the_plot_marks_the_best(points):
    """A grid, a list that is none, and a single point."""
    scores = cross_validate(TRAIN, points, folds=3, seed=0)
    best = best_of(scores)
    figure = plots.sweep_errors(scores, best)
    axes = figure.axes[0]
    assert f"{best.mean:.4f} at {best.point}" in axes.get_title()
    [star] = axes.lines
    alphas, ratios = (sorted({p[axis] for p in points}) for axis in (0, 1))
    assert star.get_xydata().tolist() == [
        [alphas.index(best.point.alpha), ratios.index(best.point.l1_ratio)]
    ]
    assert plots.to_png(figure).startswith(b"\x89PNG")
    if len(points) == len(ALPHAS) * len(RATIOS):
        shown = axes.images[0].get_array()
        worst = max(scores, key=lambda score: score.mean)
        place = ratios.index(worst.point.l1_ratio), alphas.index(worst.point.alpha)
        assert shown[place] == pytest.approx(worst.mean)
