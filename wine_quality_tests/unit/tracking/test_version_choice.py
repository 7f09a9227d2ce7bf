"""Which MLflow version a run takes when its config names none."""

from __future__ import annotations

from typing import Any

import pytest
from dagster import (
    AssetMaterialization,
    AssetSelection,
    DagsterInstance,
    DagsterRun,
    Definitions,
    asset,
    define_asset_job,
    materialize,
    op,
)
from dagster import job as job_of

from wine_quality.dagster_support.dagster_private import create_execution_plan
from wine_quality.dagster_support.run_tag_names import (
    MLFLOW_OWNER_TAG,
    MLFLOW_RUN_TAG,
    MLFLOW_STATE_TAG,
    MLFLOW_VERSION_TAG,
)
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.step_tags import (
    continued_by,
    continues_mlflow_run_of,
    opens_mlflow_run,
    opens_one,
    planned_tags,
)
from wine_quality.tracking.version_choice import (
    choose_version,
    named_version,
)

CHAIN = {
    "elasticnet_model": opens_mlflow_run(),
    "evaluation_metrics": continues_mlflow_run_of("elasticnet_model"),
    "champion_model": continues_mlflow_run_of("elasticnet_model"),
    "model_deployment": continues_mlflow_run_of("champion_model"),
}


def _named(version: Any) -> dict[str, Any]:
    return {"resources": {"mlflow": {"config": {"version": version}}}}


@pytest.fixture
def instance():
    with DagsterInstance.ephemeral() as instance:
        yield instance


def planned(instance: DagsterInstance, *steps: str, tagged: bool = True, **run: Any) -> DagsterRun:
    """A run that is to make these assets; none of them is made."""

    def stand_in(name: str) -> Any:
        @asset(name=name, op_tags=CHAIN[name] if tagged else None)
        def made(mlflow: MlflowTracker) -> None: ...

        return made

    defs = Definitions(
        assets=[stand_in(name) for name in CHAIN],
        resources={"mlflow": MlflowTracker()},
        jobs=[define_asset_job("part", AssetSelection.assets(*steps))],
    )
    return instance.create_run_for_job(defs.resolve_job_def("part"), **run)


def made(instance: DagsterInstance, name: str, client: str | None, **tags: str) -> str:
    """The run that made an asset."""

    @op
    def making(context) -> None:
        metadata = {"mlflow_client": client} if client else {}
        context.log_event(AssetMaterialization(name, metadata=metadata))

    @job_of
    def maker():
        making()

    return maker.execute_in_process(instance=instance, tags=tags).run_id


@pytest.mark.parametrize("step", ["evaluation_metrics", "champion_model"])
@pytest.mark.parametrize(
    ("client", "key"), [("1.26.0", "1.26"), ("2.1.1", "2.1.1"), ("3.17.2", "3")]
)
def test_a_run_that_trains_nothing_follows_the_model_it_loads(instance, step, client, key):
    other = "3" if key != "3" else "1.26"
    made(instance, "elasticnet_model", "2.1.1" if key != "2.1.1" else "3.17.2")
    run_id = made(instance, "elasticnet_model", client)
    chosen = choose_version(instance, planned(instance, step), other)
    assert chosen.version.key == key
    assert chosen.followed == f"elasticnet_model of run {run_id}"
    # What run config names is taken, which the step refuses with its own sentence.
    named = choose_version(instance, planned(instance, step, run_config=_named(other)), other)
    assert (named.version.key, named.followed) == (other, None)


def test_a_run_that_trains_takes_what_the_deployment_set(instance, monkeypatch):
    made(instance, "elasticnet_model", "1.26.0")
    for run in (planned(instance, *CHAIN), planned(instance, "elasticnet_model")):
        assert choose_version(instance, run, "2.1.1").version.key == "2.1.1"
        monkeypatch.setenv("WINE_QUALITY_MLFLOW", "1.26")
        assert choose_version(instance, run).version.key == "1.26"


