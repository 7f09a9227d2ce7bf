"""The runtime that MLServer loads: checks a request against the signature, then predicts."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from mlserver import MLModel
from mlserver.errors import InferenceError
from mlserver.logging import logger
from mlserver.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataModelResponse,
    Parameters,
    ResponseOutput,
)

from .columns import BadRequest, matrix
from .estimator import load_estimator
from .limits import most_rows
from .prediction_log import PredictionLog

OUTPUT = "predict"
_FLUSH_SECONDS = 5.0


class WineQualityModel(MLModel):
    """A scikit-learn regressor, served by its signature.

    What it needs stands in ``parameters.extra`` of ``model-settings.json``: ``file``,
    ``serialization``, ``sha256``, ``columns`` and ``packages``.
    """

    _log: PredictionLog | None = None

    async def load(self) -> bool:
        import sklearn

        # Rows are checked here already.
        sklearn.set_config(assume_finite=True)
        extra = self._extra()
        self._columns: list[str] = list(extra["columns"])
        self._run_id: str = extra["run_id"]
        self._most_rows = most_rows()
        self._estimator = load_estimator(
            self._folder() / extra["file"],
            extra["serialization"],
            extra["sha256"],
            extra["packages"],
        )
        self._predict(np.zeros((1, len(self._columns))))  # whatever is loaded late is loaded now
        log = PredictionLog.from_environment(logger.warning)
        self._log = log if log.is_kept else None
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        try:
            rows = matrix(payload.inputs, self._columns, self._most_rows)
            _check_outputs(payload)
        except BadRequest as error:
            raise InferenceError(str(error)) from None
        predictions = self._predict(rows)
        if not np.isfinite(predictions).all():
            row = int(np.argmin(np.isfinite(predictions)))
            raise InferenceError(f"row {row} is too large: its prediction is no finite number")
        if self._log is not None:
            self._log.record(
                model=self.name,
                version=self.version or "",
                columns=self._columns,
                inputs=rows,
                predictions=predictions,
                at=datetime.now(timezone.utc),
                run_id=self._run_id,
            )
        output = ResponseOutput.model_construct(
            name=OUTPUT, shape=[len(rows)], datatype="FP64", data=predictions.tolist()
        )
        return InferenceResponse.model_construct(
            model_name=self.name, model_version=self.version, id=payload.id, outputs=[output]
        )

    async def metadata(self) -> MetadataModelResponse:
        """By the protocol ``versions`` are the model's; MLServer would list packages there."""
        extra = self._extra()
        return MetadataModelResponse(
            name=self.name,
            versions=[self.version] if self.version else None,
            platform=self.settings.platform,
            inputs=self.inputs,
            outputs=self.outputs,
            parameters=Parameters(
                mlflow_version=extra["mlflow_version"],
                mlflow_run_id=extra["run_id"],
                packages=" ".join(f"{name}=={pin}" for name, pin in extra["packages"].items()),
            ),
        )

    async def unload(self) -> bool:
        if self._log is not None:
            await asyncio.to_thread(self._log.close, _FLUSH_SECONDS)
            self._log = None
        return True

    def _predict(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self._estimator.predict(rows), dtype=np.float64).reshape(len(rows))

    def _extra(self) -> dict[str, Any]:
        parameters = self.settings.parameters
        assert parameters is not None and parameters.extra is not None
        return parameters.extra

    def _folder(self) -> Path:
        source = self.settings._source
        assert source is not None
        return Path(source).parent


def _check_outputs(payload: InferenceRequest) -> None:
    for output in payload.outputs or []:
        if output.name != OUTPUT:
            raise BadRequest(f"there is no output {output.name[:80]!r}; the model has {OUTPUT!r}")
