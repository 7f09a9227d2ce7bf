"""A model graph trains again when its check ``live_error`` has failed, if somebody wants that."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from wine_quality.model_graph import model_definitions
from wine_quality_tests.unit.model_graph.test_model_graph import RENTS


@pytest.fixture
def instance(tmp_path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral(str(tmp_path)) as instance:
        yield instance


def sensor_of(definitions: dg.Definitions, name: str) -> dg.SensorDefinition:
    repository = definitions.get_repository_def()
    return repository.get_sensor_def(f"{name}_live_error_retraining")


def check(instance: dg.DagsterInstance, name: str, passed: bool, segment: str = "") -> str:
    """Execute a check of the same key; the id of its run."""

    @dg.asset(name=f"{name}_predictions")
    def predictions() -> None: ...

    @dg.asset_check(asset=predictions, name="live_error")
    def live_error() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=passed, metadata={"segment": segment} if segment else {})

    return dg.materialize([predictions, live_error], instance=instance).run_id


def tick(sensor: dg.SensorDefinition, instance: dg.DagsterInstance, cursor: str | None = None):
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    return sensor(context), context.cursor


def test_one_run_for_each_time_that_the_check_has_failed(instance):
    sensor = sensor_of(model_definitions("patients", "diabetes", "ridge"), "patients")
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert sensor.job_name == "patients"
    assert "was not executed yet" in tick(sensor, instance)[0].skip_message
    check(instance, "patients", passed=True)
    assert "passed" in tick(sensor, instance)[0].skip_message
    failed = check(instance, "patients", passed=False)
    [request], cursor = tick(sensor, instance)
    assert (request.run_key, request.partition_key, cursor) == (failed, None, failed)
    skipped, cursor = tick(sensor, instance, cursor)
    assert "was answered already" in skipped.skip_message and cursor == failed
    again = check(instance, "patients", passed=False)
    assert [one.run_key for one in tick(sensor, instance, cursor)[0]] == [again]


def test_each_segment_is_trained_for_its_own_failure(instance):
    definitions = model_definitions("rents", RENTS, "ridge", source="x.csv", segment_by="city")
    sensor = sensor_of(definitions, "rents")
    bern = check(instance, "rents", passed=False, segment="Bern")
    check(instance, "rents", passed=False, segment="Genf")
    genf = check(instance, "rents", passed=False, segment="Genf")
    requests, cursor = tick(sensor, instance)
    assert {one.run_key: one.partition_key for one in requests} == {bern: "Bern", genf: "Genf"}
    check(instance, "rents", passed=True, segment="Bern")
    assert "was answered already" in tick(sensor, instance, cursor)[0].skip_message
    again = check(instance, "rents", passed=False, segment="Bern")
    [request], cursor = tick(sensor, instance, cursor)
    assert (request.run_key, request.partition_key) == (again, "Bern")
    assert set(cursor.split()) == {genf, again}
