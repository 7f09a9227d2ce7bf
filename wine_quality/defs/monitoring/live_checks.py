"""Checks of ``model_deployment``: whether what is asked and answered is like the training."""

from wine_quality.datasets.contract import FEATURES
from wine_quality.monitoring.live_checks import live_checks

live_predictions_like_training, live_inputs_like_training = live_checks(
    "model_deployment", FEATURES, lambda _run, mlflow, _config: mlflow.registered_model_name
)
