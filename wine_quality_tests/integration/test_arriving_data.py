"""Files dropped into a watched folder, with a real daemon, until they are model versions."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from wine_quality.dagster_support.run_tag_names import DATA_HASH_TAG, SOURCE_TAG, SOURCE_VERSION_TAG
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality_tests.support.dagster_stack import ENDED, DagsterStack
from wine_quality_tests.support.servers import MlflowServer, await_condition

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

HEADER, *ROWS = PACKAGED_RED_WINE.read_text().splitlines()
SENSOR = "new_wine_data_sensor"
MODEL = "ElasticnetWineModel"


class Watched:
    """A place, the platform that watches it, and the real MLflow server behind."""

    def __init__(self, folder: Path, server, place: str | None = None, **variables: str) -> None:
        self.folder = folder / "arriving"
        self.folder.mkdir()
        self.place = place or str(self.folder)
        self.server = server
        self.dagster = DagsterStack(
            folder / "home",
            WINE_QUALITY_WATCH_PLACE=self.place,
            WINE_QUALITY_WATCH_INTERVAL_SECONDS="1",
            WINE_QUALITY_WATCH_SETTLE_SECONDS="0.5",
            WINE_QUALITY_WATCH_L1_RATIO="0.25",
            MLFLOW_TRACKING_URI=server.uri,
            **variables,
        )

    def drop(self, name: str, rows: list[str], header: str = HEADER) -> Path:
        file = self.folder / name
        file.write_text("\n".join([header, *rows]) + "\n")
        return file

    def runs_of(self, name: str) -> list[dict]:
        wanted = f"{self.place.rstrip('/')}/{name}"
        return [r for r in self.dagster.runs() if r["tags"].get(SOURCE_TAG) == wanted]

    def statuses(self, name: str) -> list[str]:
        """How the runs of a file ended, once all that there are have ended."""

        def ended() -> bool:
            runs = self.runs_of(name)
            return bool(runs) and all(run["status"] in ENDED for run in runs)

        await_condition(ended, f"the runs of {name}", 120)
        return [run["status"] for run in self.runs_of(name)]

    def tracked(self, dagster_run: str) -> tuple[dict, dict[str, str]]:
        """The MLflow run of a Dagster run, and its parameters."""
        [found] = [
            run
            for run in self.server.runs("wine_quality_experiment1")
            if {"key": "dagster.run_id", "value": dagster_run} in run["data"]["tags"]
        ]
        return found, {param["key"]: param["value"] for param in found["data"]["params"]}


@pytest.fixture(scope="module")
def watched(tmp_path_factory, mlflow_server) -> Iterator[Watched]:
    watched = Watched(tmp_path_factory.mktemp("watched"), mlflow_server(MLFLOW_VERSIONS["3"]))
    yield watched
    watched.dagster.stop()


def test_new_files_are_trained_on_and_a_bad_one_blocks_nothing(watched):
    watched.drop("bad.csv", ROWS[:100], header=HEADER.replace("pH", "acid"))
    watched.drop("first.csv", ROWS[:800])
    assert watched.statuses("first.csv") == ["SUCCESS"]
    assert watched.statuses("bad.csv") == ["FAILURE"]
    [bad] = watched.runs_of("bad.csv")
    assert any("column 'pH': is missing" in line for line in watched.dagster.messages(bad["runId"]))
    [run] = watched.runs_of("first.csv")
    tracked, params = watched.tracked(run["runId"])
    assert params["l1_ratio"] == "0.25"
    assert params["data_sha256"] == run["tags"][DATA_HASH_TAG]
    assert tracked["info"]["status"] == "FINISHED"
    assert watched.server.holder("ElasticnetWineModel", "champion") is not None
    await_condition(
        lambda: watched.dagster.freshness("elasticnet_model") == "HEALTHY", "the model to be fresh"
    )


def test_a_changed_file_is_trained_on_again_and_a_quiet_tick_says_why(watched):
    watched.drop("changing.csv", ROWS[:400])
    assert watched.statuses("changing.csv") == ["SUCCESS"]
    watched.drop("changing.csv", ROWS[:500])
    await_condition(lambda: len(watched.runs_of("changing.csv")) == 2, "the second run")
    assert watched.statuses("changing.csv") == ["SUCCESS", "SUCCESS"]
    await_condition(
        lambda: "Nothing new among" in (watched.dagster.ticks(SENSOR)[0]["skipReason"] or ""),
        "a tick that finds nothing",
    )


def test_a_killed_daemon_trains_once(watched):
    before = f"{uuid.uuid4().hex}.csv"
    watched.drop(before, ROWS[:300])
    await_condition(lambda: bool(watched.runs_of(before)), "its run to be requested")
    watched.dagster.kill_daemon()
    down = f"{uuid.uuid4().hex}.csv"
    watched.drop(down, ROWS[:350])
    watched.dagster.start_daemon()
    assert watched.statuses(down) == ["SUCCESS"]
    # Killed with the daemon or not, the first file's run is the only one it ever gets.
    assert len(watched.statuses(before)) == 1


def test_a_place_that_goes_away_fails_ticks_and_nothing_else(watched):
    hidden = watched.folder.with_name("hidden")
    watched.folder.rename(hidden)
    await_condition(
        lambda: watched.dagster.ticks(SENSOR)[0]["status"] == "FAILURE", "a failed tick"
    )
    [cause] = watched.dagster.ticks(SENSOR)[0]["error"]["causes"]
    assert "is not a folder. Make it" in cause["message"]
    hidden.rename(watched.folder)
    watched.drop("after.csv", ROWS[:450])
    assert watched.statuses("after.csv") == ["SUCCESS"]


def test_promoted_or_refused_with_no_hand(mlflow_version, tmp_path):
    """On each version, with a server and a registry of its own."""
    server = MlflowServer(mlflow_version, tmp_path / "mlflow")
    try:
        watched = Watched(tmp_path, server, WINE_QUALITY_WATCH_MLFLOW_VERSION=mlflow_version.key)
        try:
            watched.drop("first.csv", ROWS[:800])
            assert watched.statuses("first.csv") == ["SUCCESS"]
            assert server.holder(MODEL, "champion") == "1"
            # The same wines make the same model, which is no better.
            watched.drop("second.csv", ROWS[:800])
            assert watched.statuses("second.csv") == ["SUCCESS"]
            assert server.holder(MODEL, "champion") == "1"
            assert server.holder(MODEL, "challenger") == "2"
            [run] = watched.runs_of("second.csv")
            assert any("stays the champion" in m for m in watched.dagster.messages(run["runId"]))
        finally:
            watched.dagster.stop()
        assert server.statuses("wine_quality_experiment1") == ["FINISHED", "FINISHED"]
    finally:
        server.stop()


def test_a_bucket_is_watched_too(s3, mlflow_server, tmp_path):
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="landing")
    client.put_object(Bucket="landing", Key="wines/notes.txt", Body=b"nothing to train on")
    server = mlflow_server(MLFLOW_VERSIONS["3"])
    watched = Watched(tmp_path, server, place="s3://landing/wines/")
    try:
        body = PACKAGED_RED_WINE.read_bytes()
        client.put_object(Bucket="landing", Key="wines/red.csv", Body=body)
        assert watched.statuses("red.csv") == ["SUCCESS"]
        [run] = watched.runs_of("red.csv")
        assert len(run["tags"][SOURCE_VERSION_TAG].strip('"')) == 32  # the ETag
        assert len(watched.dagster.runs()) == 1
    finally:
        watched.dagster.stop()
