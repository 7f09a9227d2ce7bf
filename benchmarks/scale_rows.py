"""The rows of ``make bench-scale``, each in a process of its own.

python -m benchmarks.scale_rows ROW FILE.parquet

A row imports and starts what it needs, says ``ready``, works, says ``done`` with what it found;
after each it waits for a line, so that it can be measured where it stands.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from wine_quality.datasets.contract import COLUMNS, FEATURES, TARGET

ALPHA, L1_RATIO = 0.001, 0.5
CORES = len(os.sched_getaffinity(0))
NAMES = list(COLUMNS)


def say(state: str, found: dict[str, Any]) -> None:
    print(json.dumps({"state": state, **found}), flush=True)
    sys.stdin.readline()


def ready() -> None:
    say("ready", {})


def done(coefficients: Sequence[float] | None, **found: Any) -> None:
    """``coefficients`` in the features' units."""
    plain = None if coefficients is None else [float(one) for one in coefficients]
    say("done", {"coefficients": plain, **found})


def scan(path: str) -> None:
    import duckdb

    connection = duckdb.connect(config={"threads": CORES})
    ready()
    sums = ", ".join(f'sum("{name}")' for name in NAMES)
    connection.execute(f"SELECT {sums} FROM read_parquet('{path}')").fetchall()
    done(None)


def _fit(files: Sequence[Any]) -> Sequence[float]:
    from wine_quality.engines.training_pass import total_of
    from wine_quality.models.elastic_net.fit_moments import fit_from_moments

    total = total_of(files)
    # On all rows, as the others. The solver's tolerance costs nothing here.
    return fit_from_moments(
        total.train + total.test, ALPHA, L1_RATIO, tol=1e-12, max_iter=100_000
    ).coef_


def _pass_of(reader_of: Callable[[str], Any], path: str) -> None:
    import sklearn.linear_model  # noqa: F401
    import threadpoolctl  # noqa: F401

    from wine_quality.engines.membership import Membership
    from wine_quality.engines.training_pass import sum_files

    ready()
    done(_fit(sum_files(reader_of(path), Membership(), CORES)))


def on_duckdb(path: str) -> None:
    import duckdb  # noqa: F401
    import pyarrow  # noqa: F401

    from wine_quality.engines.duckdb_reader import DuckDBReader

    _pass_of(lambda file: DuckDBReader([file], threads=CORES), path)


def on_arrow(path: str) -> None:
    import pyarrow.parquet  # noqa: F401

    from wine_quality.engines.parquet_reader import ParquetReader

    _pass_of(lambda file: ParquetReader([file]), path)


def _spark() -> Any:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[*]").appName("bench")
    for name, value in {
        "spark.driver.memory": "4g",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.log.level": "ERROR",
    }.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    # Its first job starts what later ones find running.
    spark.range(1).count()
    return spark


def on_spark(path: str) -> None:
    import sklearn.linear_model  # noqa: F401

    from wine_quality.engines.membership import Membership
    from wine_quality.engines.spark_pass import sum_files_on_spark

    spark = _spark()
    ready()
    done(_fit(sum_files_on_spark(spark, [path], Membership())))


def pandas_fit(path: str) -> None:
    import pandas as pd
    import pyarrow.parquet  # noqa: F401
    from sklearn.linear_model import ElasticNet

    ready()
    frame = pd.read_parquet(path)
    model = ElasticNet(alpha=ALPHA, l1_ratio=L1_RATIO).fit(frame[list(FEATURES)], frame[TARGET])
    done(model.coef_)
    # What all are compared with: converged, where the default tolerance stops at 1e-4.
    exact = ElasticNet(alpha=ALPHA, l1_ratio=L1_RATIO, precompute=True, tol=1e-12, max_iter=100_000)
    exact.fit(frame[list(FEATURES)].to_numpy(), frame[TARGET].to_numpy(dtype=float))
    done(exact.coef_)


def float32_fit(path: str) -> None:
    import numpy as np
    import pyarrow.parquet as pq
    from sklearn.linear_model import ElasticNet

    ready()
    with pq.ParquetFile(path) as file:
        rows = np.empty((file.metadata.num_rows, len(NAMES)), dtype=np.float32, order="F")
        start = 0
        for batch in file.iter_batches(1 << 17, columns=NAMES):
            for place, column in enumerate(batch.columns):
                rows[start : start + len(column), place] = column.to_numpy()
            start += batch.num_rows
    model = ElasticNet(alpha=ALPHA, l1_ratio=L1_RATIO, copy_X=False)
    model.fit(rows[:, :-1], rows[:, -1])
    done(model.coef_)


