"""Rows of any number scored by a model, in batches, into Parquet; and how far they were off.

Imports neither Dagster nor MLflow: a model is a function of a frame.
"""
