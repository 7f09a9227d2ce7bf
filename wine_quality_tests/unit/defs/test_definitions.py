"""The definitions of the code location, compared with a snapshot of them.

Changed on purpose? Write it anew: pytest with this file and ``--snapshot-update``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import pytest

from wine_quality.paths import PROJECT_ROOT


def described() -> dict[str, Any]:
    """Assets, jobs, sensors and every config field with its default, as plain data."""
    from wine_quality.definitions import defs

    assets = {}
    graph = defs.resolve_asset_graph()
    for asset in graph.assets_defs:
        for spec in asset.specs:
            assets[spec.key.to_user_string()] = {
                "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
                "group": spec.group_name,
                "kinds": sorted(spec.kinds),
                "owners": list(spec.owners),
                "code_version": spec.code_version,
                "description": spec.description,
                "checks": sorted(k.name for k in graph.asset_check_keys if k.asset_key == spec.key),
                "columns": _columns(spec.metadata),
                "fresh_days": spec.freshness_policy.fail_window.days
                if spec.freshness_policy
                else None,
            }
    config: dict[str, Any] = {}
    for job in sorted(job.name for job in defs.jobs or []):
        schema = defs.resolve_job_def(job).run_config_schema.config_type
        for part in ("ops", "resources"):
            config.update(_fields(schema.fields[part].config_type, part))
    return {
        "assets": dict(sorted(assets.items())),
        "jobs": sorted(job.name for job in defs.jobs or []),
        "schedules": {
            s.name: [s.cron_schedule, s.default_status.value] for s in defs.schedules or []
        },
        "sensors": sorted(sensor.name for sensor in defs.sensors or []),
        "config": dict(sorted(config.items())),
    }


def _columns(metadata: Any) -> list[str]:
    schema = metadata.get("dagster/column_schema")
    return [column.name for column in schema.columns] if schema else []


def _fields(config_type: Any, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in config_type.fields.items():
        here = f"{path}.{name}"
        if name == "config" and not getattr(field.config_type, "fields", None):
            continue  # an asset without config
        if getattr(field.config_type, "fields", None):
            found.update(_fields(field.config_type, here))
        else:
            assert field.description or not here.count(".config."), f"{here} has no help text"
            found[here] = field.default_value if field.default_provided else None
            assert field.default_provided or not field.is_required, f"{here} has no default"
    return found


def test_the_definitions_are_those_of_the_snapshot(snapshot):
    from syrupy.extensions.json import JSONSnapshotExtension

    assert described() == snapshot(extension_class=JSONSnapshotExtension)


def test_schedule_and_freshness_follow_the_environment(monkeypatch):
    from dagster import DefaultScheduleStatus

    from wine_quality.defs.data.new_file_sensor import WatchedSource
    from wine_quality.defs.model.freshness import model_freshness
    from wine_quality.defs.schedules import retraining_schedule

    monkeypatch.setenv("WINE_QUALITY_CRON", "0 5 * * *")
    monkeypatch.setenv("WINE_QUALITY_FRESH_DAYS", "7")
    schedule = retraining_schedule(WatchedSource())
    assert schedule.cron_schedule == "0 5 * * *"
    assert schedule.default_status == DefaultScheduleStatus.RUNNING
    assert model_freshness().fail_window.days == 7
    monkeypatch.setenv("WINE_QUALITY_FRESH_DAYS", "soon")
    with pytest.raises(ValueError, match="WINE_QUALITY_FRESH_DAYS is 'soon'"):
        model_freshness()


def test_schedules_run_in_a_time_zone_that_is_named(monkeypatch):
    from wine_quality.defs.data.new_file_sensor import WatchedSource
    from wine_quality.defs.schedules import live_check_schedule, retraining_schedule
    from wine_quality.defs.upkeep.retention import retention_schedule

    makers = [lambda: retraining_schedule(WatchedSource()), live_check_schedule, retention_schedule]
    for given, zone in ((None, "UTC"), ("", "UTC"), ("Europe/Berlin", "Europe/Berlin")):
        if given is None:
            monkeypatch.delenv("WINE_QUALITY_TIMEZONE", raising=False)
        else:
            monkeypatch.setenv("WINE_QUALITY_TIMEZONE", given)
        for make in makers:
            schedule = make()
            assert schedule.execution_timezone == zone
            assert f"Times are of {zone} ($WINE_QUALITY_TIMEZONE)." in str(schedule.description)
    for bad, hint in (
        ("Berlin", "Did you mean Europe/Berlin"),
        ("../etc/passwd", "IANA"),
        ("CESTT", "IANA"),
    ):
        monkeypatch.setenv("WINE_QUALITY_TIMEZONE", bad)
        for make in makers:
            with pytest.raises(ValueError, match=hint) as refused:
                make()
            assert f"WINE_QUALITY_TIMEZONE is {bad!r}" in str(refused.value)


def test_the_schedule_trains_on_what_a_watched_place_brought():
    from dagster import validate_run_config

    from wine_quality.definitions import defs
    from wine_quality.defs.data.new_file_sensor import WatchedSource
    from wine_quality.defs.schedules import retraining_schedule

    def run_config(watch: WatchedSource) -> Any:
        from dagster import build_schedule_context

        context = build_schedule_context(repository_def=defs.get_repository_def())
        [request] = retraining_schedule(watch).evaluate_tick(context).run_requests
        return request.run_config

    assert run_config(WatchedSource()) == {}
    watch = WatchedSource(place="/new", mlflow_version="2.1.1", alpha=0.1, conflicts="drop")
    config = run_config(watch)
    assert config["ops"]["raw_wine_csv"]["config"] == {
        "training_data": "accumulated",
        "conflicts": "drop",
    }
    assert config["resources"]["mlflow"]["config"] == {"version": "2.1.1"}
    assert config["resources"]["hyperparameters"]["config"]["alpha"] == 0.1
    validate_run_config(defs.resolve_job_def("wine_quality_model"), config)


def test_the_files_are_no_part_of_a_run():
    """They are external: the job and "Materialize all" leave them out."""
    from dagster import AssetKey

    from wine_quality.definitions import defs

    graph = defs.resolve_asset_graph()
    files = AssetKey("wine_files")
    assert files in graph.get(AssetKey("raw_wine_csv")).parent_keys
    assert files not in graph.executable_asset_keys
    assert "wine_files" not in {n.name for n in defs.resolve_job_def("wine_quality_model").nodes}


def test_heavy_imports_wait_until_they_are_needed():
    """Loading the code location is what people wait for in the UI."""
    heavy = ["mlflow", "sklearn", "pandas", "pandera", "matplotlib", "s3fs", "pyarrow", "scipy"]
    heavy += ["sqlalchemy", "alembic", "psycopg2"]
    code = (
        "import sys, wine_quality.definitions; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        cwd=PROJECT_ROOT,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        timeout=60,
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_pure_computation_knows_neither_dagster_nor_mlflow():
    for folder in ("datasets", "sources", "models", "engines", "wines", "history"):
        for file in (PROJECT_ROOT / "wine_quality" / folder).rglob("*.py"):
            found = re.search(r"^\s*(from|import) (dagster|mlflow)", file.read_text(), re.MULTILINE)
            assert not found, f"{file.name}: {found and found[0]}"
