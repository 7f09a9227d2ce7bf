"""Dagster's webserver behind a guard, with links to the MLflow UIs of `make up` and
hints at mistakes in run config.

``guard`` decides who may ask and imports the standard library only; the process itself is
``python -m wine_quality.webserver``.
"""
