"""Links to MLflow in Dagster's metadata."""

from __future__ import annotations

from collections.abc import Mapping

from dagster import MetadataValue

from wine_quality.settings.internal import MLFLOW_UIS as UIS
from wine_quality.tracking.servers.addresses import WHICH_MLFLOW

NO_UI = "no MLflow UI shows this store; resources.mlflow.config.ui_url names one"


def mlflow_link(url: str) -> MetadataValue:
    """A link, or why there is none. A path leads to an MLflow UI through Dagster's own address."""
    return MetadataValue.url(url) if url else MetadataValue.text(NO_UI)


def versions_page_link() -> Mapping[str, MetadataValue]:
    """Metadata of an asset: a link to the page on what each MLflow holds, if `make up` shows it."""
    shown = bool(UIS.read())
    return {"which_mlflow_holds_what": MetadataValue.url(WHICH_MLFLOW)} if shown else {}
