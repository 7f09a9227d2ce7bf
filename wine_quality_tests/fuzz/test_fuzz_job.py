"""Some of what fuzzing found through the whole job, against a real MLflow 3 server."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from wine_quality.dagster_support.instance import open_dagster
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.execution.failure_reasons import reasons_of
from wine_quality.paths import dagster_home
from wine_quality_tests.fuzz.outcome import kept, require_clear
from wine_quality_tests.fuzz.test_found_by_fuzzing import CORPUS

pytestmark = pytest.mark.slow


def test_the_job_registers_nothing(home: Path, mlflow_server):
    """CSV in memory and by DuckDB, and Parquet: one clear reason, one FAILED MLflow run."""
    from wine_quality.cli.jobs import main_job
    from wine_quality.history.wine_history import WineHistory

    server = mlflow_server(MLFLOW_VERSIONS["3"])
    name = f"fuzz-{uuid.uuid4().hex[:8]}"
    mlflow = {"tracking_uri": server.uri, "experiment_name": name, "registered_model_name": name}
    cases = [
        (path, engine)
        for path in CORPUS
        for engine in ("in_memory", "duckdb")
        if engine == "duckdb" or path.suffix == ".csv"
    ][::4]  # a run takes seconds
    with open_dagster(dagster_home()) as instance:
        for path, engine in cases:
            done = main_job().execute_in_process(
                run_config={
                    "ops": {"raw_wine_csv": {"config": {"csv_url": str(path)}}},
                    "resources": {
                        "mlflow": {"config": mlflow},
                        "training_engine": {"config": {"engine": engine}},
                    },
                },
                instance=instance,
                raise_on_error=False,
            )
            assert not done.success, path.name
            [reason] = reasons_of(done.all_events)
            require_clear(ValueError(reason), path.name)
    assert kept(WineHistory()) == 0
    assert server.statuses(name) == ["FAILED"] * len(cases)
    assert server.versions(name) == []
