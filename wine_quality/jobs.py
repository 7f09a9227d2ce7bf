"""The job over all assets."""

from dagster import AssetSelection, define_asset_job

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
