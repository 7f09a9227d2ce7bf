"""The engine spark, in local mode and on a standalone cluster: the same sums, and its faults."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wine_quality.datasets.contract import FEATURES
from wine_quality.engines.batches import UnreadableFileError
from wine_quality.engines.broken_rules import BrokenFilesError
from wine_quality.engines.engine import DuckDBEngine
from wine_quality.engines.membership import Membership
from wine_quality.engines.training_pass import sample_of, total_of
from wine_quality.models.elastic_net.fit import LinearModel
from wine_quality.models.elastic_net.fit_moments import fit_from_moments
from wine_quality.paths import PACKAGED_RED_WINE, PROJECT_ROOT
from wine_quality_tests.integration.test_main_run import printed, run_cli
from wine_quality_tests.support.generated_wines import write_wines
from wine_quality_tests.support.servers import await_condition, dying_with_us, free_port

pytest.importorskip("pyspark", reason="PySpark is not installed here (make spark)")
if shutil.which("java") is None:
    pytest.skip("Spark needs Java, which is not on PATH", allow_module_level=True)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SCALE = (0.0, 10.0)


def spark_engine(*places: str, master: str = "local[2]", **options: str):
    from wine_quality.engines.spark_engine import SparkEngine

    return SparkEngine(list(places), master, {"spark.driver.memory": "1g", **options})


@pytest.fixture(scope="module", autouse=True)
def _one_session(s3):
    """Executors have the variables that Java was started with, S3's keys among them: a Java that
    another module's tests left behind has not."""
    end_java()
    yield
    end_java()


def end_java() -> None:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    running = SparkSession.getActiveSession()
    if running is not None:
        running.stop()
    if SparkContext._gateway is not None:
        SparkContext._gateway.shutdown()
        SparkContext._gateway = SparkContext._jvm = None


def assert_the_same(ours, theirs) -> None:
    """Two engines on the same files."""
    got, expected = ours.sum_files(Membership()), theirs.sum_files(Membership())
    # The two call the columns' types by other names.
    columns = [replace(one.file, columns={}) for one in got]
    assert columns == [replace(one.file, columns={}) for one in expected]
    for one, other in zip(got, expected, strict=True):
        assert [fold.n for fold in one.sums.folds] == [fold.n for fold in other.sums.folds]
        assert np.array_equal(one.sample.wines, other.sample.wines)
    ours_total, theirs_total = total_of(got), total_of(expected)
    assert np.allclose(ours_total.train.cross, theirs_total.train.cross, rtol=1e-11, atol=1e-9)
    assert sample_of(got).stride == sample_of(expected).stride
    fitted = fit_from_moments(ours_total.train, 0.01, 0.5)
    model = LinearModel.of(fitted, FEATURES)
    got_scores = ours.score_test_part(Membership(), model, SCALE)
    expected_scores = theirs.score_test_part(Membership(), model, SCALE)
    assert got_scores.metrics == pytest.approx(expected_scores.metrics, rel=1e-11)
    assert got_scores.rows == expected_scores.rows


def test_the_same_as_duckdb(tmp_path):
    for number in range(3):
        write_wines(tmp_path / f"wines {number}.parquet", 50_000 * number, seed=number)
    place = str(tmp_path / "*.parquet")
    assert_the_same(spark_engine(place), DuckDBEngine([place]))
    messages: list[tuple[int, int | None]] = []
    spark_engine(place).sum_files(Membership(), lambda done, of: messages.append((done, of)))
    assert messages and messages[-1] == (150_000, 150_000)


def test_csv_and_wines_in_s3(tmp_path):
    import boto3

    assert_the_same(spark_engine(str(PACKAGED_RED_WINE)), DuckDBEngine([str(PACKAGED_RED_WINE)]))
    write_wines(tmp_path / "wines.parquet", 20_000, seed=3)
    boto3.client("s3").upload_file(str(tmp_path / "wines.parquet"), "wines", "spark/wines.parquet")
    assert_the_same(spark_engine("s3://wines/spark/"), DuckDBEngine(["s3://wines/spark/"]))


def test_bad_values_are_named_by_file_and_row_group(tmp_path):
    write_wines(tmp_path / "good.parquet", 30_000)
    table = pq.read_table(tmp_path / "good.parquet")
    values = table["pH"].to_pylist()
    values[25_003], values[27_000] = None, float("nan")
    place = table.column_names.index("pH")
    path = str(tmp_path / "bad.parquet")
    bad = table.set_column(place, "pH", pa.array(values, pa.float64()))
    pq.write_table(bad, path, row_group_size=5000)
    with pytest.raises(BrokenFilesError) as raised:
        spark_engine(str(tmp_path / "*.parquet")).sum_files(Membership())
    (rule,) = raised.value.broken
    assert (rule.path, rule.column, rule.count) == (path, "pH", 2)
    assert (rule.first_row, rule.row_group) == (25_003, 5)


def test_a_file_that_changes_or_goes_is_refused(tmp_path):
    path = tmp_path / "wines.parquet"
    write_wines(path, 1000, 1)
    engine = spark_engine(str(path))
    write_wines(path, 2000, 2)
    with pytest.raises(UnreadableFileError, match="is another file where an executor reads it"):
        engine.sum_files(Membership())
    path.unlink()
    with pytest.raises(UnreadableFileError, match=re.escape(str(path))):
        engine.sum_files(Membership())


