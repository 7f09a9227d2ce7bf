"""The notices of a failed run and of a new champion."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from wine_quality.dagster_support.run_tag_names import (
    MLFLOW_VERSION_TAG,
    SOURCE_TAG,
    under_current_names,
)
from wine_quality.execution.failure_reasons import reasons_of
from wine_quality.notices.notice import Notice
from wine_quality.sources.transfer import redact_url
from wine_quality.tracking.registry.promotion_note import Promotion
from wine_quality.tracking.runs.run_tags import absolute_url, dagster_run_url

if TYPE_CHECKING:
    from dagster import DagsterRun

_URL = re.compile(r"\b[a-z][a-z0-9+]*://[^\s'\"<>]+", re.IGNORECASE)
_LONGEST = 400
_LINES = 2
_REASONS = 5


def failure_notice(run: DagsterRun, events: Iterable[Any]) -> Notice:
    """The notice of a run that failed; ``events`` are its DagsterEvents, in any number."""
    reasons = reasons_of(events) or ["Its log says no reason: its worker may have been killed."]
    lines = [_short(reason) for reason in reasons[:_REASONS]]
    if len(reasons) > _REASONS:
        lines.append(f"… and {len(reasons) - _REASONS} more")
    return Notice(f"{_job(run)} failed", (*lines, *_source(run)), _links(run))


def promotion_notice(run: DagsterRun, promotion: Promotion, events: Iterable[Any]) -> Notice:
    """The notice of a run that promoted a version."""
    name, version, before = promotion.model, promotion.version, promotion.before
    # Each MLflow version has a champion of its own: without this, a reader who sees that version 2
    # is the champion, and then that version 1 is, takes it for a rollback.
    key = under_current_names(run.tags).get(MLFLOW_VERSION_TAG)
    of_mlflow = f" (MLflow {key})" if key else ""
    if promotion.withdrawn:
        title, text = (
            f"{name} is back at version {version}{of_mlflow}",
            f"Version {before} is withdrawn.",
        )
    else:
        title = f"{name} version {version} is the champion{of_mlflow}"
        text = f"It takes the place of version {before}." if before else "It is the first one."
    lines = [text, *_errors(events), *_source(run), f"Decided by {_job(run)}."]
    if not run.is_success:
        lines.append(f"That run ended as {run.status.value} afterwards.")
    version_link = (("Model version", absolute_url(promotion.url)),) if promotion.url else ()
    return Notice(title, tuple(lines), (*version_link, *_links(run)))


def _job(run: DagsterRun) -> str:
    # Dagster's name for the runs of "Materialize"; private, and nothing to show anybody.
    return "A materialization" if run.job_name.startswith("__") else run.job_name


def _links(run: DagsterRun) -> tuple[tuple[str, str], ...]:
    return (("Dagster run", dagster_run_url(run.run_id)),)


def _source(run: DagsterRun) -> list[str]:
    source = under_current_names(run.tags).get(SOURCE_TAG)
    return [f"File: {source}"] if source else []


def _errors(events: Iterable[Any]) -> list[str]:
    """RMSE of the versions that ``champion_model`` compared, the best first."""
    for event in events:
        if event.event_type_value != "ASSET_MATERIALIZATION":
            continue
        table = event.materialization.metadata.get("rmse_on_the_same_rows")
        if table is not None:
            rows = sorted((r.data["rmse"], r.data["version"]) for r in table.records)
            compared = ", ".join(f"version {version} {rmse:.6f}" for rmse, version in rows)
            return [f"RMSE on the same rows: {compared}."]
    return []


def _short(reason: str) -> str:
    """A line or two of it, with no password or query in its URLs: it leaves the house."""
    lines = [" ".join(line.split()) for line in reason.splitlines() if line.strip()]
    text = _URL.sub(lambda found: redact_url(found[0]), " ".join(lines[:_LINES]))
    return text if len(text) <= _LONGEST and len(lines) <= _LINES else f"{text[:_LONGEST]} …"
