"""The wines of a run in two parts, training and test: in memory, or as sums of a streamed pass.

Imports neither Dagster nor MLflow.
"""
