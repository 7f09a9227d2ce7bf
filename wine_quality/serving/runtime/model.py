"""The runtime that MLServer loads: checks a request against the signature, then predicts."""

from __future__ import annotations

import asyncio
import json
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
    MetadataTensor,
    Parameters,
    ResponseOutput,
)

from .columns import BadRequestError, matrix, shown
from .estimator import UnfitModelError, load_estimator
from .limits import most_rows
from .prediction_log import PredictionLog

OUTPUT, PROBABILITIES = "predict", "probabilities"
SERVED = "served-model.json"
_FLUSH_SECONDS = 5.0


class WineQualityModel(MLModel):
    """A scikit-learn model, served by its signature.

    The output ``predict`` has a number for each row: of a classifier its class. A classifier with
    ``predict_proba`` has the output ``probabilities`` too, of shape [rows, classes]; the model's
    metadata lists the classes in their order.

    What it needs stands in ``served-model.json`` beside ``model-settings.json``.
    """

    _log: PredictionLog | None = None

    async def load(self) -> bool:
        import sklearn

        # Rows are checked here already.
        sklearn.set_config(assume_finite=True)
        folder = self._folder()
        self._served = served = _read(folder / SERVED)
        self._columns = [name for name, _ in served["columns"]]
        self._most_rows = most_rows()
        self._estimator = load_estimator(
            folder / served["file"],
            served["serialization"],
            served["sha256"],
            served["packages"],
            served.get("trusted_types", ()),  # not in a model repository of an older checkout
        )
        estimates = hasattr(self._estimator, "predict_proba")
        self._classes = list(self._estimator.classes_) if estimates else []
        self.inputs = [
            MetadataTensor(name=name, datatype=datatype, shape=[-1])
            for name, datatype in served["columns"]
        ]
        self.outputs = [MetadataTensor(name=OUTPUT, datatype="FP64", shape=[-1])]
        if self._classes:
            shape = [-1, len(self._classes)]
            self.outputs.append(MetadataTensor(name=PROBABILITIES, datatype="FP64", shape=shape))
        zeros = np.zeros((1, len(self._columns)))
        self._predict(zeros)  # whatever is loaded late is loaded now
        if self._classes:
            self._estimator.predict_proba(zeros)
        log = PredictionLog.from_environment(logger.warning)
        self._log = log if log.is_kept else None
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        try:
            rows = matrix(payload.inputs, self._columns, self._most_rows)
            wanted = self._wanted(payload)
        except BadRequestError as error:
            raise InferenceError(str(error)) from None
        predictions = self._predict(rows)
        if not np.isfinite(predictions).all():
            row = int(np.argmin(np.isfinite(predictions)))
            raise InferenceError(f"row {row} is too large: its prediction is no finite number")
        if self._log is not None:
            self._log.record(
                # By the registry, whatever a platform calls them.
                model=self._served["name"],
                version=self._served["version"],
                columns=self._columns,
                inputs=rows,
                predictions=predictions,
                at=datetime.now(timezone.utc),
                run_id=self._served["run_id"],
            )
        outputs = [_tensor(OUTPUT, predictions)] if OUTPUT in wanted else []
        if PROBABILITIES in wanted:
            outputs.append(_tensor(PROBABILITIES, self._estimator.predict_proba(rows)))
        return InferenceResponse.model_construct(
            model_name=self.name, model_version=self.version, id=payload.id, outputs=outputs
        )

    def _wanted(self, payload: InferenceRequest) -> list[str]:
        """Names of the outputs that the request asks for: all, if it names none."""
        known = [output.name for output in self.outputs or ()]
        named = [output.name for output in payload.outputs or []]
        for name in named:
            if name not in known:
                listed = " and ".join(repr(one) for one in known)
                raise BadRequestError(f"there is no output {shown(name)}; the model has {listed}")
        return named or known

    async def metadata(self) -> MetadataModelResponse:
        """Metadata with the model's ``versions``, by the protocol; MLServer lists packages."""
        served = self._served
        return MetadataModelResponse(
            name=self.name,
            versions=[self.version] if self.version else None,
            platform=self.settings.platform,
            inputs=self.inputs,
            outputs=self.outputs,
            parameters=Parameters(
                mlflow_version=served["mlflow_version"],
                mlflow_run_id=served["run_id"],
                packages=" ".join(f"{name}=={pin}" for name, pin in served["packages"].items()),
                **({"classes": " ".join(map(str, self._classes))} if self._classes else {}),
            ),
        )

    async def unload(self) -> bool:
        if self._log is not None:
            await asyncio.to_thread(self._log.close, _FLUSH_SECONDS)
            self._log = None
        return True

    def _predict(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self._estimator.predict(rows), dtype=np.float64).reshape(len(rows))

    def _folder(self) -> Path:
        source = self.settings._source
        assert source is not None
        return Path(source).parent


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UnfitModelError(f"{file.name} cannot be read: {error}") from error


def _tensor(name: str, values: np.ndarray) -> ResponseOutput:
    return ResponseOutput.model_construct(
        name=name, shape=list(values.shape), datatype="FP64", data=values.ravel().tolist()
    )
