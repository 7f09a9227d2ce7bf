"""Where bytes come from: locations, HTTP, S3, files, their limits, and watched places.

Imports neither Dagster nor MLflow, and of the project only ``paths`` and ``escaping``.
"""
