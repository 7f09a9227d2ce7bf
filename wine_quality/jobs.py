"""The job over all assets."""

from dagster import AssetSelection, define_asset_job

wine_quality_deployment = define_asset_job(
    "wine_quality_deployment",
    selection=AssetSelection.assets("model_deployment"),
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
