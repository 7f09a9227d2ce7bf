"""The records that trainings leave in their runs: the model in plain numbers, and its data."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.tracking.client import TRAINING_RECORD, TrackingSettings
from wine_quality.tracking.runs.open_run import OpenRun

if TYPE_CHECKING:
    from collections.abc import Callable


class TrainingRecords(OpenRun):
    """Reads them, each once."""

    def __init__(self, settings: TrackingSettings, warn: Callable[[str], None]) -> None:
        super().__init__(settings, warn)
        self._records: dict[str, bytes | None] = {}

    def read_training_record(self, run_id: str) -> dict[str, Any] | None:
        """The record of a run, to be looked at: nobody has checked who wrote it.

        Raises:
            Exception: MLflow's or its artifact store's own, when they do not answer.
        """
        content = self._record_of(run_id)
        return None if content is None else json.loads(content)

    def _record_of(self, run_id: str) -> bytes | None:
        if run_id not in self._records:
            there = self._is_there(run_id, TRAINING_RECORD)
            self._records[run_id] = self._read_record(run_id) if there else None
        return self._records[run_id]

    def _is_there(self, run_id: str, path: str) -> bool:
        """Asked first, since the older clients try for a minute to fetch what is not there."""
        from mlflow.exceptions import MlflowException

        if not run_id:  # a version may be registered without one
            return False
        try:
            beside = self.client.list_artifacts(run_id, str(Path(path).parent))
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return any(found.path == path for found in beside)

    def _read_record(self, run_id: str) -> bytes:
        from mlflow.artifacts import download_artifacts

        uri = f"runs:/{run_id}/{TRAINING_RECORD}"
        with tempfile.TemporaryDirectory() as folder:
            return Path(download_artifacts(artifact_uri=uri, dst_path=folder)).read_bytes()
