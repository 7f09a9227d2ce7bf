"""A registered version as what others serve: a model repository, an image, manifests.

Imports neither Dagster nor MLflow.
"""
