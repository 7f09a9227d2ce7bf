"""What this project is called in MLflow where run config does not say otherwise."""

EXPERIMENT = "wine_quality_experiment1"
MODEL = "ElasticnetWineModel"
