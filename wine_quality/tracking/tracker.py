"""The one face of MLflow that assets and commands see, the same on every version.

A back end only defines how a run is opened and how its model is logged.
"""

from __future__ import annotations

from wine_quality.tracking.registry.versions import ModelVersions
from wine_quality.tracking.runs.run_log import RunLog


class Tracker(RunLog, ModelVersions):
    """One MLflow run of one Dagster run: its log, and the versions of its models."""
