"""The check ``live_error`` of ``batch_predictions``: how far off, once the labels have arrived."""

from dagster import AssetSelection, define_asset_job

from wine_quality.batch.live_error import CHECK, LiveErrorOf, live_error_check
from wine_quality.datasets.contract import TARGET

__all__ = ["ASSET", "CHECK", "live_error"]

ASSET = "batch_predictions"

live_error = live_error_check(
    LiveErrorOf(
        asset=ASSET,
        label=TARGET,
        model_of=lambda mlflow, _config: mlflow.registered_model_name,
        make="`make predict`",
    )
)

wine_quality_live_error = define_asset_job(
    "wine_quality_live_error",
    selection=AssetSelection.checks(live_error),
    description="Joins labels that have arrived to batch predictions, and reports the error by "
    "period.",
)
