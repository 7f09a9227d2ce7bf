"""What puts a packaged version on a cluster: manifests, kubectl, readiness.

Imports neither Dagster nor MLflow.
"""
