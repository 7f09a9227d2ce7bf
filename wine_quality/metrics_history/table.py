"""The tables, and the statements that write and read them; SQLAlchemy 1.4 and 2."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, DateTime, Integer, MetaData, Table, Text, func, select, tuple_
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, JSONB, UUID, insert

SCHEMA = "wine_quality"
TABLE = "evaluation_metrics"
PREDICTIONS = "predictions"
"""Written by the servers, by ``wine_quality/serving/runtime/prediction_log.py``."""
# Dagster and MLflow each have an alembic_version; this one may share their database.
VERSION_TABLE = "metrics_history_version"
HEAD = "0002"
"""The newest revision in ``migrations/versions``, known without importing alembic."""

# TimescaleDB wants the time in every unique index; in this order it serves `newest` too.
KEY = ("model_name", "metric", "time", "run_id", "model_version")

metrics = Table(
    TABLE,
    MetaData(schema=SCHEMA),
    Column("time", DateTime(timezone=True), primary_key=True),
    Column("model_name", Text, primary_key=True),
    Column("model_version", Integer, primary_key=True),
    Column("mlflow_version", Text, nullable=False),
    Column("run_id", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("value", DOUBLE_PRECISION, nullable=False),
    Column("data_sha256", Text, nullable=False),
)

# Time first in its key: what is asked for, and what is deleted one day, is a span of it.
predictions = Table(
    PREDICTIONS,
    metrics.metadata,
    Column("time", DateTime(timezone=True), primary_key=True),
    Column("model_name", Text, primary_key=True),
    Column("model_version", Integer, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("input_hash", Text, nullable=False),
    Column("prediction", DOUBLE_PRECISION, nullable=False),
    Column("inputs", JSONB),
    Column("batch", UUID, primary_key=True),
    Column("batch_row", Integer, primary_key=True, autoincrement=False),
)


def upsert() -> Any:
    """Rows that are there already get the values of now, as a retried registration's does."""
    statement = insert(metrics)
    others = [column.name for column in metrics.columns if column.name not in KEY]
    news = {name: statement.excluded[name] for name in others}
    return statement.on_conflict_do_update(index_elements=list(KEY), set_=news)


def newest(model_name: str, metric: str, most: int) -> Any:
    """The newest values of a model's metric, newest first."""
    column = metrics.columns
    return (
        select(
            column.time,
            column.model_version,
            column.mlflow_version,
            column.run_id,
            column.value,
            column.data_sha256,
        )
        .where(column.model_name == model_name, column.metric == metric)
        .order_by(column.time.desc(), column.run_id.desc(), column.model_version.desc())
        .limit(most)
    )


def summary() -> Any:
    """Number of rows, number of their model versions, and the time of the newest."""
    column = metrics.columns
    version = tuple_(column.model_name, column.run_id, column.model_version)
    return select(
        func.count().label("rows"),
        func.count(version.distinct()).label("versions"),
        func.max(column.time).label("newest"),
    ).select_from(metrics)


def sample(value: Any, model_name: str, version: tuple[int, str], since: Any, share: float) -> Any:
    """Values of one column that are not null, from a random share of a version's rows."""
    column = predictions.columns
    model_version, run_id = version
    asked = select(value).where(
        column.model_name == model_name,
        column.time >= since,
        column.model_version == model_version,
        column.run_id == run_id,
        value.isnot(None),
    )
    return asked.where(func.random() < share) if share < 1 else asked


def newest_prediction() -> Any:
    """The time of the newest prediction of all."""
    return select(func.max(predictions.columns.time))
