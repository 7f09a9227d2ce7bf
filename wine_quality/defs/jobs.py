"""The job over all assets, and the one of the checks on what is served."""

from dagster import AssetCheckKey, AssetKey, AssetSelection, define_asset_job

wine_quality_deployment = define_asset_job(
    "wine_quality_deployment",
    selection=AssetSelection.assets("model_deployment").without_checks(),
    description="Write what serves the champion, or a version, and apply it to a target.",
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
    description="Read, split, train, evaluate, register and promote; tracked in MLflow.",
)

wine_quality_live_check = define_asset_job(
    "wine_quality_live_check",
    selection=AssetSelection.checks(
        *(
            AssetCheckKey(AssetKey("model_deployment"), name)
            for name in ("live_predictions_like_training", "live_inputs_like_training")
        )
    ),
    description="Compares what the served model was asked and answered lately with its training.",
)
