"""What a wine file is: the data contract, how its text is read, and the packaged file.

Imports neither Dagster nor MLflow.
"""
