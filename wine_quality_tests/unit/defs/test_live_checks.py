"""The live checks: the statistics, and the jobs on real servers, databases and logs."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from wine_quality.datasets.contract import FEATURES
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.models.compare import _rounded, population_stability, profile, shift_of
from wine_quality.models.elastic_net.fit import LinearModel
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.serving.runtime.prediction_log import PredictionLog
from wine_quality.tracking.registry.provenance import SIGNATURE_TAG, require_signature, signature
from wine_quality_tests.support.postgres import PASSWORD, PostgresServer
from wine_quality_tests.support.servers import MlflowServer, free_port

PREDICTIONS, INPUTS = "live_predictions_like_training", "live_inputs_like_training"


@pytest.fixture(scope="module")
def red() -> pd.DataFrame:
    return pd.read_csv(PACKAGED_RED_WINE, sep=";")


def test_the_training_data_itself_has_not_shifted_however_it_is_sent(red):
    for name, reference in profile(red).items():
        values = red[name].to_numpy(dtype=float)
        for sent in (values, values.astype(np.float32), values * (1 + 1e-12)):
            shift = shift_of(np.asarray(sent, dtype=float), reference)
            assert shift.stability == pytest.approx(0, abs=1e-12), name
            assert shift.live == pytest.approx(shift.training)
    # Which is what the rounding is for.
    as_float32 = red.astype(np.float32)
    assert max(population_stability(as_float32, profile(red)).values()) > 0.25


def test_a_shift_is_that_of_the_stability_index(red):
    warmer = red.assign(alcohol=red["alcohol"] + 1)
    expected = population_stability(warmer, profile(red))["alcohol"]
    shift = shift_of(warmer["alcohol"].to_numpy(), profile(red)["alcohol"])
    assert shift.stability == pytest.approx(expected, rel=0.05)
    assert shift.stability > 0.25
    assert shift.rows == len(red)
    assert sum(shift.live) == pytest.approx(1)
    assert len(shift.live) == len(shift.edges) + 1


def test_rounding_keeps_six_digits_and_what_is_not_finite():
    given = [0.0, 123456.7, -0.00123456789, np.inf, np.nan, 1e-300, 5e307, 7.400000095]
    expected = [0.0, 123457.0, -0.00123457, np.inf, np.nan, 1e-300, 5e307, 7.4]
    assert _rounded(given) == pytest.approx(expected, rel=1e-15, nan_ok=True)


def test_a_constant_prediction_has_not_shifted_and_any_other_has():
    from wine_quality.models.compare import profile_of

    constant = profile_of(np.full(300, 5.636))
    assert shift_of(np.full(50, 5.636), constant).stability == pytest.approx(0)
    assert shift_of(np.full(50, 5.7), constant).stability > 0.25


def test_histograms_of_one_and_of_many(red):
    from wine_quality.models.live_plots import shifts_by_bin
    from wine_quality.models.plots import to_png

    shifts = {n: shift_of(red[n].to_numpy()[:400], p) for n, p in profile(red).items()}
    one = shifts_by_bin({"predictions": shifts["quality"]}, "title")
    four = shifts_by_bin({name: shifts[name] for name in FEATURES[:4]}, "title")
    assert [axes.get_title() for axes in four.axes[:4]] == [
        f"{name}: {shifts[name].stability:.3f}" for name in FEATURES[:4]
    ]
    bars = one.axes[0].containers
    assert [bar.get_height() for bar in bars[1]] == shifts["quality"].live
    for figure in (one, four):
        assert to_png(figure).startswith(b"\x89PNG")


def test_the_schedule_waits_to_be_started():
    from wine_quality.definitions import defs

    [schedule] = [s for s in defs.schedules or [] if s.name == "hourly_live_check"]
    assert schedule.default_status.value == "STOPPED"
    assert schedule.job_name == "wine_quality_live_check"


class Platform:
    """A registered model on an MLflow server, a metrics database, and live predictions."""

    def __init__(self, server: MlflowServer, postgres: PostgresServer, instance: Any) -> None:
        self.server, self.postgres, self.instance = server, postgres, instance
        self.name = f"live-{uuid.uuid4().hex[:8]}"
        self.database = postgres.create_database()
        self.url = postgres.url(self.database)

    def run(self, job: str, history: str | None = None, ops: Any = None) -> Any:
        from dagster import execute_job, reconstructable

        from wine_quality.cli import jobs

        mlflow = {
            "version": self.server.version.key,
            "tracking_uri": self.server.uri,
            "experiment_name": self.name,
            "registered_model_name": self.name,
        }
        url = self.url if history is None else history
        resources = {"mlflow": {"config": mlflow}, "metrics_history": {"config": {"url": url}}}
        config = {"resources": resources, "ops": ops or {}}
        return execute_job(
            reconstructable(getattr(jobs, job)), self.instance, config, raise_on_error=True
        )

    def check(self, history: str | None = None, **config: Any) -> dict[str, Any]:
        """The results of both checks by name."""
        ops = {f"model_deployment_{name}": {"config": config} for name in (PREDICTIONS, INPUTS)}
        result = self.run("live_check_job", history, ops)
        found = {
            event.asset_check_evaluation_data.check_name: event.asset_check_evaluation_data
            for event in result.all_events
            if event.event_type_value == "ASSET_CHECK_EVALUATION"
        }
        assert set(found) == {PREDICTIONS, INPUTS}
        assert {check.severity.value for check in found.values()} == {"WARN"}
        assert PASSWORD not in str(found)
        return found

    def record(self) -> Path:
        [version] = self.server.versions(self.name)
        [path] = self.server.artifacts.glob(
            f"**/{version['run_id']}/artifacts/training/record.json"
        )
        return path

    def sign(self, **changed: str) -> None:
        """Version 1, by who has the key."""
        [version] = self.server.versions(self.name)
        tags = {tag["key"]: tag["value"] for tag in version["tags"]}
        claims = require_signature(
            SimpleNamespace(
                name=self.name, version="1", run_id=version["run_id"], tags=tags, source=""
            )
        )
        text = signature(replace(claims, **changed))
        named = {"name": self.name, "version": "1", "key": SIGNATURE_TAG, "value": text}
        self.server.rest("model-versions/set-tag", **named)

    def serve(
        self, wines: pd.DataFrame, log_inputs: bool, version: str = "1", run: str = ""
    ) -> None:
        """As a server of the model does it: it predicts, and leaves the rows in the log."""
        plain = json.loads(self.record().read_text())["model"]
        predicted = LinearModel.from_json(json.dumps(plain)).predict(wines)
        log = PredictionLog(self.url, log_inputs=log_inputs, warn=pytest.fail)
        features = wines[list(FEATURES)].to_numpy(dtype=float)
        for start in range(0, len(wines), 50):
            rows = slice(start, start + 50)
            log.record(self.name, version, FEATURES, features[rows], predicted[rows], run_id=run)
        log.close(20)
        assert log.counters.written == len(wines)


@pytest.fixture
def platform(
    request, home, mlflow_server, postgres, tmp_path, forked_workers
) -> Iterator[Platform]:
    from dagster import DagsterInstance

    version = MLFLOW_VERSIONS[request.param]
    if not version.python.exists():
        pytest.skip(f"no environment of MLflow {version.key}")
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield Platform(mlflow_server(version), postgres, instance)


def describe(checks: Mapping[str, Any]) -> list[tuple[bool, str]]:
    return [(checks[name].passed, checks[name].description) for name in (PREDICTIONS, INPUTS)]


def assert_check(checks: Mapping[str, Any], passed: bool, words: str) -> None:
    """Both checks say it."""
    for is_passed, text in describe(checks):
        assert is_passed == passed, text
        assert words in text


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["3", "1.26"], indirect=True)
def test_live_wines_like_those_of_the_training_pass_and_others_are_a_warning(platform, red):
    assert platform.run("main_job").success
    [version] = platform.server.versions(platform.name)
    platform.serve(red.sample(400, random_state=1), True, run=version["run_id"])
    checks = platform.check()
    assert describe(checks)[0][0] and describe(checks)[1][0], describe(checks)
    assert (
        f"400 row(s) of the last 24 hours by {platform.name} version 1." in describe(checks)[0][1]
    )
    metadata = checks[PREDICTIONS].metadata
    assert 0 < metadata["predictions"].value < 0.1
    assert metadata["rows"].value == 400
    assert metadata["version"].value == "1"
    assert metadata["histograms"].value.startswith("![histograms](data:image/png;base64,")
    bins = [record.data for record in metadata["table"].records]
    assert sum(row["live"] for row in bins) == pytest.approx(1)
    assert len(bins) == 10
    hours = [record.data for record in metadata["over_time"].records]
    assert sum(row["rows"] for row in hours) == 400
    assert all(4 < row["lowest"] <= row["mean"] <= row["highest"] < 8 for row in hours)

    stronger = red.sample(1200, random_state=2).eval("alcohol = alcohol + 2")
    platform.serve(stronger, True, run=version["run_id"])
    checks = platform.check()
    assert not checks[INPUTS].passed
    assert checks[INPUTS].metadata["above_the_threshold"].value == "alcohol"
    assert "of alcohol, the most shifted of 11 columns" in checks[INPUTS].description
    columns = [record.data for record in checks[INPUTS].metadata["table"].records]
    assert columns[0]["column"] == "alcohol" and columns[0]["rows"] == 1600
    assert sorted(row["column"] for row in columns) == sorted(FEATURES)
    assert checks[INPUTS].metadata["pH"].value < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["3"], indirect=True)
def test_what_stands_in_the_way_is_said(platform, red, monkeypatch):
    assert_check(
        platform.check(history=""), True, "No metrics database is configured ($WINE_QUALITY_"
    )
    assert_check(
        platform.check(), False, "has no table of predictions yet. Make it with: make metrics"
    )
    down = platform.url.replace(str(platform.postgres.port), str(free_port()))
    assert_check(platform.check(history=down), False, "/" + platform.database + " cannot be used: ")

    assert platform.run("main_job").success
    assert_check(
        platform.check(), True, f"{platform.name} predicted nothing in the last 24 hours that is"
    )

    # Another MLflow's version 1, and a version that this one does not have.
    platform.serve(red[:300], True, run="f" * 32)
    platform.serve(red[:300], True, version="7")
    assert_check(
        platform.check(), True, "came from version(s) 1, 7, which this MLflow does not have."
    )

    platform.serve(red[:150], False)
    (passed, predictions), (_, inputs) = describe(platform.check())
    assert passed and "150 prediction(s) by" in predictions and "200 are needed" in predictions
    assert "are not logged; its server logs them with WINE_QUALITY_SERVE_LOG_INPUTS" in inputs

    # Predictions for odd wines, and nothing known of their inputs: only one check can warn.
    platform.serve(red.sample(600, random_state=3).eval("alcohol = alcohol + 3"), False)
    checks = platform.check()
    assert not checks[PREDICTIONS].passed and checks[INPUTS].passed
    assert checks[PREDICTIONS].metadata["above_the_threshold"].value == "predictions"
    assert platform.check(threshold=50.0)[PREDICTIONS].passed
    assert_check(platform.check(hours=1e-6), True, "predicted nothing in the last 1e-06 hours")

    # Of many rows a sample is read.
    monkeypatch.setattr("wine_quality.metrics_history.predictions.MOST_ROWS", 300)
    assert "of 750 row(s)" in platform.check()[PREDICTIONS].description

    # The champion may be another than what is served.
    model = {"name": platform.name, "alias": "champion"}
    platform.server.rest("registered-models/alias", "DELETE", **model)
    message = platform.check()[PREDICTIONS].description
    assert "version 1 (the champion is nobody)." in message

    # Registered before predictions were recorded.
    path = platform.record()
    old = json.loads(path.read_text())
    del old["predictions"]
    path.write_text(json.dumps(old))
    assert_check(platform.check(), True, "is not the one that was there when it was registered")
    platform.sign(record=hashlib.sha256(path.read_bytes()).hexdigest())
    assert "from before predictions for the training data were" in describe(platform.check())[0][1]
    path.unlink()
    assert_check(
        platform.check(), True, f"Nothing is known of the training of {platform.name} version 1"
    )
