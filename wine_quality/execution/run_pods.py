"""Kubernetes: the image and the resources of a run's pod, by the MLflow version its config picks.

The K8sRunLauncher reads the run tag ``dagster-k8s/config``; this run queue writes it from a table
when a run is submitted by the UI, a schedule, a sensor or a backfill.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from dagster import DagsterInstance, DagsterRun, Field, Map, Permissive, StringSource

from wine_quality.dagster_support.dagster_private import QueuedRunCoordinator, SubmitRunContext
from wine_quality.dagster_support.run_tag_names import POD_OF_TABLE_TAG, under_current_names
from wine_quality.environments.mlflow_versions import get_version
from wine_quality.tracking.version_choice import choose_version, named_version

POD_TAG = "dagster-k8s/config"
# Dagster copies a run's tags to its re-executions, whose config may pick another version: with
# this tag one that the table made can be distinguished from one that a person wrote.
OWN_TAG = POD_OF_TABLE_TAG

_POD = {
    "image": Field(
        StringSource,
        is_required=False,
        description="Image of the run's container. Empty: the code location's own.",
    ),
    "resources": Field(
        Permissive(),
        is_required=False,
        description='Its resources, as in a pod: {"requests": {…}, "limits": {…}}.',
    ),
}


class VersionPodRunCoordinator(QueuedRunCoordinator):
    """Dagster's queue of runs, which also sets the pod of each.

    Args:
        pods: By MLflow version (the keys of the version table), ``image`` and ``resources``. Runs
            of other versions, and runs with a ``dagster-k8s/config`` tag of their own, are left be.

    Raises:
        ValueError: a key of ``pods`` is not an MLflow version; the message lists the versions.
    """

    def __init__(self, pods: Mapping[str, Mapping[str, Any]] | None = None, **queue: Any) -> None:
        super().__init__(**queue)
        self._pods = {get_version(key).key: pod for key, pod in (pods or {}).items()}

    @classmethod
    def config_type(cls):
        pods = Field(
            Map(str, _POD, key_label_name="version"),
            is_required=False,
            description="Image and resources of a run's pod, by MLflow version.",
        )
        queue = QueuedRunCoordinator.config_type()
        assert isinstance(queue, Mapping)
        return {**queue, "pods": pods}

    @classmethod
    def from_config_value(cls, inst_data, config_value):
        return cls(inst_data=inst_data, **config_value)

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        run = context.dagster_run
        written = run.tags.get(POD_TAG)
        if written is None or _digest(written) == under_current_names(run.tags).get(OWN_TAG):
            version = _version_key(self._instance, run)
            pod = json.dumps({"container_config": self._pods.get(version or "", {})})
            # An empty one too: it takes the place of what a re-execution was given.
            if pod != written and (written is not None or version in self._pods):
                self._instance.add_run_tags(run.run_id, {POD_TAG: pod, OWN_TAG: _digest(pod)})
        return super().submit_run(context)


def _version_key(instance: DagsterInstance, run: DagsterRun) -> str | None:
    """Key of the run's version. None if config names a variable of the code location (``env``),
    which is not known here, or a version that does not exist."""
    if isinstance(named_version(run.run_config), Mapping):
        return None
    try:
        return choose_version(instance, run).version.key
    except ValueError:
        return None  # the code location refuses it, with the reason


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
