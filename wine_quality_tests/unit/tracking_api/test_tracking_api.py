"""The public API, without a server."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from wine_quality.dagster_support.dagster_private import create_execution_plan
from wine_quality.execution.declared_steps import declare_steps
from wine_quality.execution.project_code import ProjectCode
from wine_quality.paths import PROJECT_ROOT
from wine_quality.tracking.connection import pin_installed
from wine_quality.tracking.registry.loadable import SKOPS, require_loadable
from wine_quality.tracking.registry.provenance import UntrustedModelError
from wine_quality.tracking.step_tags import continued_by, declared_steps, opens_one, planned_tags
from wine_quality.tracking.training import PartsOfTwoTrainingsError, Training
from wine_quality.tracking_api import (
    SKLEARN_TREES,
    LoggedMetrics,
    MlflowTracking,
    TrackedModel,
    TrackedRun,
)
from wine_quality.tracking_api.steps import _open


def project(**more: Any) -> MlflowTracking:
    return MlflowTracking("churn", "ChurnModel", **more)


def test_the_api_brings_nothing_of_the_wines():
    listed = "import json, sys, wine_quality.tracking_api; print(json.dumps(list(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", listed],
        capture_output=True,
        text=True,
        cwd=PROJECT_ROOT,
        check=True,
    )
    loaded = json.loads(answer.stdout.splitlines()[-1])
    parts = ("defs", "definitions", "wines", "history", "engines", "models", "datasets", "cli")
    wines = tuple(f"wine_quality.{part}" for part in parts)
    assert [one for one in loaded if one.startswith(wines)] == []
    # What an adopter's code server would wait for, whatever it is to do.
    assert {"mlflow", "sklearn", "pandas"} & set(loaded) == set()


def assets_of(tracking: MlflowTracking) -> list[Any]:
    @dg.asset
    def customers() -> int:
        return 1

    @dg.asset(key_prefix="risk")
    @tracking.trains
    def churn_model(run: TrackedRun, customers: int) -> TrackedModel:
        """Trains."""
        raise NotImplementedError

    @dg.asset(ins={"model": dg.AssetIn(["risk", "churn_model"])})
    @tracking.continues("risk/churn_model")
    def churn_metrics(context, run: TrackedRun, model: TrackedModel) -> LoggedMetrics:
        raise NotImplementedError

    return [customers, churn_model, churn_metrics]


def test_dagster_sees_inputs_resource_and_docstring_and_no_run():
    _, model, metrics = assets_of(project())
    assert model.keys_by_input_name == {"customers": dg.AssetKey("customers")}
    assert set(metrics.keys_by_input_name) == {"model"}
    assert model.required_resource_keys >= {"mlflow"}
    assert model.op.description == "Trains."
    assert model.op.outs["result"].dagster_type.typing_type is TrackedModel


def test_the_executor_knows_which_steps_open_and_which_continue():
    tracking = project()
    merged = dg.Definitions.merge(
        dg.Definitions(assets=assets_of(tracking), jobs=[dg.define_asset_job("churn")]),
        tracking.definitions(),
    )
    job = merged.resolve_job_def("churn")
    assert job.executor_def.name == "mlflow_environment"
    assert [sensor.name for sensor in merged.sensors] == ["mlflow_run_closer"]
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(job)
        plan = create_execution_plan(job)
        assert not opens_one(planned_tags(instance, run))
        declare_steps(run.run_id, job, plan)
        try:
            tags = planned_tags(instance, run)
            assert opens_one(tags) and continued_by(tags) == []
            only = {"churn_metrics": tags["churn_metrics"]}
            assert continued_by(only) == ["risk/churn_model"] and not opens_one(only)
            other = instance.create_run_for_job(job)
            assert not opens_one(planned_tags(instance, other))
        finally:
            declared_steps.set(None)


def test_run_config_offers_the_versions_of_the_project_and_keeps_its_names():
    tracking = project(versions=["2.1.1", "3"])
    built = tracking.resource()
    assert (built.version.value, built.experiment_name) == ("2.1.1", "churn")
    fields = tracking.definitions().resources["mlflow"]._config_schema.as_field()
    given = fields.config_type.fields
    assert given["registered_model_name"].default_value == "ChurnModel"
    offered = getattr(given["version"].config_type, "inner_type", given["version"].config_type)
    assert set(offered.config_values) == {"2.1.1", "3"}
    with pytest.raises(ValueError, match='unknown MLflow version "4"'):
        project(versions=["4"])


def no_run() -> None: ...


def yields(run: TrackedRun):
    yield 1


@dg.asset
def made_already() -> int:
    return 1


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (no_run, "needs a parameter for the MLflow run: run: TrackedRun"),
        (yields, "return, not yield"),
        (made_already, "Write @dg.asset above @mlflow.trains"),
    ],
)
def test_functions_that_cannot_track_are_refused(function, problem):
    with pytest.raises(TypeError, match=problem):
        project().trains(function)


def model_of(run_id: str, version: str = "3") -> TrackedModel:
    return TrackedModel("models:/m-1", "0" * 64, "seal", Training(run_id, version))


class Resource:
    """Notes what it was asked."""

    version = SimpleNamespace(value="3")

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def continue_run(self, _context: Any, training: Training) -> None:
        self.asked.append(training.mlflow_run_id)


@pytest.mark.parametrize(
    ("inputs", "error", "problem"),
    [
        ({"rows": 1}, ValueError, "was given none of its values"),
        ({"model": model_of("a", "1.26")}, ValueError, "was made with MLflow 1.26"),
        (
            {"model": model_of("a"), "metrics": LoggedMetrics({"auc": 1.0}, Training("b", "3"))},
            PartsOfTwoTrainingsError,
            "two trainings",
        ),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(inputs, error, problem):
    tags = {"wine_quality/continues_mlflow_run_of": "churn_model"}
    with pytest.raises(error, match=problem):
        _open(Resource(), None, tags, inputs)  # type: ignore[arg-type]


def test_a_step_goes_on_with_the_run_of_what_it_was_given():
    tags = {"wine_quality/continues_mlflow_run_of": "churn_model"}
    resource, model = Resource(), model_of("a")
    inputs = {"rows": 1, "model": model}
    assert _open(resource, None, tags, inputs) is model  # type: ignore[arg-type]
    assert resource.asked == ["a"]


def test_a_model_is_loaded_inside_a_tracked_asset_only():
    with pytest.raises(RuntimeError, match="@mlflow.trains or @mlflow.continues"):
        model_of("a").load()
    with pytest.raises(RuntimeError, match="@mlflow.trains or"):
        TrackedRun.current()


def described(folder: Path, types: list[str]) -> Path:
    """The MLmodel of a skops model that names these types."""
    import yaml

    flavors = {
        "python_function": {"loader_module": "mlflow.sklearn"},
        "sklearn": {
            "serialization_format": "skops",
            "pickled_model": "model.skops",
            "skops_trusted_types": types,
        },
    }
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    return folder


def test_a_model_may_hold_the_types_that_the_project_named_and_no_others(tmp_path):
    skops = frozenset({SKOPS})
    trees = described(tmp_path, list(SKLEARN_TREES[:1]))
    assert require_loadable("it", trees, skops, SKLEARN_TREES) == SKOPS
    with pytest.raises(UntrustedModelError, match="Tree, which is not trusted here"):
        require_loadable("it", trees, skops)
    more = described(tmp_path, [SKLEARN_TREES[0], "os.system"])
    with pytest.raises(UntrustedModelError, match=r"it holds os.system, which is not trusted"):
        require_loadable("it", more, skops, SKLEARN_TREES)


def origin(**pointer: Any) -> Any:
    found = SimpleNamespace(**{"working_directory": None, **pointer})
    return SimpleNamespace(repository_origin=SimpleNamespace(code_pointer=found))


def test_another_environment_finds_the_projects_code(tmp_path, monkeypatch):
    assert ProjectCode.of_job(origin(module="wine_quality.definitions")) == ProjectCode()
    file = origin(python_file="definitions.py", working_directory=str(tmp_path))
    assert ProjectCode.of_job(file) == ProjectCode(False, (str(tmp_path),))
    source, installed = tmp_path / "src", tmp_path / "site-packages"
    for folder, name in ((source, "churn_project"), (installed, "churn_wheel")):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("")
        monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    found = ProjectCode.of_job(origin(module="churn_project.definitions"))
    assert found == ProjectCode(False, (str(source),))
    # Of an installed one, the package alone: site-packages has others, of other versions.
    [folder] = ProjectCode.of_job(origin(module="churn_wheel.definitions")).folders
    assert [one.name for one in Path(folder).iterdir()] == ["churn_wheel"]


def test_a_requirement_that_is_a_name_is_logged_with_its_version():
    given = ("scikit-learn", "no-such-package-here", "scikit-learn>=1")
    assert pin_installed(given) == (f"scikit-learn=={version('scikit-learn')}", *given[1:])
