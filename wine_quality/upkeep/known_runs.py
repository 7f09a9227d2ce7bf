"""Runs and logged models in the databases of MLflow servers, and which of them are needed.

Asked in SQL, of PostgreSQL and sqlite alike: no API lists deleted runs with their dates,
and that of 1.26 cannot delete files at all. The tables are the same in all versions, but for those
that only MLflow 3 has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wine_quality.upkeep.mlflow_tables import columns, rows, tables
from wine_quality.upkeep.old_runs import RETIRED_TAG

_RUNS = f"""
    SELECT r.run_uuid, r.lifecycle_stage, t.value FROM runs r
    LEFT JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = '{RETIRED_TAG}'"""
_VERSIONS = """
    SELECT run_id, source, {where} FROM model_versions
    WHERE current_stage IS NULL OR current_stage <> 'Deleted_Internal'"""
_MODELS = "SELECT model_id, source_run_id FROM logged_models"
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_RUN_ID = re.compile(r"(?<![0-9a-f-])[0-9a-f]{32}(?![0-9a-f])")


@dataclass
class Known:
    """Runs and logged models in all databases whose servers share a place for files.

    Attributes:
        runs: When each run was retired by a retention and is deleted, seconds since 1970; None for
            every other run.
        models: The run that logged each model of MLflow 3, "" if none did.
        held_runs: Those that a model version needs.
        held_models: The same of logged models.
    """

    runs: dict[str, float | None] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    held_runs: set[str] = field(default_factory=set)
    held_models: set[str] = field(default_factory=set)

    def add(self, connection: Any) -> None:
        """Read a database, by a connection of PostgreSQL's or sqlite's driver.

        One without MLflow's tables, whose server was never started, adds nothing.
        """
        there = tables(connection)
        if "runs" not in there:
            return
        for run, stage, retired in rows(connection, _RUNS):
            gone = stage == "deleted" and retired is not None
            when = datetime.fromisoformat(retired).timestamp() if gone else None
            if run in self.runs:
                # `make upgrade` took it over: it is in two databases, and either may need it.
                when = _later(when, self.runs[run])
            self.runs[run] = when
        if "logged_models" in there:
            for model, run in rows(connection, _MODELS):
                self.models[model] = run or ""
        known = columns(connection, "model_versions")
        where = "storage_location" if "storage_location" in known else "NULL"
        for run, *places in rows(connection, _VERSIONS.format(where=where)):
            text = " ".join(filter(None, places))
            self.held_runs.update(_RUN_ID.findall(text), [run] if run else [])
            self.held_models.update(_MODEL_ID.findall(text))
        self.held_runs.update(self.models.get(model, "") for model in self.held_models)

    def may_lose_files(self, run: str, before: float) -> bool:
        """Whether a run was retired before that moment and no model version needs it."""
        retired = self.runs.get(run)
        return retired is not None and retired < before and run not in self.held_runs


def _later(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else max(one, other)
