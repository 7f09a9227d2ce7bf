"""``live_error_retraining``: trains again when the check ``live_error`` has failed."""

from typing import Any

from wine_quality.batch.retraining import retraining_sensor
from wine_quality.datasets.accumulate import TrainingData
from wine_quality.defs.data.new_file_sensor import WatchedSource
from wine_quality.defs.jobs import wine_quality_model
from wine_quality.defs.predictions.live_error import ASSET


def _run_config() -> dict[str, Any] | None:
    watch = WatchedSource.from_environment()
    return watch.run_config(TrainingData.accumulated) if watch.place else None


live_error_retraining = retraining_sensor(
    "live_error_retraining",
    ASSET,
    wine_quality_model.name,
    "Requests one run of wine_quality_model, as the regular retraining, for each time that the "
    "check live_error of batch_predictions has failed. Stopped until it is started.",
    _run_config,
)
