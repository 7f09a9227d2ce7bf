"""A registered version, loaded to score rows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import Failure

if TYPE_CHECKING:
    from wine_quality.packaging.served_model import ServedModel
    from wine_quality.scoring.score import ScoringModel
    from wine_quality.tracking.tracker import Tracker


def load_version(tracker: Tracker, name: str, version: str) -> tuple[ServedModel, ScoringModel]:
    """The version, after its signature and its files were checked.

    Raises:
        Failure: there is no such version, its files are gone or not what was registered, or its
            signature has columns that are not numbers.
    """
    import mlflow.pyfunc

    from wine_quality.packaging.served_model import UnservableModelError
    from wine_quality.scoring.score import ScoringModel
    from wine_quality.serving.fetch import download

    with tempfile.TemporaryDirectory() as folder:
        try:
            found = download(tracker, name, version, Path(folder))
        except UnservableModelError as error:
            raise Failure(str(error), allow_retries=False) from error
        try:
            loaded = mlflow.pyfunc.load_model(str(found.files))
        except ImportError as error:
            raise Failure(
                f"{name} version {version} needs a package that is missing here ({error}). Add it "
                "by python -m wine_quality.environments build VERSION --with FILE.",
                allow_retries=False,
            ) from error
    estimator = _estimator(loaded)
    if not hasattr(estimator, "predict_proba"):
        return found.model, ScoringModel(version, found.model.columns, loaded.predict)
    return found.model, ScoringModel(
        version,
        found.model.columns,
        loaded.predict,
        tuple(str(one) for one in estimator.classes_),
        estimator.predict_proba,
    )


def _estimator(loaded: Any) -> Any:
    """scikit-learn's own object of a loaded model; MLflow wraps it since 2.9."""
    if hasattr(loaded, "get_raw_model"):
        return loaded.get_raw_model()
    return loaded._model_impl
