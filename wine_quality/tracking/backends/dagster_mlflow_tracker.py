"""MLflow 1.26 through the dagster-mlflow integration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wine_quality.tracking.client import MODEL_FOLDER
from wine_quality.tracking.tracker import Tracker

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator


class DagsterMlflowTracker(Tracker):
    """Opens the run with ``dagster_mlflow.mlflow_tracking`` and logs the model through it.

    dagster-mlflow ends a run in a hook, which a process that is killed does not call; here the
    resource that owns this tracker ends it.
    """

    init_context: Any = None
    """The Dagster resource context, set before ``open``."""

    def activate(self, run_id: str) -> None:
        import warnings

        import mlflow
        from dagster import BetaWarning

        # All of dagster-mlflow is in beta, and warns of it at every step.
        warnings.filterwarnings("ignore", category=BetaWarning, message=".*[mM][lL]_?[fF]low")
        from dagster_mlflow import mlflow_tracking

        mlflow.end_run()
        context = self.init_context.replace_config(
            {
                "experiment_name": self.experiment_name,
                "mlflow_tracking_uri": self.settings.tracking_uri,
                "parent_run_id": None,
                "mlflow_run_id": run_id,
                "env": {},
                "env_to_tag": [],
                "extra_tags": {},
            }
        )
        self._resource = mlflow_tracking.resource_fn(context)
        self._mlflow = next(self._resource)

    def _log_model(self, model: BaseEstimator, example: pd.DataFrame) -> str:
        import mlflow.sklearn
        from mlflow.models.signature import infer_signature

        return mlflow.sklearn.log_model(
            model,
            MODEL_FOLDER,
            pip_requirements=list(self.settings.requirements),
            signature=infer_signature(example, model.predict(example)),
            input_example=example,
        ).model_uri

    def log_params(self, params) -> None:
        # dagster-mlflow sends again what MLflow has, which it takes when nothing has changed.
        self._mlflow.log_params(self._cut_params(params))

    def log_metrics(self, metrics, model_uri="", dataset=None) -> None:
        self._mlflow.log_metrics(dict(metrics))
