"""The graph of a model: its parts, its refusals, and its data asset on rows that are bad."""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster.components import build_defs_for_component
from dagster.components.core.component_tree import ComponentTree, ComponentTreeException

from wine_quality.engines.resource import TrainingEngine
from wine_quality.model_graph import MlflowSettings, TrackedModelComponent, model_definitions
from wine_quality.policy.names import BadNameError
from wine_quality.tables.dataset import Column, Dataset, DeclarationError, Task
from wine_quality.tracking_api import PlainIOManager

RENTS = Dataset(
    "rents",
    (
        Column("city", "text", values=("Bern", "Genf")),
        Column("area", "float", 5, 1000, "m²"),
        Column("rent", "float", 0),
    ),
    "rent",
    Task.regression,
)
SUFFIXES = ("data", "train", "test", "model", "metrics", "version", "champion", "predictions")


def keys(definitions: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in definitions.resolve_all_asset_keys()}


def config_of(definitions: dg.Definitions, job: str, op: str) -> dict[str, object]:
    """Fields of an asset's run config, and their defaults."""
    shape = definitions.resolve_job_def(job).run_config_schema.config_type.fields["ops"]
    fields = shape.config_type.fields[op].config_type.fields["config"].config_type.fields
    return {name: one.default_value for name, one in fields.items() if not one.is_required}


def test_models_of_one_project_have_one_resource():
    settings = MlflowSettings(experiment="both")
    first = model_definitions("first", "diabetes", "ridge", mlflow=settings)
    second = model_definitions("second", "white_wine", "gradient_boosting", mlflow=settings)
    merged = dg.Definitions.merge(first, second)
    dg.Definitions.validate_loadable(merged)
    assert keys(merged) == {f"{name}_{one}" for name in ("first", "second") for one in SUFFIXES}
    jobs = {job.name for job in merged.resolve_all_job_defs()}
    assert jobs >= {"first", "first_sweep", "first_promotion", "first_rollback", "second_sweep"}
    assert {check.name for check in merged.resolve_asset_graph().asset_check_keys} == {
        "data_contract",
        "drift_against_champion",
        "beats_knowing_nothing",
        "live_predictions_like_training",
        "live_inputs_like_training",
        "live_error",
    }


def test_run_config_has_the_hyperparameters_of_the_family():
    definitions = model_definitions(
        *("rents", RENTS, "elastic_net"),
        hyperparameters={"alpha": 0.2},
        drift_threshold=0.1,
        mlflow=MlflowSettings(),
    )
    fields = config_of(definitions, "rents", "rents_model")
    assert fields == {
        "alpha": 0.2,
        "l1_ratio": 0.5,
        "random_state": 42,
        "standardize": False,
        "drift_threshold": 0.1,
        "sweep": False,
    }
    other = model_definitions("other", RENTS, "elastic_net")
    assert config_of(other, "other", "other_model")["alpha"] == 0.5
    job = definitions.resolve_job_def("rents")
    with pytest.raises(dg.DagsterInvalidConfigError, match="l1_ratio is 2.0"):
        dg.validate_run_config(job, {"ops": {"rents_model": {"config": {"l1_ratio": 2.0}}}})


@pytest.mark.parametrize(
    ("given", "error", "expected"),
    [
        ({"family": "forest"}, DeclarationError, "there is no family 'forest'"),
        ({"dataset": "rents"}, DeclarationError, "there is no dataset 'rents'"),
        ({"dataset": "wine_quality:none"}, DeclarationError, "cannot be had"),
        ({"family": "logistic_regression"}, DeclarationError, "classification, not regression"),
        ({"metric": "auc"}, DeclarationError, "one of rmse, mae, r2"),
        ({"name": "Rents 1"}, DeclarationError, "cannot name a model"),
        ({"segment_by": "area"}, DeclarationError, "cannot be divided by 'area'"),
        ({"hyperparameters": {"depth": 1}}, DeclarationError, "has no hyperparameters depth"),
        ({"hyperparameters": {"alpha": -1}}, DeclarationError, "alpha is -1; it must be at least"),
        ({"drift_threshold": 0.0}, DeclarationError, "drift_threshold must be more than 0"),
        ({"mlflow": MlflowSettings(experiment="")}, BadNameError, "experiment"),
        ({"mlflow": MlflowSettings(registered_model="a/b")}, BadNameError, "registered_model"),
        ({"mlflow": MlflowSettings(versions=("4",))}, ValueError, "4"),
    ],
)
def test_what_does_not_go_together_is_refused_when_it_is_loaded(given, error, expected):
    whole = {"name": "rents", "dataset": RENTS, "family": "ridge", **given}
    with pytest.raises(error, match=expected):
        model_definitions(**whole)


