"""Modules that processes of this code location load before they get a run
(``execution.startup.warm_up``)."""

from __future__ import annotations

FIRST_IMPORTS = (
    "sklearn.linear_model",
    "pandas",
    "mlflow.sklearn",
    "mlflow.store.tracking.sqlalchemy_store",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "wine_quality.definitions",
)
"""Modules that nearly every run imports inside its functions, for a process that is about to get a
run."""

IMPORTS = (
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
)
"""All that a run may import, in the order that costs least: of a warm process, which has the time.
Each is passed by in an environment that lacks it."""


def rehearse() -> None:
    """Do a run's computations once, without any store: libraries load more when first used."""
    from wine_quality.datasets.contract import FEATURES, TARGET, check_contract, conform
    from wine_quality.datasets.parse import parse_wine_csv
    from wine_quality.models import compare, plots
    from wine_quality.models.elastic_net.fit import LinearModel
    from wine_quality.models.evaluate import regression_metrics
    from wine_quality.paths import PACKAGED_RED_WINE
    from wine_quality.wines.in_memory import MemorySplit
    from wine_quality.wines.split_rows import split_rows

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