def test_without_a_model_there_is_nothing_to_follow(instance):
    chosen = choose_version(instance, planned(instance, "evaluation_metrics"), "2.1.1")
    assert (chosen.version.key, chosen.followed) == ("2.1.1", None)


def test_a_deployment_follows_the_champion_by_the_tag_of_its_run(instance):
    made(instance, "elasticnet_model", "1.26.0")
    made(instance, "champion_model", None, **{MLFLOW_VERSION_TAG: "2.1.1"})
    assert choose_version(instance, planned(instance, "model_deployment")).version.key == "2.1.1"
    both = planned(instance, "model_deployment", "champion_model")
    assert choose_version(instance, both).version.key == "1.26"


def test_a_re_execution_goes_on_with_what_it_re_executes(instance):
    parent = made(instance, "elasticnet_model", "2.1.1")
    made(instance, "elasticnet_model", "1.26.0")
    again = {"parent_run_id": parent, "root_run_id": parent}
    run = planned(instance, "evaluation_metrics", **again)
    assert choose_version(instance, run).version.key == "2.1.1"


def test_from_failure_a_training_step_keeps_its_mlflow_run(instance):
    tags = {MLFLOW_VERSION_TAG: "2.1.1", MLFLOW_RUN_TAG: "abc"}
    parent = made(instance, "raw_wine_csv", None, **tags)
    instance.add_run_tags(parent, {MLFLOW_OWNER_TAG: parent})
    run = planned(
        instance,
        *CHAIN,
        parent_run_id=parent,
        root_run_id=parent,
        tags={"dagster/is_resume_retry": "true"},
    )
    assert choose_version(instance, run, "3").version.key == "2.1.1"


def test_raw_run_config_names_a_version_or_none():
    assert named_version(_named(1.26)) == 1.26
    assert named_version({}) is None


@pytest.mark.parametrize(
    ("job", "opens", "continues"),
    [
        ("wine_quality_model", True, []),
        ("wine_quality_sweep", True, []),
        ("wine_quality_deployment", False, ["champion_model"]),
        ("wine_quality_promotion", False, []),
    ],
)
def test_the_jobs_plans_say_which_mlflow_run_they_need(instance, job, opens, continues):
    from wine_quality.definitions import defs

    run = instance.create_run_for_job(defs.resolve_job_def(job))
    steps = planned_tags(instance, run)
    assert (opens_one(steps), continued_by(steps)) == (opens, continues)


def test_a_re_execution_needs_what_its_own_steps_need(instance):
    from wine_quality.definitions import defs

    job = defs.resolve_job_def("wine_quality_model")
    plan = create_execution_plan(job, step_keys_to_execute=["registered_model"])
    run = instance.create_run_for_job(job, execution_plan=plan)
    steps = planned_tags(instance, run)
    assert set(steps) == {"registered_model"}
    assert (opens_one(steps), continued_by(steps)) == (False, ["elasticnet_model"])


def test_a_plan_of_before_there_were_tags_takes_the_default(instance):
    """Queued by an older checkout: the steps open their MLflow run themselves (begin_run)."""
    made(instance, "elasticnet_model", "1.26.0")
    for step in ("elasticnet_model", "evaluation_metrics"):
        chosen = choose_version(instance, planned(instance, step, tagged=False), "2.1.1")
        assert (chosen.version.key, chosen.followed) == ("2.1.1", None)


@pytest.mark.slow
def test_an_untagged_step_that_trains_opens_its_mlflow_run(tmp_path, monkeypatch):
    monkeypatch.setenv("WINE_QUALITY_HOME", str(tmp_path))

    @asset
    def trained(context, mlflow: MlflowTracker) -> str:
        return mlflow.begin_run(context).require_run_id()

    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        done = materialize([trained], instance=instance, resources={"mlflow": MlflowTracker()})
        tags = instance.get_run_by_id(done.run_id).tags
    assert tags[MLFLOW_RUN_TAG] == done.output_for_node("trained")
    assert tags[MLFLOW_STATE_TAG] == "FINISHED"
