"""Parts that were stored by an older checkout, forged ones, those of a sweep, two runs on one
MLflow run, and an MLflow run that is gone.

``python -m wine_quality_tests.faults.part_cases FOLDER VERSION URI``; prints a line of JSON for
each case.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from dagster import DagsterInstance, ReexecutionOptions, execute_job, reconstructable

from wine_quality.cli.jobs import deployment_job, sweep_job
from wine_quality.dagster_support.run_tag_names import MLFLOW_OWNER_TAG, MLFLOW_RUN_TAG
from wine_quality_tests.faults.part_orders import Orders, config_of, only, outcome
from wine_quality_tests.faults.part_rule import State
from wine_quality_tests.support.warm_project import (
    JOB,
    RESUME,
    WarmProject,
    forked,
    import_all,
    say,
)


def forget_trainings(folder: Path) -> None:
    """Have the stored values say what those of an older checkout said."""
    for file in (folder / "assets").rglob("*.json"):
        value = json.loads(file.read_text())
        if value.pop("training", None) is not None:
            file.write_text(json.dumps(value))


def of_older_checkout(orders: Orders, base: Path) -> None:
    folder, state, _ = orders.materialize(base, State(), ("model",))
    for place, then in ((base, State()), (folder, state)):
        forget_trainings(place)
        for selection in (("registered",), ("champion",), ("metrics", "registered", "champion")):
            _, _, came = orders.materialize(place, then, selection)
            say(case=f"older values, {selection} of {then.model}", **came)


def of_a_forged_value(orders: Orders, base: Path) -> None:
    """Whoever writes to the store of values says which files were trained: none are signed."""
    folder, state, _ = orders.materialize(base, State(), ("model", "metrics"))
    for file in (folder / "assets" / "elasticnet_model").glob("*.json"):
        value = json.loads(file.read_text())
        file.write_text(json.dumps({**value, "model_sha256": "0" * 64}))
    _, _, came = orders.materialize(folder, state, ("registered",))
    answer = came["failed"].get("registered_model", "it was registered")
    right = "is not what was trained here" in answer
    say(case="forged value", broken=[] if right else [answer])


def of_a_sweep(project: WarmProject) -> None:
    """Its last step again, on other wines than were swept."""
    job = reconstructable(sweep_job)
    few = {"alphas": [0.01, 0.1], "l1_ratios": [0.5]}

    def config(seed: int) -> dict[str, Any]:
        given = {"sweep_data": {"seed": seed}, "sweep_points": few}
        resources = project.config("sweep")["resources"]
        del resources["hyperparameters"]
        return {"resources": resources, "ops": {op: {"config": c} for op, c in given.items()}}

    def sweep() -> None:
        with DagsterInstance.get() as instance:
            execute_job(job, instance, config(40), tags={"test/name": "sweep"})

    forked(sweep, project.log)
    whole = project.newest("sweep")

    def again() -> None:
        with DagsterInstance.get() as instance:
            options = ReexecutionOptions(whole, ["sweep_data", "offer_best"])
            tags = {"test/name": "sweep again"}
            execute_job(job, instance, config(41), reexecution_options=options, tags=tags)

    forked(again, project.log)
    part = project.newest("sweep again")
    came = outcome(project, "sweep", part, {})
    text = [f"the sweep is {project.status(whole)}"] * (project.status(whole) != "SUCCESS")
    if "offer_best" not in came["failed"]:
        text.append(f"the part is {project.status(part)}, of other wines than were swept")
    say(case="sweep", failed=came["failed"], broken=[*came["broken"], *text])


def of_a_deployment(project: WarmProject, orders: Orders) -> None:
    """Its value says of which training the version is that it deployed."""
    resources = project.config(orders.name)["resources"]
    config = {"resources": {"mlflow": resources["mlflow"]}}

    def deploy() -> None:
        with DagsterInstance.get() as instance:
            job = reconstructable(deployment_job)
            execute_job(job, instance, config, tags={"test/name": "deployment"})

    forked(deploy, project.log)
    run_id = project.newest("deployment")
    stored = list((project.folder / "assets" / "model_deployment").glob(f"{run_id}.json"))
    text = [f"the deployment is {project.status(run_id)}"] * (not stored)
    for file in stored:
        value = json.loads(file.read_text())
        of = {v["version"]: v["run_id"] for v in project.versions(orders.name)}
        if value["training"]["mlflow_run_id"] != of[value["version"]]:
            text.append(f"{value} of {of}")
    say(case="deployment", broken=text)


def of_forged_tags(project: WarmProject, orders: Orders) -> None:
    """A launch whose tags say that it left the champion's MLflow run open; it is re-executed."""
    mine = project.versions(orders.name)[0]["run_id"]
    config = project.config(orders.name)
    refused = project.config("no/name")
    forged = {MLFLOW_OWNER_TAG: "somebody", MLFLOW_RUN_TAG: mine}
    parent, _ = project.execute("forged", refused, tags=forged)

    def again() -> None:
        with DagsterInstance.get() as instance:
            options = ReexecutionOptions.from_failure(parent, instance)
            tags = {"test/name": "forged again", **RESUME}
            execute_job(JOB, instance, config, reexecution_options=options, tags=tags)

    before = project.rest(f"runs/get?run_id={mine}")
    forked(again, project.log)
    status = project.status(project.newest("forged again"))
    messages = [] if status == "SUCCESS" else [f"the re-execution is {status}"]
    if project.rest(f"runs/get?run_id={mine}") != before:
        messages.append("it went on with the MLflow run of a registered version")
    say(case="forged tags", broken=messages)


def of_a_deleted_run(project: WarmProject, orders: Orders) -> None:
    for run in project.mlflow_runs(orders.name):
        project.rest("runs/delete", run_id=run["info"]["run_id"])
    assets = ["evaluation_metrics"]
    config = only(config_of(project, orders.name, "A", "in_memory"), assets)
    run_id, _ = project.execute("deleted", config, assets)
    answer = outcome(project, orders.name, run_id, {})["failed"].get("evaluation_metrics", "")
    right = "was deleted. Restore it" in answer
    say(case="deleted run", result=answer, broken=[] if right else [answer])


def main(folder: Path, key: str, uri: str) -> None:
    import_all()
    orders = Orders(folder, key, uri, "in_memory")
    base = orders.whole()
    of_older_checkout(orders, base)
    of_a_forged_value(orders, base)
    project = WarmProject(base, key, uri)
    of_a_sweep(project)
    of_a_deployment(project, orders)
    of_forged_tags(project, orders)
    of_a_deleted_run(project, orders)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:4])
