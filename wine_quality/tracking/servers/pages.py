"""The pages that show experiments, runs and versions: in MLflow's own UI, or in Databricks'."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from wine_quality.tracking.servers.databricks import is_databricks, is_unity_catalog


@dataclass(frozen=True)
class MlflowPages:
    """Of MLflow's UI.

    Attributes:
        base: Its address; empty: no UI shows it, and all pages are empty too.
        workspace: Of an MLflow 3 server that has such, which a link must name; or empty.
    """

    base: str
    workspace: str = ""

    def experiment(self, experiment_id: str | None) -> str:
        return self._page(f"experiments/{experiment_id}")

    def experiment_in_notes(self, experiment_id: str) -> str:
        """For a description within the UI, which may be seen at several addresses."""
        return f"#/experiments/{experiment_id}"

    def run(self, experiment_id: str | None, run_id: str | None) -> str:
        return self._page(f"experiments/{experiment_id}/runs/{run_id}")

    def model_version(self, name: str, version: str) -> str:
        return self._page(f"models/{quote(name, safe='')}/versions/{version}")

    def _page(self, path: str) -> str:
        query = f"?workspace={quote(self.workspace, safe='')}" if self.workspace else ""
        return f"{self.base}/#/{path}{query}" if self.base else ""


@dataclass(frozen=True)
class DatabricksPages(MlflowPages):
    """Of a workspace, with models in its own registry."""

    def experiment_in_notes(self, experiment_id: str) -> str:
        return f"/ml/experiments/{experiment_id}"

    def _page(self, path: str) -> str:
        return f"{self.base}/ml/{path}" if self.base else ""


@dataclass(frozen=True)
class UnityCatalogPages(DatabricksPages):
    """Of a workspace, with models in Unity Catalog."""

    def model_version(self, name: str, version: str) -> str:
        path = quote(name, safe=".").replace(".", "/")
        return f"{self.base}/explore/data/models/{path}/version/{version}" if self.base else ""


def pages_of(uri: str, base: str, workspace: str = "") -> MlflowPages:
    """The pages of the server that ``uri`` names, which people see at ``base``.

    Args:
        workspace: That MLflow's client works in, if any.
    """
    if is_unity_catalog(uri):
        return UnityCatalogPages(base)
    return DatabricksPages(base) if is_databricks(uri) else MlflowPages(base, workspace)
