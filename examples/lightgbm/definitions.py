"""The diabetes data by LightGBM, a package that no lock file of the versions has."""

from wine_quality.model_graph import MlflowSettings, model_definitions

defs = model_definitions(
    "lightgbm",
    "diabetes",
    "lightgbm",
    metric="mae",
    hyperparameters={"iterations": 60, "learning_rate": 0.05, "max_leaves": 7},
    mlflow=MlflowSettings(
        experiment="lightgbm",
        registered_model="BoostedDiabetesModel",
        versions=("3", "2.1.1", "1.26"),
    ),
)
