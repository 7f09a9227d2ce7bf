"""What a warm process loads before its first run, and how little memory that keeps."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

from wine_quality.dagster_support.dagster_private import RUN_MODULES
from wine_quality.execution import startup

# What a run imports inside its functions, in the order that costs least. Each is passed by in an
# environment that lacks it.
RUN_IMPORTS = (
    "sklearn.linear_model",
    "pandas",
    "mlflow.sklearn",
    "mlflow.pyfunc.model",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "mlflow.tracing.processor.base_mlflow",
    "mlflow.types.responses",
    "mlflow.pyfunc.scoring_server",
    "mlflow.models.display_utils",
    "dagster_mlflow",
    # MLflow 1.26 and 2.1.1 ask them for versions.
    "setuptools",
    "pip",
    "git",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "alembic.command",
    "fsspec.implementations.local",
    "upath.implementations.local",
    "pandera.pandas",
    "pandera",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "wine_quality.definitions",
    *RUN_MODULES,
)


def load() -> None:
    """Import all of it; what is garbage by then is given back, and the rest is never looked at.

    The collector writes into each object that it looks at. What is frozen it passes by, so that
    the memory stays shared between this process and the runs that are forked from it.
    """
    startup.begin()
    from dagster import DagsterInstance  # noqa: F401

    startup.preload(RUN_IMPORTS)
    from wine_quality.execution import run_process  # noqa: F401

    rehearse()
    gc.collect()
    gc.freeze()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def rehearse() -> None:
    """What a run computes, once and without any store: libraries load more when first used."""
    from wine_quality.datasets.contract import FEATURES, TARGET, check_contract, conform
    from wine_quality.datasets.parse import parse_wine_csv
    from wine_quality.environments.versions import MLFLOW_VERSIONS
    from wine_quality.models import compare, plots
    from wine_quality.models.elastic_net.fit import LinearModel
    from wine_quality.models.evaluate import regression_metrics
    from wine_quality.paths import PACKAGED_RED_WINE
    from wine_quality.wines.in_memory import MemorySplit
    from wine_quality.wines.split_rows import split_rows

    startup.preload(v.backend.partition(":")[0] for v in MLFLOW_VERSIONS.values() if v.is_resident)
    frame = parse_wine_csv(PACKAGED_RED_WINE.read_bytes(), PACKAGED_RED_WINE.name)
    check_contract(frame)
    split = split_rows(conform(frame))
    parts = MemorySplit(split)
    model = LinearModel.of(parts.fit(0.5, 0.5, 42), FEATURES)
    train, test = parts.examples("train"), parts.examples("test")
    actual, predicted = test[TARGET].to_numpy(), model.predict(test)
    regression_metrics(actual, predicted)
    compare.population_stability(train, compare.profile(train))
    for figure in (plots.predicted_against_actual(actual, predicted), plots.coefficients(model)):
        plots.to_png(figure)
