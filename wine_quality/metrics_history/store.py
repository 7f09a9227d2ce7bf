"""Writes evaluations into the history and reads them back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wine_quality.metrics_history import migrate, table
from wine_quality.metrics_history.database import MetricsDatabase, retry_briefly
from wine_quality.metrics_history.evaluation import Evaluation, PastValue

_BATCH = 1000


def write(
    database: MetricsDatabase, evaluations: Sequence[Evaluation], report: Callable[[str], None]
) -> None:
    """Write a row for each metric of each evaluation; rows that are there get the new values.

    The first to write migrates the database.

    Raises:
        MetricsHistoryError: it could not be done, or not in time, after a few tries.
    """
    retry_briefly(lambda: _write(database, evaluations, report))


def _write(
    database: MetricsDatabase, evaluations: Sequence[Evaluation], report: Callable[[str], None]
) -> None:
    with database.begin() as connection:
        current = migrate.revision(connection) == table.HEAD
    if not current:
        migrate.upgrade(database, report)
    rows = [row for evaluation in evaluations for row in evaluation.rows()]
    for start in range(0, len(rows), _BATCH):
        with database.begin() as connection:
            connection.execute(table.upsert(), rows[start : start + _BATCH])


def newest(database: MetricsDatabase, model_name: str, metric: str, most: int) -> list[PastValue]:
    """The newest values of a model's metric, oldest first; none where nothing was written yet.

    Raises:
        MetricsHistoryError: it could not be read, at the first try.
    """
    with database.begin() as connection:
        if migrate.revision(connection) is None:
            return []
        found = connection.execute(table.newest(model_name, metric, most))
        return [PastValue(*row) for row in reversed(found.all())]
