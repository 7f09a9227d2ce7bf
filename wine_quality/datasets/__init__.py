"""Wine files: the data contract, the reader of their text, and the packaged file.

Imports neither Dagster nor MLflow.
"""
