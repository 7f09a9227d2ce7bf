"""Logging to the open MLflow run: parameters, metrics, files, the model."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tempfile
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.tracking.client import TRAINING_RECORD
from wine_quality.tracking.model_files import hashed_uploads
from wine_quality.tracking.runs.open_run import OpenRun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from sklearn.base import BaseEstimator


@dataclass(frozen=True)
class LoggedModel:
    """A model that was logged.

    Attributes:
        sha256: See ``model_sha256``: of its files before they left this process. Anyone who
            reaches the artifact store may change them at once.
    """

    uri: str
    sha256: str


@dataclass(frozen=True)
class LoggedDataset:
    """A data set that was logged, as MLflow names it."""

    name: str
    digest: str


class RunLog(OpenRun):
    """Logs to the open run."""

    def log_model(self, model: BaseEstimator, example: pd.DataFrame) -> LoggedModel:
        """Log the fitted estimator under ``model``, with ``example`` rows."""
        import mlflow.tracking.fluent

        # In MLflow 3 by the client, before by the fluent function.
        owner: Any = mlflow.tracking.fluent
        name = "log_artifacts"
        if hasattr(self.client, "log_model_artifacts"):
            owner, name = type(self.client), "log_model_artifacts"
        with hashed_uploads(owner, name) as uploads:
            uri = self._log_model(model, example)
        if len(uploads) != 1:
            raise RuntimeError(
                f"MLflow {self.client_version} uploaded {len(uploads)} folders by {name} for one "
                "model, so what it logged cannot be signed"
            )
        return LoggedModel(uri, uploads[0])

    @abstractmethod
    def _log_model(self, model: BaseEstimator, example: pd.DataFrame) -> str:
        """Log the fitted estimator under ``model`` and return its model URI."""

    def log_dataset(
        self,
        frame: pd.DataFrame,
        source: str,
        name: str,
        context: str = "training",
        targets: str | None = None,
    ) -> LoggedDataset | None:
        """Record the lineage of a part of the data where the version has datasets.

        MLflow before 2.4 has none; the data hash carries the lineage there.

        Args:
            context: ``training`` or ``test``.
            targets: Name of the column that is predicted.
        """
        return None

    def log_params(self, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        cut = self._cut_params(params)
        self.client.log_batch(self.require_run_id(), params=[Param(*item) for item in cut.items()])

    def _cut_params(self, params: Mapping[str, Any]) -> dict[str, str]:
        limit = self.param_limit
        return {key: self._cut("parameter", key, value, limit) for key, value in params.items()}

    def log_metrics(
        self,
        metrics: Mapping[str, float],
        model_uri: str = "",
        dataset: LoggedDataset | None = None,
    ) -> None:
        """Of the run, and where MLflow has logged models (3) of the model too.

        Args:
            model_uri: Of the logged model that was measured.
            dataset: On which it was.
        """
        import time

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        links = self._metric_links(model_uri, dataset)
        values = [Metric(key, value, now, 0, **links) for key, value in metrics.items()]
        self.client.log_batch(self.require_run_id(), metrics=values)

    def _metric_links(self, model_uri: str, dataset: LoggedDataset | None) -> dict[str, str]:
        """Arguments of ``Metric`` that link it to its model and its data set."""
        return {}

    def log_figure(self, png: bytes, path: str) -> None:
        self._log_file(path, png)

    def log_table(self, path: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """As CSV; the first row names the columns."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self._log_file(path, text.getvalue().encode())

    def log_training_record(self, record: Mapping[str, Any]) -> str:
        """The model in plain numbers and what its training data looked like; returns its SHA-256.

        By this a later run compares with it, also in another environment.
        """
        content = json.dumps(record, indent=1).encode()
        self._log_file(TRAINING_RECORD, content)
        return hashlib.sha256(content).hexdigest()

    def _log_file(self, path: str, content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / Path(path).name
            local.write_bytes(content)
            parent = str(Path(path).parent)
            artifact_path = None if parent == "." else parent
            self.client.log_artifact(self.require_run_id(), str(local), artifact_path)
