"""Deployment of a packaged version to a cluster: manifests, kubectl, readiness.

Imports neither Dagster nor MLflow.
"""