def sgd(path: str) -> None:
    """One epoch. It needs columns of like scale, so it solves the problem of the scaled ones."""
    import numpy as np
    import pyarrow.parquet as pq
    from sklearn.linear_model import SGDRegressor

    ready()
    model = SGDRegressor(penalty="elasticnet", alpha=ALPHA, l1_ratio=L1_RATIO, random_state=42)
    centre = spread = np.zeros(0)
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(1 << 17, columns=NAMES):
            rows = np.column_stack([column.to_numpy() for column in batch.columns]).astype(float)
            features = rows[:, :-1]
            if not len(spread):
                centre, spread = features.mean(axis=0), features.std(axis=0)
            model.partial_fit((features - centre) / spread, rows[:, -1])
    done(model.coef_ / spread, scales=spread.tolist())


def mllib(path: str) -> None:
    from pyspark.ml.feature import VectorAssembler
    from pyspark.ml.regression import LinearRegression

    from wine_quality_tests.support.generated_wines import packaged_wines

    # MLlib divides the target by its deviation before it penalizes, which is the same for the
    # lasso's part only: these are the parameters of the same problem. (Bootstrapped, the target
    # varies as it does in the packaged wines.)
    lasso, ridge = ALPHA * L1_RATIO, ALPHA * (1 - L1_RATIO) * packaged_wines()[:, -1].std()
    spark = _spark()
    ready()
    assembler = VectorAssembler(inputCols=list(FEATURES), outputCol="features")
    frame = assembler.transform(spark.read.parquet(path)).select("features", TARGET)
    model = LinearRegression(
        labelCol=TARGET,
        regParam=float(lasso + ridge),
        elasticNetParam=float(lasso / (lasso + ridge)),
        standardization=False,
    ).fit(frame)
    done(model.coefficients)


def h2o_glm(path: str) -> None:
    import tempfile

    import h2o
    from h2o.estimators import H2OGeneralizedLinearEstimator

    from benchmarks.scale_meter import available_bytes

    with tempfile.TemporaryDirectory() as folder:
        gigabytes = max(2, int(0.6 * available_bytes() / 1e9))
        h2o.init(max_mem_size=f"{gigabytes}G", ice_root=folder, log_dir=folder, verbose=False)
        h2o.no_progress()
        ready()
        frame = h2o.import_file(path)
        model = H2OGeneralizedLinearEstimator(
            family="gaussian", alpha=[L1_RATIO], lambda_=[ALPHA], standardize=False
        )
        model.train(x=list(FEATURES), y=TARGET, training_frame=frame)
        found = model.coef()
        done([found[name] for name in FEATURES])
        h2o.cluster().shutdown()


def covariances(path: str) -> None:
    """Not of the table: moments in DuckDB's SQL, which shares no line with this project's pass."""
    import duckdb

    connection = duckdb.connect(config={"threads": CORES})
    ready()
    pairs = [(a, b) for place, a in enumerate(NAMES) for b in NAMES[: place + 1]]
    asked = ", ".join(
        ["count(*)"]
        + [f'avg("{name}")' for name in NAMES]
        + [f'covar_pop("{a}", "{b}")' for a, b in pairs]
    )
    found = connection.execute(f"SELECT {asked} FROM read_parquet('{path}')").fetchone()
    assert found is not None
    done(None, rows=found[0], means=found[1:13], covariances=found[13:])


ROWS: dict[str, tuple[str, Callable[[str], None]]] = {
    "scan": ("DuckDB, a scan with 12 sums", scan),
    "duckdb": ("**this pipeline, DuckDB**", on_duckdb),
    "arrow": ("**this pipeline, Arrow**", on_arrow),
    "spark": ("**this pipeline, Spark** local[*]", on_spark),
    "float32": ("scikit-learn, float32 NumPy", float32_fit),
    "pandas": ("scikit-learn, pandas", pandas_fit),
    "sgd": ("scikit-learn, SGD `partial_fit`", sgd),
    "mllib": ("Spark MLlib local[*]", mllib),
    "h2o": ("H2O GLM", h2o_glm),
}
"""By name its title in the table, and what it does."""

NEEDS_JAVA = {"spark", "mllib", "h2o"}

if __name__ == "__main__":
    from wine_quality.policy.settings import trust_the_caller

    trust_the_caller()
    _, run = {**ROWS, "covariances": ("", covariances)}[sys.argv[1]]
    run(sys.argv[2])
