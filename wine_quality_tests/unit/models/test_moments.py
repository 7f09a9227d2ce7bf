"""An elastic net from sums against scikit-learn's on all rows."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNet

from wine_quality.datasets.contract import COLUMNS, FEATURES, TARGET
from wine_quality.models.elastic_net.fit import fit_elastic_net
from wine_quality.models.elastic_net.fit_moments import fit_from_moments
from wine_quality.models.elastic_net.fold_sums import cross_validate_moments, others, rmse_on
from wine_quality.models.elastic_net.moments import Moments
from wine_quality.models.elastic_net.sweep_points import check_points, cross_validate, grid
from wine_quality_tests.support.generated_wines import packaged_wines

NAMES = tuple(COLUMNS)
POINTS = [(a, r) for a in (0.0, 1e-4, 0.01, 0.5, 5.0) for r in (0.0, 0.5, 1.0)]


def _names(columns: int) -> list[str]:
    return [f"x{i}" for i in range(columns - 1)] + ["y"]


def _merged(rows: np.ndarray, parts: int, weights: np.ndarray | None = None) -> Moments:
    pieces = np.array_split(np.arange(len(rows)), parts)
    names = _names(rows.shape[1])
    return Moments.total(
        Moments.of_rows(names, rows[piece], None if weights is None else weights[piece])
        for piece in pieces
    )


@pytest.mark.parametrize(("alpha", "l1_ratio"), POINTS)
@pytest.mark.filterwarnings("ignore")
def test_wines_give_scikit_learns_model(alpha, l1_ratio):
    wines = packaged_wines()
    frame = pd.DataFrame(wines, columns=list(NAMES))
    expected = fit_elastic_net(frame, alpha, l1_ratio)
    parts = [Moments.of_rows(NAMES, rows) for rows in np.array_split(wines, 7)]
    model = fit_from_moments(Moments.total(parts), alpha, l1_ratio)
    scale = max(np.abs(expected.coef_).max(), 1e-12)
    assert np.abs(model.coef_ - expected.coef_).max() <= 1e-9 * scale
    assert model.intercept_ == pytest.approx(expected.intercept_, rel=1e-9)
    assert model.n_iter_ == expected.n_iter_
    assert vars(model).keys() == vars(expected).keys()
    assert model.get_params() == expected.get_params()
    assert list(model.feature_names_in_) == list(expected.feature_names_in_) == list(FEATURES)
    assert model.n_features_in_ == 11
    features = frame[list(FEATURES)]
    assert np.allclose(model.predict(features), expected.predict(features), rtol=1e-9, atol=0)


@st.composite
def _problems(draw):
    """Rows with what makes sums fail: offsets, scales, collinear and constant columns, n < p."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, p = draw(st.integers(1, 60)), draw(st.integers(1, 8))
    features = random.normal(size=(n, p))
    if p > 1 and draw(st.booleans()):
        features[:, 1] = features[:, 0] + draw(st.sampled_from([0.0, 1e-3])) * features[:, 1]
    if draw(st.booleans()):
        features[:, -1] = draw(st.sampled_from([0.0, 1.0, 0.1, 1e7]))
    features = features * 10.0 ** random.integers(-2, 3, size=p)
    offset = draw(st.sampled_from([0.0, 1.0, 1e6]))
    target = features @ random.normal(size=p) + random.normal(size=n) + offset
    if draw(st.booleans()):
        target = np.round(target)
    weights = random.uniform(0.5, 3, size=n) if draw(st.booleans()) else None
    return np.column_stack([features + offset, target]), weights


