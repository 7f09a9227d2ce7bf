"""The runtime inside a model's own serving environment.

Copied as ``wine_quality_runtime`` beside a model's ``model-settings.json``, so any MLServer 1.7
can load it. It needs MLServer and what the model was trained with; no MLflow, no Dagster, and
nothing else of this project.
"""
