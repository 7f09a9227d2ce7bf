"""Each family fits each task that it can do, is measured and drawn, and skops loads it again."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from pydantic import ValidationError

from wine_quality.families.family import (
    DECLARED,
    FamilyMissingError,
    Measured,
    find_family,
)
from wine_quality.families.metrics import (
    METRICS,
    cross_validate,
    find_metric,
    measure,
    measure_baseline,
)
from wine_quality.families.plots import draw_classification, draw_regression
from wine_quality.models.elastic_net.fit import fit_elastic_net
from wine_quality.tables.dataset import (
    Column,
    Dataset,
    DeclarationError,
    Task,
    declared_names,
    find_dataset,
)
from wine_quality.tables.parts import split_table
from wine_quality.tables.read import read_table

# LightGBM is in no lock file; how it is missed is tested below.
NAMES = [name for name in declared_names(DECLARED) if name != "lightgbm"]
# Sorted, for each process that shares the tests must list them alike.
CASES = sorted(
    ((name, task) for name in NAMES for task in find_family(name).tasks),
    key=lambda case: (case[0], case[1].value),
)
SMALL = {"trees": 5, "iterations": 5}


def table(task: Task):
    """The diabetes data; of classes: whether it got worse than the median."""
    dataset = find_dataset("diabetes")
    frame = read_table(dataset).frame
    if task is Task.classification:
        frame = frame.assign(progression=(frame["progression"] > 140).astype(int))
        columns = (*dataset.columns[:-1], Column("progression", "int", 0, 1))
        dataset = Dataset("diabetes classes", columns, "progression", task)
    return dataset, *split_table(dataset, frame)


def small(family):
    fields = family.hyperparameters.model_fields
    return family.hyperparameters(**{key: v for key, v in SMALL.items() if key in fields})


def test_the_families_of_the_docs_are_there():
    assert set(NAMES) >= {
        "elastic_net",
        "ridge",
        "lasso",
        "random_forest",
        "gradient_boosting",
        "logistic_regression",
    }
    assert all(find_family(name).name == name for name in declared_names(DECLARED))


@pytest.mark.parametrize(("name", "task"), CASES, ids=lambda one: getattr(one, "value", one))
def test_a_family_fits_is_measured_drawn_and_loaded_again(name, task):
    import skops.io

    family = find_family(name)
    dataset, train, test = table(task)
    model = family.fit(task, small(family), train, dataset.target)
    found = measure(task, model, test, dataset.target)
    assert set(found) == set(METRICS[task])
    default, metric = find_metric(task)
    baseline = measure_baseline(task, train, test, dataset.target)[default]
    assert (found[default] > baseline) == metric.higher_is_better
    measured = Measured(model, test.drop(columns=dataset.target), test[dataset.target], "target")
    assert family.draw(measured)
    drawn = (draw_regression if task is Task.regression else draw_classification)(measured)
    assert len(drawn) == 2
    content = skops.io.dumps(model)
    untrusted = skops.io.get_untrusted_types(data=content)
    assert set(untrusted) <= set(family.trusted_types)
    again = skops.io.loads(content, trusted=untrusted)
    assert (again.predict(measured.rows) == model.predict(measured.rows)).all()


@pytest.mark.parametrize("name", declared_names(DECLARED))
def test_each_point_of_the_grid_is_within_the_ranges(name):
    family = find_family(name)
    points = family.points(family.hyperparameters())
    assert len(points) == math.prod(len(values) for values in family.grid.values()) > 1


def test_cross_validation_gives_errors_as_errors():
    family = find_family("ridge")
    dataset, train, _ = table(Task.regression)
    estimator = family.build(dataset.task, family.hyperparameters())
    _, rmse = find_metric(dataset.task)
    assert 45 < cross_validate(rmse, estimator, train, dataset.target, 5, 1) < 65


def test_the_elastic_net_is_that_of_the_wines():
    from wine_quality.datasets.parse import parse_wine_csv
    from wine_quality.paths import PACKAGED_RED_WINE

    wines = parse_wine_csv(PACKAGED_RED_WINE.read_bytes(), "red")
    family = find_family("elastic_net")
    mine = family.fit(Task.regression, family.hyperparameters(alpha=0.1), wines, "quality")
    theirs = fit_elastic_net(wines, 0.1, 0.5)
    assert (mine.coef_ == theirs.coef_).all() and mine.intercept_ == theirs.intercept_


def test_what_cannot_be_is_refused():
    forest = find_family("random_forest")
    with pytest.raises(ValidationError):
        forest.hyperparameters(trees=0)
    with pytest.raises(DeclarationError, match="ridge regression does regression"):
        find_family("ridge").require_task(Task.classification)
    with pytest.raises(DeclarationError, match="There are elastic_net, gradient_boosting"):
        find_family("forest")
    with pytest.raises(DeclarationError, match="must be one of rmse, mae, r2"):
        find_metric(Task.regression, "auc")
    with pytest.raises(DeclarationError, match="no hyperparameters"):
        replace(forest, grid={"depth": (1,)})


def test_lightgbm_says_how_it_is_added():
    family = find_family("lightgbm")
    try:
        import lightgbm  # noqa: F401
    except ImportError:
        with pytest.raises(FamilyMissingError, match="environments build 3 --with"):
            family.build(Task.regression, family.hyperparameters())
    else:
        pytest.skip("LightGBM is installed here")
