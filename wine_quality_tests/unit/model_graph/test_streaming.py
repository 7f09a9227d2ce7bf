"""Model graphs whose rows are passed over: the value of each part, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from wine_quality.engines.resource import TrainingEngine
from wine_quality.families.family import find_family
from wine_quality.model_graph import model_definitions
from wine_quality.model_graph.plan import ModelPlan
from wine_quality.model_graph.rows import FrameModel, MemoryRows, StreamedRows, rows_of
from wine_quality.tables.declared.diabetes import DATASET
from wine_quality.tracking_api import PlainIOManager

pytest.importorskip("duckdb", reason="DuckDB is not installed here")
DUCKDB = TrainingEngine(engine="duckdb")


def parts(folder: Path, family: str, engine: TrainingEngine = DUCKDB, **config: Any):
    """``<name>_data`` and its parts; no MLflow is asked."""
    definitions = model_definitions("patients", "diabetes", family)
    assets = [definitions.get_assets_def(f"patients_{one}") for one in ("data", "train")]
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            assets,
            instance=instance,
            resources={
                "io_manager": PlainIOManager(base_path=str(folder)),
                "training_engine": engine,
            },
            run_config={"ops": {"patients_data": {"config": config}}},
            raise_on_error=False,
        )


def plan_of(family: str, **given: Any) -> ModelPlan:
    return ModelPlan("patients", DATASET, find_family(family), **given)


def test_parts_are_sums_and_tell_what_rows_in_memory_do(tmp_path):
    result = parts(tmp_path, "ridge")
    assert result.success
    train, test = (result.output_for_node("patients_split", one) for one in ("train", "test"))
    assert set(train) == {"streamed"}
    plan = plan_of("ridge")
    ours = [rows_of(plan, v, p, DUCKDB) for v, p in ((train, "train"), (test, "test"))]
    assert all(isinstance(one, StreamedRows) for one in ours)
    # All of so few rows are in the sample.
    theirs = [MemoryRows(plan, one.shown) for one in ours]
    assert [one.count for one in ours] == [one.count for one in theirs]
    assert sum(one.count for one in ours) == 442
    point = plan.family.hyperparameters(alpha=3.0)
    models = [one.fit(point) for one in (ours[0], theirs[0])]
    coefficients = [one.steps[-1][1].coef_ for one in models]
    assert coefficients[0] == pytest.approx(coefficients[1], rel=1e-9)
    expected = theirs[1].measure(models[1])
    assert ours[1].measure(models[0]) == pytest.approx(expected, rel=1e-9)
    forest = find_family("random_forest")
    other = forest.fit(
        DATASET.task, forest.hyperparameters(trees=5), theirs[0].shown, plan.dataset.target
    )
    assert ours[1].measure(other) == pytest.approx(theirs[1].measure(other), rel=1e-9)
    assert FrameModel(other, DATASET.features).predict_matrix(np.ones((2, 10))).shape == (2,)
    baseline = theirs[1].baseline(theirs[0])
    assert ours[1].baseline(ours[0]) == pytest.approx(
        {name: baseline[name] for name in ("rmse", "r2")}, rel=1e-9
    )
    by_mae = rows_of(plan_of("ridge", metric_name="mae"), test, "test", DUCKDB)
    assert by_mae.baseline(ours[0])["mae"] == pytest.approx(baseline["mae"], rel=1e-9)


def test_a_sweep_compares_points_by_the_sums_of_the_folds(tmp_path):
    train = parts(tmp_path, "lasso").output_for_node("patients_split", "train")
    plan = plan_of("lasso")
    rows = rows_of(plan, train, "train", DUCKDB)
    scores = [
        rows.cross_validate(point) for point in plan.family.points(plan.family.hyperparameters())
    ]
    in_memory = [
        MemoryRows(plan, rows.shown).cross_validate(point)
        for point in plan.family.points(plan.family.hyperparameters())
    ]
    # Other folds of the same rows.
    assert scores == pytest.approx(in_memory, rel=0.05)
    by_mae = rows_of(plan_of("lasso", metric_name="mae"), train, "train", DUCKDB)
    with pytest.raises(ValueError, match="is decided by mae, which sums do not tell"):
        by_mae.cross_validate(plan.family.hyperparameters())


def test_another_family_fails_before_anything_is_read(tmp_path):
    result = parts(tmp_path / "values", "random_forest", source="/nowhere.parquet")
    [failed] = result.get_step_failure_events()
    text = str(failed.step_failure_data.error)
    assert (
        "random forest cannot be trained from sums, which is all that the engine duckdb makes of "
        "the rows; elastic net, lasso and ridge regression can. Set "
        'resources.training_engine.config.engine to "in_memory".'
    ) in text
    assert failed.step_key == "patients_data" and not (tmp_path / "values").exists()


def test_a_file_against_the_contract_replaces_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("WINE_QUALITY_ALLOWED_ROOTS", str(tmp_path))
    rows = pd.read_csv(DATASET.sample)
    rows.drop(columns="age").to_parquet(tmp_path / "short.parquet")
    result = parts(tmp_path / "values", "ridge", source=str(tmp_path / "short.parquet"))
    [check] = result.get_asset_check_evaluations()
    assert not check.passed and "'age' is missing" in check.description
    assert not (tmp_path / "values").exists()
    result = parts(tmp_path / "values", "ridge", source="https://example.org/rows.parquet")
    [check] = result.get_asset_check_evaluations()
    assert "streaming engines read paths and s3://" in check.description


def test_an_engine_of_the_other_kind_is_refused(tmp_path):
    frame = pd.read_csv(DATASET.sample)
    with pytest.raises(dg.Failure, match="patients_train was read in memory"):
        rows_of(plan_of("ridge"), frame, "train", DUCKDB)
    value = parts(tmp_path, "ridge").output_for_node("patients_split", "train")
    with pytest.raises(dg.Failure, match="patients_train was read by a streaming engine"):
        rows_of(plan_of("ridge"), value, "train", TrainingEngine())