@settings(max_examples=150, deadline=None)
@given(
    problem=_problems(),
    alpha=st.sampled_from([1e-3, 0.1, 1.0, 10.0]),
    l1_ratio=st.sampled_from([0.0, 0.3, 1.0]),
    parts=st.integers(1, 5),
)
def test_any_rows_give_scikit_learns_coefficients(problem, alpha, l1_ratio, parts):
    rows, weights = problem
    features, target = rows[:, :-1], rows[:, -1]
    options = {"tol": 1e-12, "max_iter": 20_000}
    model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        expected = model.fit(features, target, sample_weight=weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = fit_from_moments(_merged(rows, parts, weights), alpha, l1_ratio, **options)
    spread = features.std(axis=0)
    spread[spread < 1e-12 * np.abs(features).max(axis=0)] = 0
    # In units of the target, so that columns of all scales count alike. A column without spread
    # has no influence on what is predicted, whatever its coefficient.
    error = np.abs((got.coef_ - expected.coef_) * spread).max()
    size = max(np.abs(expected.coef_ * spread).max(), 1e-6 * max(target.std(), 1e-9))
    # Where scikit-learn itself stopped short, what it has got to is not the solution.
    assert error <= (1e-4 if caught else 1e-6) * size
    centre = np.average(features, axis=0, weights=weights)
    assert got.predict([centre])[0] == pytest.approx(
        expected.predict([centre])[0], rel=1e-9, abs=1e-6 * size
    )


def test_one_row_and_columns_that_never_change():
    one = fit_from_moments(Moments.of_rows(_names(3), np.array([[3.0, 4.0, 5.0]])), 0.1, 0.5)
    assert one.coef_.tolist() == [0, 0] and one.intercept_ == 5
    random = np.random.default_rng(1)
    moving = random.normal(size=1000)
    rows = np.column_stack([np.full(1000, 0.1), moving, 2 * moving])
    for parts in (1, 13):
        model = fit_from_moments(_merged(rows, parts), 1e-9, 0.5, tol=1e-12)
        assert model.coef_ == pytest.approx([0, 2], abs=1e-6) and model.coef_[0] == 0


def test_offsets_that_raw_sums_lose():
    random = np.random.default_rng(2)
    rows = random.normal(size=(20_000, 4))
    rows[:, -1] += rows[:, 0] - rows[:, 1]
    plain = fit_from_moments(_merged(rows, 9), 0.01, 0.5)
    far = rows + np.array([1e9, -1e9, 1e9, 1e9])
    moved = fit_from_moments(_merged(far, 9), 0.01, 0.5)
    direct = ElasticNet(alpha=0.01, l1_ratio=0.5).fit(far[:, :-1], far[:, -1])
    assert moved.coef_ == pytest.approx(direct.coef_, rel=1e-9)
    assert moved.coef_ == pytest.approx(plain.coef_, rel=1e-6)
    raw = far.T @ far - np.outer(far.sum(axis=0), far.sum(axis=0)) / len(far)
    assert not np.allclose(np.diagonal(raw), np.diagonal(_merged(far, 9).cross), rtol=0.1)


def test_what_is_taken_away_leaves_the_rest():
    wines = packaged_wines()
    whole, file = Moments.of_rows(NAMES, wines), Moments.of_rows(NAMES, wines[:500])
    rest = whole - file
    direct = Moments.of_rows(NAMES, wines[500:])
    assert (rest.n, rest.weight) == (1099, 1099)
    assert rest.mean == pytest.approx(direct.mean, rel=1e-12)
    assert np.allclose(rest.cross, direct.cross, rtol=1e-9, atol=1e-9)
    assert (whole - whole).n == 0
    with pytest.raises(ValueError, match="never added"):
        file - whole
    with pytest.raises(ValueError, match="negative variance"):
        whole - Moments.of_rows(NAMES, wines[:500] * 3)
    with pytest.raises(ValueError, match="do not add up"):
        whole + Moments.of_rows(_names(3), np.ones((2, 3)))


def test_constant_after_what_varied_is_taken_away():
    random = np.random.default_rng(3)
    varied, constant = random.normal(0.1, 1, size=(50, 3)), random.normal(size=(40, 3))
    constant[:, 0] = 0.1
    together = Moments.of_rows(_names(3), np.concatenate([varied, constant]))
    left = together - Moments.of_rows(_names(3), varied)
    assert fit_from_moments(left, 0.0, 0.5, tol=1e-12).coef_[0] == 0


def test_json_keeps_every_digit():
    moments = Moments.of_rows(NAMES, packaged_wines())
    again = Moments.from_json(moments.to_json())
    assert (again.columns, again.n, again.weight) == (moments.columns, 1599, 1599)
    for name in ("mean", "cross", "noise"):
        assert np.array_equal(getattr(again, name), getattr(moments, name))
    for text in ("{}", "[]", json.dumps({**moments.to_plain(), "mean": [1, 2]})):
        with pytest.raises(ValueError, match="not the sums"):
            Moments.from_json(text)


def test_bad_rows_are_refused():
    with pytest.raises(ValueError, match=r"\['x1'\]|\['x0', 'x1', 'y'\]"):
        Moments.of_rows(_names(3), np.array([[1, np.nan, 2], [3.0, 4, 5]]))
    with pytest.raises(ValueError, match="weight"):
        Moments.of_rows(_names(2), np.ones((2, 2)), np.array([1, -1.0]))
    with pytest.raises(ValueError, match="empty"):
        fit_from_moments(Moments.none(NAMES), 0.5, 0.5)
    with pytest.raises(ValueError, match="alpha"):
        fit_from_moments(Moments.of_rows(NAMES, packaged_wines()), -1, 0.5)


@pytest.mark.parametrize(("alpha", "l1_ratio"), [(0.01, 0.5), (0.1, 1.0), (0.5, 0.0)])
def test_glmnets_published_objective_is_what_is_minimized(alpha, l1_ratio):
    """Friedman, Hastie & Tibshirani 2010, equations (1) to (3) and the update (5), on the rows."""
    wines = packaged_wines()
    features, target = wines[:, :-1], wines[:, -1]
    model = fit_from_moments(Moments.of_rows(NAMES, wines), alpha, l1_ratio, tol=1e-14)

    def published(coefficients: np.ndarray, intercept: float) -> float:
        residuals = target - intercept - features @ coefficients
        squares = np.sum(coefficients**2)
        penalty = (1 - l1_ratio) * squares / 2 + l1_ratio * np.sum(np.abs(coefficients))
        return np.sum(residuals**2) / (2 * len(target)) + alpha * penalty

    least = published(model.coef_, model.intercept_)
    random = np.random.default_rng(4)
    for _ in range(50):
        step = random.normal(0, 1e-3, size=11)
        assert published(model.coef_ + step, model.intercept_ + random.normal(0, 1e-3)) > least
    # (5), for columns that are not standardized: each coefficient is where soft thresholding puts
    # it when the others stay.
    centred = features - features.mean(axis=0)
    residuals = target - target.mean() - centred @ model.coef_
    for j, coefficient in enumerate(model.coef_):
        variance = np.mean(centred[:, j] ** 2)
        simple = np.mean(centred[:, j] * residuals) + variance * coefficient
        thresholded = np.sign(simple) * max(abs(simple) - alpha * l1_ratio, 0)
        updated = thresholded / (variance + alpha * (1 - l1_ratio))
        assert coefficient == pytest.approx(updated, abs=1e-8)


def test_cross_validation_from_sums_is_the_sweeps():
    from sklearn.model_selection import KFold

    wines = packaged_wines()
    frame = pd.DataFrame(wines, columns=list(NAMES))
    points = check_points(grid(np.logspace(-3, 0, 8), [0.1, 0.5, 1.0]) + grid([0.05], [0.7]))
    places = KFold(5, shuffle=True, random_state=9).split(wines)
    folds = [Moments.of_rows(NAMES, wines[test]) for _, test in places]
    expected = cross_validate(frame, points, 5, 9)
    got = cross_validate_moments(folds, points)
    assert [score.point for score in got] == points
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.fold_rmse == pytest.approx(theirs.fold_rmse, rel=1e-10)
    with pytest.raises(ValueError, match="two folds"):
        cross_validate_moments(folds[:1], points)
    with pytest.raises(ValueError, match="two folds"):
        cross_validate_moments([*folds, Moments.none(NAMES)], points)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    offset=st.sampled_from([0.0, 1e3, 1e8]),
    noise=st.sampled_from([0.0, 1e-6, 1.0]),
    n=st.integers(1, 50),
)
def test_rmse_from_sums_is_that_of_the_rows(seed, offset, noise, n):
    """Down to where the sums of squares end: at about 1e-8 of the target's spread."""
    random = np.random.default_rng(seed)
    true = random.normal(size=4)

    def rows(count: int) -> np.ndarray:
        features = random.normal(size=(count, 4)) + offset
        target = (features - offset) @ true + noise * random.normal(size=count) + offset
        return np.column_stack([features, target])

    train, part = rows(60), rows(n)
    model = np.linalg.lstsq(
        train[:, :-1] - train[:, :-1].mean(axis=0), train[:, -1] - train[:, -1].mean(), rcond=None
    )[0]
    names = _names(5)
    got = rmse_on(Moments.of_rows(names, part), Moments.of_rows(names, train), model[:, None])[0]
    centred = part - train.mean(axis=0)
    direct = np.sqrt(np.mean((centred[:, -1] - centred[:, :-1] @ model) ** 2))
    spread = np.sqrt(np.mean(centred[:, -1] ** 2))
    # A mean is a double too: at an offset of 1e8 it is known to 1e-8.
    floor = 1e-7 * spread + 4 * 2.0**-52 * offset * (1 + np.abs(model).sum())
    assert got == pytest.approx(direct, rel=1e-9, abs=floor)
    if noise == 1 and n > 5:
        # An ordinary model: nothing of this floor is felt.
        assert got == pytest.approx(direct, rel=1e-11 if offset < 1e8 else 1e-6)


def test_other_folds_are_all_but_one():
    wines = packaged_wines()
    folds = [Moments.of_rows(NAMES, rows) for rows in np.array_split(wines, 5)]
    for fold, rest in zip(folds, others(folds), strict=True):
        assert fold.n + rest.n == 1599
        subtracted = Moments.total(folds) - fold
        assert np.allclose(rest.cross, subtracted.cross, rtol=1e-9, atol=1e-9)
    assert NAMES[-1] == TARGET
