"""The parts of `make up`: its ports, its lock, the processes it starts, the MLflow UIs.

The process that watches over them imports neither Dagster nor MLflow.
"""
