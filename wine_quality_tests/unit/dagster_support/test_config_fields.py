"""Refusals when a run is launched; other run config stays as it was."""

from __future__ import annotations

from typing import Any

import pytest
from dagster import DagsterInvalidConfigError, Definitions, asset, materialize

from wine_quality.dagster_support.config_fields import (
    CheckedConfig,
    CheckedIOManager,
    CheckedIOManagerFactory,
    CheckedResource,
)
from wine_quality.dagster_support.dagster_private import create_execution_plan
from wine_quality.defs.data.split_config import SplitConfig
from wine_quality.defs.io_manager import PlainFormatIOManager
from wine_quality.defs.model.hyperparameters import Hyperparameters
from wine_quality.defs.sweep.config import SweepConfig
from wine_quality.engines.resource import TrainingEngine
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.history.wine_history import WineHistory
from wine_quality.metrics_history.resource import MetricsHistory
from wine_quality.tracking.resource import MlflowTracker, VersionKey

BUILT: dict[str, Any] = {
    "mlflow": MlflowTracker(
        version=VersionKey("2.1.1"), experiment_name="churn", registered_model_name="ChurnModel"
    ),
    "hyperparameters": Hyperparameters(alpha=0.1, l1_ratio=0.2),
    "training_engine": TrainingEngine(folds=7, spark_options={"a": "b"}),
    "wine_history": WineHistory(base_path="/kept"),
    "metrics_history": MetricsHistory(url="postgresql://kept/kept"),
    "values": PlainFormatIOManager(base_path="/values"),
}
GIVEN: dict[str, dict[str, Any]] = {
    "mlflow": {"experiment_name": "other"},
    "hyperparameters": {"l1_ratio": 0.9},
    "training_engine": {"threads": 2},
    "wine_history": {},
    "metrics_history": {},
    "values": {},
}


@pytest.mark.parametrize("key", list(BUILT))
def test_run_config_in_part_keeps_the_rest(key, monkeypatch):
    built, given = BUILT[key], GIVEN[key]
    monkeypatch.setattr(MlflowTracker, "_of_run", lambda self, _: self)
    monkeypatch.setattr(MlflowTracker, "_track", lambda self, _: iter([self]))
    seen = []

    @asset(required_resource_keys={key})
    def looking(context) -> None:
        seen.append(context.resources.original_resource_dict[key])

    config = {"resources": {key: {"config": given}}}
    assert materialize([looking], resources={key: built}, run_config=config).success
    expected = built.model_copy(update=given)
    for name in type(built).model_fields:
        assert getattr(seen[0], name) == getattr(expected, name), name
    # The Launchpad shows them.
    defs = Definitions([looking], resources={key: built}).resolve_implicit_global_asset_job_def()
    resource = defs.run_config_schema.config_type.fields["resources"].config_type.fields[key]
    for name, field in resource.config_type.fields["config"].config_type.fields.items():
        value = getattr(built, name)
        assert field.default_value == getattr(value, "value", value), name


MODEL, SWEEP = "wine_quality_model", "wine_quality_sweep"
KEYS = ", ".join(f'"{key}"' for key in MLFLOW_VERSIONS)
VERSIONS = f"(one of {KEYS}; quote it)"
REFUSED = [
    (MODEL, "resources.hyperparameters.alpha", -1, "alpha is -1.0; it must be at least 0"),
    (MODEL, "resources.hyperparameters.alpha", float("inf"), "it must be finite"),
    (MODEL, "resources.hyperparameters.alpha", None, "alpha is null; it must be a valid number"),
    (MODEL, "resources.hyperparameters.l1_ratio", 1.1, "l1_ratio is 1.1; it must be at most 1"),
    (MODEL, "resources.hyperparameters.random_state", -1, "random_state is -1; it must be at"),
    (MODEL, "resources.training_engine.folds", 1, "folds is 1; it must be at least 2"),
    (MODEL, "ops.train_test_split.test_fraction", 1, "test_fraction is 1.0; it must be less"),
    (MODEL, "ops.raw_wine_csv.timeout_seconds", 0, "timeout_seconds is 0.0; it must be more"),
    (MODEL, "ops.champion_model.tolerance", -1, "tolerance is -1.0; it must be at least 0"),
    (SWEEP, "ops.sweep_points.folds", 1, "folds is 1; it must be at least 2"),
    (SWEEP, "ops.sweep_points.alphas", [1, -2], "alphas.1 is -2.0; it must be at least 0"),
    (SWEEP, "ops.sweep_points.points", [{"alpha": 1, "l1_ratio": 3}], "l1_ratio is 3.0; it"),
    (MODEL, "resources.mlflow.version", "2.5", VERSIONS),
    (MODEL, "resources.mlflow.version", 1.26, VERSIONS),
    (MODEL, "ops.champion_model.policy", "never", '(one of "automatic", "manual")'),
    (MODEL, "resources.training_engine.engine", "x", '(one of "in_memory", "duckdb", "spark")'),
]


@pytest.mark.parametrize(("job", "field", "value", "sentence"), REFUSED)
def test_it_is_refused_before_there_is_a_run(job, field, value, sentence):
    """``create_execution_plan`` is what the code location is asked for when a run is launched."""
    from wine_quality.definitions import defs

    section, name, field = field.split(".")
    config = {section: {name: {"config": {field: value}}}}
    with pytest.raises(DagsterInvalidConfigError) as refused:
        create_execution_plan(defs.resolve_job_def(job), run_config=config)
    assert sentence in str(refused.value)
    assert f"root:{section}:{name}:config" in str(refused.value)


def test_every_config_class_is_a_checked_one():
    """A new one that is not has no bounds at launch, and loses what it was built with."""
    from dagster import Config

    from wine_quality import definitions, tracking_api

    assert definitions and tracking_api
    ours = [cls for cls in _subclasses(Config) if cls.__module__.startswith("wine_quality.")]
    assert len(ours) > 10
    checked = (CheckedConfig, CheckedResource, CheckedIOManager, CheckedIOManagerFactory)
    assert [cls.__name__ for cls in ours if not issubclass(cls, checked)] == []


def _subclasses(cls: type) -> list[type]:
    found = []
    for sub in cls.__subclasses__():
        found += [sub, *_subclasses(sub)]
    return list(dict.fromkeys(found))


def test_the_help_of_a_number_says_how_it_is_written():
    """In what the Launchpad shows of a resource, of an op's config and of a list."""
    schemas = {
        "alpha": Hyperparameters.to_config_schema(),
        "test_fraction": SplitConfig.to_config_schema(),
        "alphas": SweepConfig.to_config_schema(),
    }
    for name, schema in schemas.items():
        fields = schema.as_field().config_type.fields
        assert fields[name].description.count("Write 0.001 or 1.0e-3") == 1
    fields = schemas["test_fraction"].as_field().config_type.fields
    assert "1.0e-3" not in fields["seed"].description