def materialize(source: Path | None, content: str, config: dict, tmp_path: Path, **given):
    """The data asset alone, on a file that the code names or run config."""
    file = tmp_path / "rents.csv"
    file.write_text(content)
    definitions = model_definitions(
        "rents", RENTS, "ridge", source="" if source is None else str(source), **given
    )
    asset = definitions.get_assets_def("rents_data")
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [asset],
            instance=instance,
            resources={
                "io_manager": PlainIOManager(base_path=str(tmp_path / "values")),
                "training_engine": TrainingEngine(),
            },
            run_config={"ops": {"rents_data": {"config": config}}},
            partition_key="Genf" if given else None,
            raise_on_error=False,
        )


def test_a_file_that_the_code_names_is_read_and_one_of_run_config_only_where_it_may(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("WINE_QUALITY_ALLOWED_ROOTS", raising=False)
    content, file = "city,area,rent\nBern,51.5,1200\nGenf,80,2100\n", tmp_path / "rents.csv"
    assert materialize(file, content, {}, tmp_path).success
    refused = materialize(None, content, {"source": str(file)}, tmp_path)
    assert not refused.success and not refused.asset_materializations_for_node("rents_data")
    [check] = refused.get_asset_check_evaluations()
    assert not check.passed and "WINE_QUALITY_ALLOWED_ROOTS" in check.description
    part = materialize(file, content, {}, tmp_path, segment_by="city")
    assert part.output_for_node("rents_data")["area"].tolist() == [80.0]


def test_rows_against_the_contract_replace_nothing(tmp_path):
    result = materialize(
        tmp_path / "rents.csv", "city,area,rent\nBern,1,1200\nGenf,80,x\n", {}, tmp_path
    )
    [check] = result.get_asset_check_evaluations()
    assert not result.success and not check.passed
    assert "'area': lies outside 5 to 1000 m²" in check.description
    assert "'rent': holds text, such as 'x' in 1 row(s), first at line(s) [3]" in check.description
    assert not (tmp_path / "values").exists()


def test_a_project_of_yaml_files_is_loaded_and_bad_fields_are_named(tmp_path, monkeypatch):
    """Two models of one project; the source lies beside the file that names it."""
    package = tmp_path / "yaml_project"
    (package / "defs" / "one").mkdir(parents=True)
    (package / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "yaml_project"\n')
    (package / "declared.py").write_text(
        "from wine_quality_tests.unit.model_graph.test_model_graph import RENTS\n"
    )
    (package / "defs" / "one" / "rents.csv").write_text("city,area,rent\nBern,51.5,1200\n")
    attributes = {
        "name": "rents",
        "dataset": "yaml_project.declared:RENTS",
        "family": "ridge",
        "source": "rents.csv",
        "segment_by": "city",
        "hyperparameters": {"alpha": 2.0},
        "drift_threshold": 0.2,
    }
    kind = "wine_quality.model_graph.TrackedModelComponent"
    assert kind == f"wine_quality.model_graph.{TrackedModelComponent.__name__}"

    def load(*given: dict) -> dg.Definitions:
        parts = [yaml.safe_dump({"type": kind, "attributes": one}) for one in given]
        (package / "defs" / "one" / "defs.yaml").write_text("---\n".join(parts))
        return ComponentTree.for_project(tmp_path).build_defs()

    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        other = {"name": "other", "dataset": "diabetes", "family": "lasso"}
        definitions = load(attributes, other)
        assert keys(definitions) >= {"rents_model", "other_model"}
        names = ("rents_live_error_retraining", "other_live_error_retraining")
        assert {one.name for one in definitions.sensors} == {"mlflow_run_closer", *names}
        dg.Definitions.validate_loadable(definitions)
        found = config_of(definitions, "rents", "rents_data")["source"]
        assert Path(str(found)) == package / "defs" / "one" / "rents.csv"
        assert definitions.resolve_job_def("rents").partitions_def is not None
        assert config_of(definitions, "rents", "rents_model")["drift_threshold"] == 0.2
        # "Materialize all" of the UI gives no config; it executes the checks of assets, too.
        assert dg.validate_run_config(definitions.resolve_implicit_global_asset_job_def(), {})
        with pytest.raises(ComponentTreeException) as refused:
            load({**other, "family": "lassoo"})
        assert "there is no family 'lassoo'" in str(refused.value.__cause__)
    finally:
        for name in [one for one in sys.modules if one.startswith("yaml_project")]:
            del sys.modules[name]
    component = TrackedModelComponent(**other)
    assert len(list(build_defs_for_component(component).sensors)) == 2
