"""Names of this project's experiment and model in MLflow, unless run config sets others."""

EXPERIMENT = "wine_quality_experiment1"
MODEL = "ElasticnetWineModel"
