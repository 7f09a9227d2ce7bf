"""A registered version as others serve it: model repository, image, requirements.

Imports neither Dagster nor MLflow.
"""
