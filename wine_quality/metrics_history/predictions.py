"""Predictions of the model servers, read from the table that they write."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from wine_quality.metrics_history.evaluation import MetricsHistoryError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from wine_quality.metrics_history.database import MetricsDatabase

READ_SECONDS = 60.0
HOURLY_UP_TO = timedelta(hours=48)
MOST_ROWS = 50_000
"""Of more, a random sample of about so many is read: distributions need no more."""


class ServedVersion(NamedTuple):
    """The predictions of one version of a model in a span of time: counts, and the newest time.

    Attributes:
        run_id: The MLflow run that trained it; empty where its server did not know.
        with_inputs: Rows whose inputs were stored too.
    """

    version: str
    run_id: str
    rows: int
    with_inputs: int
    newest: datetime


def served(database: MetricsDatabase, model_name: str, since: datetime) -> list[ServedVersion]:
    """The versions with predictions since then, the most recently used first.

    Raises:
        MetricsHistoryError: it could not be read, or there is no table yet.
    """
    from wine_quality.metrics_history import aggregates

    with database.begin(READ_SECONDS) as connection:
        _require_table(connection, database.name)
        hourly = aggregates.hours(connection, since)
        found = connection.execute(aggregates.served(hourly, model_name)).all()
    return [ServedVersion(str(row[0]), *row[1:]) for row in found]


class Period(NamedTuple):
    """The predictions of one version in an hour or a day of UTC that begins at ``begin``."""

    begin: datetime
    rows: int
    mean: float
    lowest: float
    highest: float


def over_time(
    database: MetricsDatabase, model_name: str, version: ServedVersion, span: timedelta
) -> list[Period]:
    """A version's predictions of the last ``span`` by the hour, of more than two days by the day,
    oldest first; periods without any are left out. Errors as of ``served``."""
    from wine_quality.metrics_history import aggregates

    step = "hour" if span <= HOURLY_UP_TO else "day"
    key = (int(version.version), version.run_id)
    with database.begin(READ_SECONDS) as connection:
        hourly = aggregates.hours(connection, datetime.now(timezone.utc) - span)
        found = connection.execute(aggregates.over_time(hourly, model_name, key, step)).all()
    return [Period(*row) for row in found]


def predicted(
    database: MetricsDatabase, model_name: str, version: ServedVersion, since: datetime
) -> list[float]:
    """A version's predictions since then, or a random sample of them. Errors as of ``served``."""
    from wine_quality.metrics_history import table

    column = table.predictions.columns.prediction
    return _sample(database, column, model_name, version, since, version.rows)


def inputs(
    database: MetricsDatabase, model_name: str, version: ServedVersion, since: datetime
) -> list[Mapping[str, float | None]]:
    """The inputs by column, where they were stored, or a random sample of them."""
    from wine_quality.metrics_history import table

    column = table.predictions.columns.inputs
    return _sample(database, column, model_name, version, since, version.with_inputs)


def _sample(
    database: MetricsDatabase,
    column: Any,
    model_name: str,
    version: ServedVersion,
    since: datetime,
    rows: int,
) -> list[Any]:
    from wine_quality.metrics_history import table

    served = (int(version.version), version.run_id)
    asked = table.sample(column, model_name, served, since, MOST_ROWS / max(rows, 1))
    with database.begin(READ_SECONDS) as connection:
        return list(connection.execute(asked).scalars())


def _require_table(connection: Connection, name: str) -> None:
    from wine_quality.metrics_history.table import PREDICTIONS, SCHEMA

    if connection.exec_driver_sql(f"SELECT to_regclass('{SCHEMA}.{PREDICTIONS}')").scalar() is None:
        raise MetricsHistoryError(
            f"The metrics database {name} has no table of predictions yet. Make it with: "
            "make metrics DO=upgrade"
        )
