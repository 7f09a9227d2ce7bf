"""The project in a process that has imported everything: each run is a fork of it.

The same code in the same environment as a run worker's, without the seconds of its start.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dagster import (
    AssetKey,
    DagsterInstance,
    ReexecutionOptions,
    RunsFilter,
    build_sensor_context,
    execute_job,
    reconstructable,
)

from wine_quality.cli.jobs import main_job
from wine_quality.definitions import defs
from wine_quality.execution import run_closer as sensors
from wine_quality.execution.kept_connections import keep_connections
from wine_quality.tracking.runs import close_run as closing
from wine_quality_tests.support.warm_commands import import_libraries

RESUME = {"dagster/is_resume_retry": "true"}
JOB = reconstructable(main_job)


def import_all() -> None:
    """Modules that steps import inside their functions, and what MLflow prepares for a model."""
    import_libraries()
    # What is there already is neither walked nor copied in forks.
    gc.collect()
    gc.freeze()


def forked(function: Callable[[], None], log: Path) -> int:
    """Call it in a fork that writes to ``log``; returns its exit code, or minus the signal's."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with log.open("ab", buffering=0) as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            function()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class WarmProject:
    """Runs of the job over one Dagster instance and one MLflow server."""

    def __init__(self, folder: Path, key: str, uri: str | None) -> None:
        self.folder, self.key, self.uri = folder, key, uri
        home = folder / "dagster"
        home.mkdir(parents=True, exist_ok=True)
        (home / "dagster.yaml").touch()
        os.environ["DAGSTER_HOME"] = str(home)
        os.environ["WINE_QUALITY_HOME"] = str(folder)
        self.log = folder / "runs.log"
        self.instance = DagsterInstance.from_config(str(home))
        self.cursor: str | None = None

    def config(self, name: str, alpha: float = 0.5, seed: int = 40) -> dict[str, Any]:
        """Run config with an experiment and a registered model of that name."""
        fields: dict[str, Any] = {"version": self.key}
        fields |= {"experiment_name": name, "registered_model_name": name}
        if self.uri:
            fields["tracking_uri"] = self.uri
        return {
            "resources": {
                "mlflow": {"config": fields},
                "hyperparameters": {"config": {"alpha": alpha}},
            },
            **({"ops": {"train_test_split": {"config": {"seed": seed}}}} if seed != 40 else {}),
        }

    def execute(
        self,
        name: str,
        config: dict[str, Any],
        assets: Sequence[str] = (),
        tags: dict[str, str] | None = None,
    ) -> tuple[str, int]:
        """Run the job, or these assets of it; returns the run's id and the process's exit code."""
        asked = {"test/name": name, **(tags or {})}

        def work() -> None:
            with DagsterInstance.get() as instance:
                keep_connections(instance)
                selection = [AssetKey(asset) for asset in assets] or None
                execute_job(JOB, instance, config, tags=asked, asset_selection=selection)

        code = forked(work, self.log)
        return self.newest(name), code

    def reexecute(self, name: str, run_id: str) -> str:
        """From failure, as the UI does; returns the id of the run."""

        def work() -> None:
            with DagsterInstance.get() as instance:
                keep_connections(instance)
                options = ReexecutionOptions.from_failure(run_id, instance)
                tags = {"test/name": name, **RESUME}
                execute_job(JOB, instance, reexecution_options=options, tags=tags)

        forked(work, self.log)
        return self.newest(name)

    def newest(self, name: str) -> str:
        return self.instance.get_runs(RunsFilter(tags={"test/name": name}), limit=1)[0].run_id

    def status(self, run_id: str) -> str:
        return self.instance.get_run_by_id(run_id).status.value  # type: ignore[union-attr]

    def note_death(self, run_id: str) -> None:
        """As Dagster's code server does when a run's process is gone."""
        run = self.instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            self.instance.report_engine_event("Run execution process is gone.", run)
            self.instance.report_run_failed(run)

    def tick(self) -> None:
        """One tick of ``mlflow_run_closer``."""
        context = build_sensor_context(
            instance=self.instance, cursor=self.cursor, repository_def=defs.get_repository_def()
        )
        self.cursor = sensors.mlflow_run_closer.evaluate_tick(context).cursor

    def close_in_fork(self) -> None:
        """Have MLflow runs closed by forks, where the version is this process's own."""

        def run(command: list[str], **_: Any) -> Any:
            answer = self.folder / "closed.json"
            answer.unlink(missing_ok=True)

            def work() -> None:
                answer.write_text(json.dumps(vars(closing.main(*command[-5:]))))

            code = forked(work, self.log)
            reply = answer.read_text() if code == 0 else ""
            return SimpleNamespace(
                returncode=code, stdout=reply, stderr=self.log.read_text()[-500:]
            )

        closing.subprocess = SimpleNamespace(  # type: ignore[attr-defined]
            run=run, TimeoutExpired=TimeoutError
        )

    def rest(self, path: str, /, **body: Any) -> dict[str, Any]:
        """Ask the MLflow server, by GET without a body."""
        request = urllib.request.Request(
            f"{self.uri}/api/2.0/mlflow/{path}",
            data=json.dumps(body).encode() if body else None,
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return {}
            raise

    def mlflow_runs(self, experiment: str) -> list[dict[str, Any]]:
        name = urllib.parse.quote(experiment)
        found = self.rest(f"experiments/get-by-name?experiment_name={name}").get("experiment")
        if found is None:
            return []
        return self.rest("runs/search", experiment_ids=[found["experiment_id"]]).get("runs", [])

    def versions(self, model: str) -> list[dict[str, Any]]:
        query = urllib.parse.urlencode({"filter": f"name='{model}'"})
        return self.rest(f"model-versions/search?{query}").get("model_versions", [])


def say(**fields: Any) -> None:
    """A line of JSON for the test that started this process."""
    print(json.dumps(fields), flush=True)
    sys.stdout.flush()
