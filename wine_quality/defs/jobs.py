"""The job over all assets, and the one of the checks on what is served."""

from dagster import AssetCheckKey, AssetKey, AssetSelection, define_asset_job

wine_quality_deployment = define_asset_job(
    "wine_quality_deployment",
    selection=AssetSelection.assets("model_deployment").without_checks(),
    description="Writes the files that serve the champion, or a version, and applies them to a "
    "target: `make serve`, KServe or Seldon Core.",
)
wine_quality_model = define_asset_job(
    "wine_quality_model",
    selection=AssetSelection.assets(
        "raw_wine_csv",
        "train_test_split",
        "elasticnet_model",
        "evaluation_metrics",
        "registered_model",
        "champion_model",
    ),
    description="Trains on a CSV file and promotes the model if it is better than the champion. "
    "Pick the MLflow version in resources.mlflow.config.version.",
)

wine_quality_live_check = define_asset_job(
    "wine_quality_live_check",
    selection=AssetSelection.checks(
        *(
            AssetCheckKey(AssetKey("model_deployment"), name)
            for name in ("live_predictions_like_training", "live_inputs_like_training")
        )
    ),
    description="Compares the inputs and predictions of the served model in the last hours with "
    "its training data.",
)