def test_reasons_are_found_in_java_traces():
    from wine_quality.engines.spark_pass import _reason

    with pytest.raises(UnreadableFileError, match="s3://wines/nothing/ names no file"):
        spark_engine("s3://wines/nothing/")
    java = (
        "An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.\n"
        ": org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 1.0\n"
        "Traceback (most recent call last):\n"
        '  File "worker.py", line 1, in main\n'
        "botocore.exceptions.NoCredentialsError: Unable to locate credentials\n"
        "\tat org.apache.spark.Thing.run(Thing.java:1)\n"
    )
    assert _reason(java) == "botocore.exceptions.NoCredentialsError: Unable to locate credentials"


def test_a_killed_worker_leaves_no_half_sums(tmp_path):
    """Local mode tries no task again; what was summed up by then is thrown away."""
    path = tmp_path / "wines.parquet"
    write_wines(path, 3_000_000, 1)
    engine = spark_engine(str(path))
    engine.sum_files(Membership())  # the workers are there from now on
    killed = threading.Event()

    def kill() -> None:
        for entry in Path("/proc").iterdir():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"pyspark.daemon" in command and entry.name.isdigit():
                os.kill(int(entry.name), signal.SIGKILL)
                killed.set()

    threading.Timer(0.1, kill).start()
    try:
        files = engine.sum_files(Membership())
    except UnreadableFileError as error:
        assert "Spark failed" in str(error) and "nothing was stored" in str(error)
    else:
        assert files[0].file.rows == 3_000_000
    assert killed.wait(5)
    # And the next pass is whole again.
    [whole] = engine.sum_files(Membership())
    assert whole.file.rows == whole.sums.train.n + whole.sums.test.n == 3_000_000


def test_a_run_with_spark(home, tmp_path):
    write_wines(tmp_path / "wines.parquet", 30_000, 4)
    options = ("--csv-url", str(tmp_path / "wines.parquet"), "--training-engine")
    runs = [run_cli(*options, engine) for engine in ("spark", "duckdb")]
    for done in runs:
        assert done.returncode == 0, done.stdout + done.stderr
    spark, duckdb = (float(printed(done.stdout, "rmse")) for done in runs)
    assert spark == pytest.approx(duckdb, rel=1e-12)
    assert "is not better" in printed(runs[1].stdout, "champion")


@pytest.fixture
def cluster(tmp_path):
    """A master and one worker of Spark's own standalone cluster, on random ports."""
    import pyspark

    launcher = str(Path(pyspark.__file__).parent / "bin" / "spark-class")
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROJECT_ROOT),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_WORKER_DIR": str(tmp_path / "work"),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    url = f"spark://127.0.0.1:{port}"
    address = ["--host", "127.0.0.1", "--port"]
    deploy = "org.apache.spark.deploy"
    commands = (
        [f"{deploy}.master.Master", *address, str(port), "--webui-port", str(free_port())],
        [f"{deploy}.worker.Worker", *address, str(free_port()), "--webui-port", str(free_port())]
        + ["--cores", "1", "--memory", "1g", url],
    )
    log = tmp_path / "cluster.log"
    processes = []
    try:
        with log.open("wb") as out:
            for command in commands:
                processes.append(
                    subprocess.Popen(
                        dying_with_us(launcher, *command),
                        stdout=out,
                        stderr=subprocess.STDOUT,
                        env=environment,
                    )
                )
        await_condition(
            lambda: "Successfully registered with master" in log.read_text(), "the cluster", 60
        )
        yield url
    finally:
        for process in processes:
            process.kill()
            process.wait(20)


def test_on_a_cluster_by_its_master_url(cluster, tmp_path):
    write_wines(tmp_path / "wines.parquet", 30_000, 5)
    place = str(tmp_path / "wines.parquet")
    loopback = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    engine = spark_engine(place, master=cluster, **loopback)
    try:
        assert_the_same(engine, DuckDBEngine([place]))
    finally:
        from pyspark.sql import SparkSession

        SparkSession.getActiveSession().stop()


_DYING_JAVA = """#!/bin/sh
if echo >> {deaths} && [ $(wc -l < {deaths}) -le {most} ]; then echo "no memory" >&2; exit 1; fi
exec {java} "$@"
"""


def test_a_java_that_dies_at_its_start_is_started_again(tmp_path, monkeypatch):
    end_java()
    real, java, deaths = shutil.which("java"), tmp_path / "bin" / "java", tmp_path / "deaths"
    java.parent.mkdir()
    monkeypatch.setenv("PATH", str(java.parent), prepend=os.pathsep)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    java.write_text(_DYING_JAVA.format(java=real, deaths=deaths, most=2))
    java.chmod(0o755)
    engine = spark_engine(str(PACKAGED_RED_WINE))
    with pytest.raises(UnreadableFileError, match=r"JAVA_GATEWAY_EXITED.* in the step's stderr"):
        engine.sum_files(Membership())
    deaths.unlink()
    java.write_text(_DYING_JAVA.format(java=real, deaths=deaths, most=1))
    assert sum(one.file.rows for one in engine.sum_files(Membership())) == 1599


def test_what_is_missing_is_said_at_once(tmp_path, monkeypatch):
    write_wines(tmp_path / "wines.parquet", 100, 6)
    engine = spark_engine(
        str(tmp_path / "wines.parquet"), master=f"spark://127.0.0.1:{free_port()}"
    )
    with pytest.raises(UnreadableFileError, match=r"no Spark master answers at spark://127"):
        engine.sum_files(Membership())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(UnreadableFileError, match="needs Java 17 or 21"):
        engine.sum_files(Membership())
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(UnreadableFileError, match="make spark"):
        engine.sum_files(Membership())
