"""A data set by declaration: its columns, target and task, and how any such table is read, held
against its contract, divided and measured. One module each in ``declared``.

Imports neither Dagster nor MLflow.
"""
