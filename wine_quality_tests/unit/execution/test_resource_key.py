"""The MLflow resource must be where the executor looks for the version."""

from __future__ import annotations

import pytest
from dagster import ResourceDefinition, job, op

from wine_quality.execution.executor import _require_usual_key
from wine_quality.tracking.resource import MlflowTracker


class Another(MlflowTracker):
    """A class of one's own."""


@op(required_resource_keys={"tracker"})
def tracking() -> None: ...


@pytest.mark.parametrize("resource", [MlflowTracker(), Another()])
def test_another_key_is_refused(resource):
    @job(resource_defs={"tracker": resource})
    def with_another_key():
        tracking()

    with pytest.raises(RuntimeError, match='under the key "tracker". It must be "mlflow"'):
        _require_usual_key(with_another_key.resource_defs, {"tracker", "io_manager"})


def test_other_resources_have_any_key():
    @job(resource_defs={"tracker": ResourceDefinition.hardcoded_resource(1)})
    def without_mlflow():
        tracking()

    _require_usual_key(without_mlflow.resource_defs, {"tracker", "io_manager"})
