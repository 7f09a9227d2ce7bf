"""Attacks by whoever may launch runs, reaches the MLflow server or the model server."""
