"""Whole runs with the engine DuckDB: on each version's real server, and by a real daemon."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import ElasticNet

from wine_quality.dagster_support.run_tag_names import DATA_HASH_TAG
from wine_quality.datasets.contract import FEATURES, TARGET
from wine_quality.engines.membership import TEST, Membership, groups_of
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.models.evaluate import regression_metrics
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality_tests.integration.test_accumulated_runs import asset, metadata
from wine_quality_tests.integration.test_arriving_data import Watched
from wine_quality_tests.integration.test_main_run import printed
from wine_quality_tests.integration.test_sweep import Sweep, do, values
from wine_quality_tests.support.generated_wines import write_wines
from wine_quality_tests.support.warm_commands import run_command, run_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

RED = pd.read_csv(PACKAGED_RED_WINE, sep=";")[list(FEATURES)]
# Runs in the version's own environment: what the registered model is, and what it predicts.
PREDICT = """
import json, sys
import mlflow, pandas as pd
uri, name, version, wines = sys.argv[1:]
mlflow.set_tracking_uri(uri)
model = mlflow.pyfunc.load_model(f"models:/{name}/{version}")
print(json.dumps(list(model.predict(pd.read_json(wines).astype("float64")))))
"""


def rows_of(*paths: Path) -> np.ndarray:
    frames = [pq.read_table(path).to_pandas()[[*FEATURES, TARGET]] for path in paths]
    return pd.concat(frames).to_numpy(dtype=float)


def scikit_learn(wines: np.ndarray, alpha: float, l1_ratio: float) -> tuple[ElasticNet, dict]:
    """A fit on the training rows in memory, and its errors on the test rows."""
    test = groups_of(wines, Membership()) == TEST
    model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)
    model.fit(wines[~test, :-1], wines[~test, -1])
    return model, regression_metrics(wines[test, -1], model.predict(wines[test, :-1]))


def predictions(
    version, uri: str, name: str, number: str, folder: Path, rows: pd.DataFrame = RED
) -> np.ndarray:
    """Of a registered version, in its training environment."""
    wines = folder / "rows.json"
    rows.to_json(wines)
    done = run_python(
        *(version.python, "-W", "ignore", "-c", PREDICT, uri, name, number, str(wines)),
        env=version.process_variables(),
    )
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def wines(tmp_path) -> Path:
    folder = tmp_path / "wines"
    folder.mkdir()
    for number in range(2):
        write_wines(folder / f"{number}.parquet", 20_000, seed=number)
    return folder


def test_the_model_of_all_rows_is_registered(home, mlflow_version, mlflow_server, tmp_path, wines):
    server, name = mlflow_server(mlflow_version), f"streamed-{uuid.uuid4().hex[:8]}"
    config = tmp_path / "run.yaml"
    config.write_text(
        f"resources: {{mlflow: {{config: {{registered_model_name: {name}}}}}, "
        "hyperparameters: {config: {alpha: 0.01}}}"
    )
    options = (
        *("--mlflow", mlflow_version.key, "--tracking-uri", server.uri, "--experiment", name),
        *("--training-engine", "duckdb", "--config", str(config)),
    )
    done = run_command("run", *options, "--csv-url", f"{wines}/")
    assert done.returncode == 0, done.stdout + done.stderr
    model, expected = scikit_learn(rows_of(*wines.iterdir()), 0.01, 0.5)
    for metric, value in expected.items():
        assert float(printed(done.stdout, metric)) == pytest.approx(value, rel=1e-9)
    predicted = predictions(mlflow_version, server.uri, name, "1", tmp_path)
    assert predicted == pytest.approx(model.predict(RED.to_numpy()), rel=1e-9)
    [run] = server.runs(name)
    params = values(run["data"]["params"])
    assert params["training_engine"] == "duckdb"
    assert int(params["train_rows"]) + expected_test_rows(wines) == 40_000
    assert server.holder(name, "champion") == "1"

    # A third file, added to the sums of the two: it alone is read.
    write_wines(wines / "2.parquet", 10_000, seed=2)
    for number in range(2):
        (wines / f"{number}.parquet").rename(tmp_path / f"{number}.parquet")
    done = run_command(
        "run", *options, "--training-data", "accumulated", "--csv-url", str(wines / "2.parquet")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    everything = rows_of(*(tmp_path / f"{n}.parquet" for n in range(2)), wines / "2.parquet")
    model, expected = scikit_learn(everything, 0.01, 0.5)
    assert float(printed(done.stdout, "rmse")) == pytest.approx(expected["rmse"], rel=1e-9)
    assert float(printed(done.stdout, "mae")) == pytest.approx(expected["mae"], rel=0.03)
    predicted = predictions(mlflow_version, server.uri, name, "2", tmp_path)
    assert predicted == pytest.approx(model.predict(RED.to_numpy()), rel=1e-9)


def expected_test_rows(wines: Path) -> int:
    return int((groups_of(rows_of(*wines.iterdir()), Membership()) == TEST).sum())


def test_a_sweep_over_sums(home, mlflow_server, tmp_path, wines):
    """On the newest version; what it writes to MLflow is what a sweep in memory writes."""
    version = MLFLOW_VERSIONS["3"]
    sweep = Sweep(version, mlflow_server(version), tmp_path)
    options = ("--training-engine", "duckdb", "--csv-url", f"{wines}/")
    try:
        output = do(sweep.arguments(*options, "--folds", "4"))
        parent, children = sweep.runs()
    finally:
        sweep.proxy.stop()
    assert "best           alpha 0.001, l1_ratio" in output
    rows = rows_of(*wines.iterdir())
    groups = groups_of(rows, Membership(folds=4))
    errors = []
    for fold in range(4):
        train, held = rows[(groups != TEST) & (groups != fold)], rows[groups == fold]
        fitted = ElasticNet(alpha=0.1, l1_ratio=0.2, tol=1e-10).fit(train[:, :-1], train[:, -1])
        predicted = fitted.predict(held[:, :-1])
        errors.append(regression_metrics(held[:, -1], predicted)["rmse"])
    [child] = [c for c in children if c["tags"]["mlflow.runName"] == "alpha=0.1, l1_ratio=0.2"]
    metrics = values(child["data"]["metrics"])
    assert metrics["cv_rmse"] == pytest.approx(np.mean(errors), rel=1e-6)
    assert values(parent["data"]["params"])["training_engine"] == "duckdb"
    assert len(sweep.server.versions(sweep.name)) == 1


def test_a_bad_value_far_down_registers_nothing(home, mlflow_server, tmp_path, wines):
    server, name = mlflow_server(MLFLOW_VERSIONS["3"]), f"bad-{uuid.uuid4().hex[:8]}"
    table = pq.read_table(wines / "1.parquet")
    values_of = table["alcohol"].to_numpy().copy()
    values_of[17_003] = np.inf
    place = table.column_names.index("alcohol")
    bad = table.set_column(place, "alcohol", pa.array(values_of))
    pq.write_table(bad, wines / "1.parquet", row_group_size=5000)
    done = run_command(
        "run",
        *("--tracking-uri", server.uri, "--experiment", name),
        *("--training-engine", "duckdb", "--csv-url", f"{wines}/"),
    )
    assert done.returncode == 1
    assert (
        f"{wines}/1.parquet: column 'alcohol' is infinite in 1 row(s), first in row 17004 "
        "(row group 3)" in done.stderr
    )
    assert server.statuses(name) == ["FAILED"]
    assert not list((home / "history").rglob("*.json"))


def test_values_of_another_engine_are_refused(home):
    """``raw_wine_csv`` was loaded; the rest is asked for with another engine."""
    from dagster import DagsterInstance, materialize

    from wine_quality.defs.data.raw_wine_csv import raw_wine_csv
    from wine_quality.defs.data.train_test_split import train_test_split
    from wine_quality.defs.io_manager import PlainFormatIOManager
    from wine_quality.engines.choice import EngineChoice
    from wine_quality.engines.resource import TrainingEngine
    from wine_quality.history.wine_history import WineHistory

    others = {"io_manager": PlainFormatIOManager(), "wine_history": WineHistory()}
    duckdb = TrainingEngine(engine=EngineChoice.duckdb)
    with DagsterInstance.ephemeral() as instance:
        for engine, then, words in (
            (TrainingEngine(), duckdb, "was read in memory, but"),
            (duckdb, TrainingEngine(), "was read by a streaming engine, but"),
        ):
            resources = {**others, "training_engine": engine}
            assert materialize([raw_wine_csv], instance=instance, resources=resources).success
            with pytest.raises(ValueError, match=words):
                materialize(
                    [raw_wine_csv, train_test_split],
                    instance=instance,
                    resources={**others, "training_engine": then},
                    selection="train_test_split",
                )


def test_files_that_arrive_are_read_once(tmp_path, mlflow_server):
    server = mlflow_server(MLFLOW_VERSIONS["3"])
    watched = Watched(
        tmp_path,
        server,
        WINE_QUALITY_WATCH_TRAINING_DATA="accumulated",
        WINE_QUALITY_WATCH_TRAINING_ENGINE="duckdb",
        WINE_QUALITY_WATCH_SUFFIX=".parquet",
    )
    try:
        for number in range(2):
            made = tmp_path / f"{number}.parquet"
            write_wines(made, 5000 * (number + 1), seed=number)
            made.rename(watched.folder / made.name)
            assert watched.statuses(made.name) == ["SUCCESS"]
        text = metadata(asset(watched, "train_test_split")["assetMaterializations"][0])
        assert (text["rows_read"], text["dagster/row_count"]) == (10_000, 15_000)
        assert (text["data_files"], text["training_engine"]) == (2, "duckdb")
        files = asset(watched, "wine_files")
        named = sorted(key.rpartition("-")[0] for key in files["partitionKeys"])
        assert named == ["0.parquet", "1.parquet"]
        [run] = watched.runs_of("1.parquet")
        _, params = watched.tracked(run["runId"])
        assert params["data_sha256"] == run["tags"][DATA_HASH_TAG] == text["data_sha256"]
    finally:
        watched.dagster.stop()
