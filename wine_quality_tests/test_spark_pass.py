"""The pass on Spark in local mode: the same sums and the same refusals as on the other engines."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wine_quality.engines.broken_rules import ContractBroken
from wine_quality.engines.membership import Membership
from wine_quality.engines.parquet_reader import ParquetReader
from wine_quality.engines.training_pass import sum_files
from wine_quality_tests.generated_wines import write_wines

pytest.importorskip("pyspark", reason="PySpark is not installed here")
if shutil.which("java") is None:
    pytest.skip("Spark needs Java, which is not on PATH", allow_module_level=True)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    from pyspark.sql import SparkSession

    root = str(Path(__file__).parents[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
        session = (
            SparkSession.builder.master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.memory", "1g")
            .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
            .getOrCreate()
        )
        yield session
        session.stop()


def test_the_same_sums_as_without_spark(spark, tmp_path):
    from wine_quality.engines.spark_pass import sum_files_on_spark

    for number in range(3):
        write_wines(tmp_path / f"wines {number}.parquet", 50_000 * number, seed=number)
    places = [str(tmp_path / "*.parquet")]
    expected = sum_files(ParquetReader(places), Membership())
    got = sum_files_on_spark(spark, places, Membership())
    assert [one.file for one in got] == [one.file for one in expected]
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.sums.test.n == theirs.sums.test.n
        assert [fold.n for fold in ours.sums.folds] == [fold.n for fold in theirs.sums.folds]
        assert np.allclose(ours.sums.train.cross, theirs.sums.train.cross, rtol=1e-11, atol=1e-9)


def test_bad_values_are_named_by_file_and_row_group(spark, tmp_path):
    from wine_quality.engines.spark_pass import sum_files_on_spark

    write_wines(tmp_path / "good.parquet", 30_000)
    table = pq.read_table(tmp_path / "good.parquet")
    values = table["pH"].to_pylist()
    values[25_003], values[27_000] = None, float("nan")
    place = table.column_names.index("pH")
    path = str(tmp_path / "bad.parquet")
    bad = table.set_column(place, "pH", pa.array(values, pa.float64()))
    pq.write_table(bad, path, row_group_size=5000)
    with pytest.raises(ContractBroken) as raised:
        sum_files_on_spark(spark, [str(tmp_path / "*.parquet")], Membership())
    (rule,) = raised.value.broken
    assert (rule.path, rule.column, rule.count) == (path, "pH", 2)
    assert (rule.first_row, rule.row_group) == (25_003, 5)
