"""Predictions by the hour: how many, their mean and their range, for live checks and their trends.

Where TimescaleDB (Community edition) is there, it keeps the hours in a continuous aggregate, so
that a check of a year need not count a year's rows. Everywhere else the same numbers are counted
from the rows, by plain SQL: ``hours`` gives a query of either kind, with the same columns.

The aggregate is real-time: hours that are not materialized yet are counted from the rows. A row
that comes later than ``SETTLED`` after its prediction counts from the next refresh on.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, cast, column, func, select, text, tuple_, union_all
from sqlalchemy import table as sql_table

from wine_quality.metrics_history import timescale
from wine_quality.metrics_history.table import PREDICTIONS, SCHEMA, predictions

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

HOURLY = "predictions_hourly"
NAMES = (HOURLY,)
SETTLED, REFRESHED = "3 hours", "15 minutes"
"""Hours are materialized when they are so old; a refresh comes so often."""

_KEYS = ("model_name", "model_version", "run_id")
_COUNTS = ("rows", "with_inputs", "newest", "total", "lowest", "highest")
_REAL_TIME = (
    "SELECT has_table_privilege(%s, 'SELECT') AND EXISTS (SELECT FROM "
    "timescaledb_information.continuous_aggregates WHERE view_schema = %s AND view_name = %s "
    "AND NOT materialized_only)"
)


def exist(connection: Connection) -> bool:
    """Whether the aggregate is in this database."""
    found = connection.exec_driver_sql(f"SELECT to_regclass('{SCHEMA}.{HOURLY}')").scalar()
    return found is not None


def is_usable(connection: Connection) -> bool:
    """Whether the aggregate can be read by this role, and has the newest rows too."""
    if not exist(connection) or not timescale.is_installed(connection):
        return False
    names = (f"{SCHEMA}.{HOURLY}", SCHEMA, HOURLY)
    return bool(connection.exec_driver_sql(_REAL_TIME, names).scalar())


def make(connection: Connection) -> None:
    """Create the aggregate, empty, and the policy that fills it; the role must own the table."""
    schema = timescale.extension_schema(connection)
    assert schema is not None
    for statement in statements(schema):
        connection.exec_driver_sql(statement)


def statements(schema: str) -> list[str]:
    """The SQL of ``make``, with TimescaleDB's functions in ``schema``.

    The refresh has no oldest end, so that it takes the hours of dropped chunks out again.
    """
    keys = ", ".join(_KEYS)
    return [
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {SCHEMA}.{HOURLY} WITH (timescaledb.continuous, "
        "timescaledb.materialized_only = false) AS "
        f"SELECT {schema}.time_bucket(INTERVAL '1 hour', time) AS bucket, {keys}, "
        "count(*) AS rows, count(inputs) AS with_inputs, max(time) AS newest, "
        "sum(prediction) AS total, min(prediction) AS lowest, max(prediction) AS highest "
        f"FROM {SCHEMA}.{PREDICTIONS} GROUP BY 1, {keys} WITH NO DATA",
        f"SELECT {schema}.add_continuous_aggregate_policy('{SCHEMA}.{HOURLY}', "
        f"start_offset => NULL, end_offset => INTERVAL '{SETTLED}', "
        f"schedule_interval => INTERVAL '{REFRESHED}', if_not_exists => TRUE)",
    ]


def drop(connection: Connection) -> None:
    """Remove the aggregate, so that its table may be changed; ``make`` brings all of it back."""
    if exist(connection):
        connection.exec_driver_sql(f"DROP MATERIALIZED VIEW {SCHEMA}.{HOURLY}")


def hours(connection: Connection, since: datetime) -> Any:
    """A subquery of the rows since then: a row for each hour (UTC), model, version and run.

    Its columns: ``bucket``, the beginning of the hour; ``model_name``, ``model_version``,
    ``run_id``; ``rows``, ``with_inputs``, ``newest`` (time), and of the predictions ``total``,
    ``lowest`` and ``highest``. The first hour counts only from ``since`` on.
    """
    if is_usable(connection):
        # Rows that were dropped count no longer, though the aggregate may have their hours still.
        oldest = connection.execute(select(func.min(predictions.columns.time))).scalar()
        if oldest is not None:
            return _aggregated(max(since, oldest)).subquery()
    return _counted(since).subquery()


def _aggregated(since: datetime) -> Any:
    """Whole hours from the aggregate; what is left of the first one from the rows."""
    names = ("bucket", *_KEYS, *_COUNTS)
    hourly = sql_table(HOURLY, *map(column, names), schema=SCHEMA)
    begin = first_whole_hour(since)
    whole = select(*(hourly.columns[name] for name in names)).where(hourly.columns.bucket >= begin)
    return union_all(whole, _counted(since, begin))


def _counted(since: datetime, until: datetime | None = None) -> Any:
    """The same from the rows."""
    columns = predictions.columns
    bucket = func.date_trunc("hour", columns.time, "UTC")
    keys = [columns[key] for key in _KEYS]
    counted = (
        select(
            bucket.label("bucket"),
            *keys,
            func.count().label("rows"),
            func.count(columns.inputs).label("with_inputs"),
            func.max(columns.time).label("newest"),
            func.sum(columns.prediction).label("total"),
            func.min(columns.prediction).label("lowest"),
            func.max(columns.prediction).label("highest"),
        )
        .select_from(predictions)
        .where(columns.time >= since)
    )
    if until is not None:
        counted = counted.where(columns.time < until)
    # By its place: with parameters of its own, the same expression would be another one.
    return counted.group_by(text("1"), *keys)


def first_whole_hour(since: datetime) -> datetime:
    """The first full hour (UTC) at or after an aware time."""
    at = since.astimezone(timezone.utc)
    hour = at.replace(minute=0, second=0, microsecond=0)
    return hour if hour == at else hour + timedelta(hours=1)


def served(hourly: Any, model_name: str) -> Any:
    """Query: a row for each version of the model in ``hours``, the most recently used first."""
    columns = hourly.columns
    newest = func.max(columns.newest)
    return (
        select(
            columns.model_version,
            columns.run_id,
            cast(func.sum(columns.rows), BigInteger).label("rows"),
            cast(func.sum(columns.with_inputs), BigInteger).label("with_inputs"),
            newest.label("newest"),
        )
        .where(columns.model_name == model_name)
        .group_by(columns.model_version, columns.run_id)
        .order_by(newest.desc())
    )


def summary(hourly: Any) -> Any:
    """Query: how many rows ``hours`` has, and of how many model versions."""
    columns = hourly.columns
    version = tuple_(columns.model_name, columns.run_id, columns.model_version)
    rows = cast(func.coalesce(func.sum(columns.rows), 0), BigInteger)
    return select(rows.label("rows"), func.count(version.distinct()).label("versions"))


def over_time(hourly: Any, model_name: str, version: tuple[int, str], step: str) -> Any:
    """Query: a version's predictions by ``step`` ("hour" or "day", UTC), oldest first: beginning,
    rows, mean, lowest and highest."""
    columns = hourly.columns
    rows = func.sum(columns.rows)
    return (
        select(
            func.date_trunc(step, columns.bucket, "UTC").label("begin"),
            cast(rows, BigInteger).label("rows"),
            (func.sum(columns.total) / rows).label("mean"),
            func.min(columns.lowest).label("lowest"),
            func.max(columns.highest).label("highest"),
        )
        .where(
            columns.model_name == model_name,
            columns.model_version == version[0],
            columns.run_id == version[1],
        )
        .group_by(text("1"))
        .order_by(text("1"))
    )
