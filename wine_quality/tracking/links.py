"""Links to MLflow in Dagster's metadata."""

from __future__ import annotations

from dagster import MetadataValue

NO_UI = "no MLflow UI shows this store; resources.mlflow.config.ui_url names one"


def mlflow_link(url: str) -> MetadataValue:
    """A link, or why there is none. A path leads to an MLflow UI through Dagster's own address."""
    return MetadataValue.url(url) if url else MetadataValue.text(NO_UI)
