"""Migrate the database to the revision that this code writes; concurrent callers do it once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wine_quality.metrics_history import aggregates, table, timescale
from wine_quality.metrics_history.database import MetricsDatabase
from wine_quality.metrics_history.evaluation import MetricsHistoryError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

MIGRATIONS = Path(__file__).with_name("migrations")
SECONDS = 30.0
"""For each of the parts at most."""

_LOCK = 0x77696E65  # of this project; any number that others do not use
_VERSION_TABLE = f"{table.SCHEMA}.{table.VERSION_TABLE}"


def revision(connection: Connection) -> str | None:
    """The revision of the database; None where there is nothing yet."""
    there = connection.exec_driver_sql(f"SELECT to_regclass('{_VERSION_TABLE}')").scalar()
    if there is None:
        return None
    found: str | None = connection.exec_driver_sql(
        f"SELECT version_num FROM {_VERSION_TABLE}"
    ).scalar()
    return found


def knows(wanted: str, folder: Path = MIGRATIONS) -> bool:
    """Whether a revision such as "0002" is one of this code's; a newer wine_quality has others."""
    from alembic.script import ScriptDirectory

    return wanted in {script.revision for script in ScriptDirectory(folder).walk_revisions()}


def make_tables(database: MetricsDatabase, wanted: str, seconds: float = SECONDS) -> None:
    """Bring a new database to an earlier revision, in plain tables: for rows of that revision.

    Raises:
        MetricsHistoryError: the database cannot be used, or there is no such revision.
    """
    with database.begin(seconds) as connection:
        _run_revisions(connection, MIGRATIONS, database.name, wanted)


def upgrade(
    database: MetricsDatabase,
    report: Callable[[str], None],
    seconds: float = SECONDS,
    folder: Path = MIGRATIONS,
) -> None:
    """Run what revisions are left, and make the tables hypertables where that is possible.

    Safe to call at any time and from anywhere: one does it, the others wait and find it done.

    Args:
        report: Gets lines on what was done, and why there are no hypertables.
        seconds: For each part: to wait for others, the revisions, the extension, the hypertables.

    Raises:
        MetricsHistoryError: the database cannot be used, or a newer wine_quality has migrated it.
    """
    with _alone(database, seconds):
        with database.begin(seconds) as connection:
            before = revision(connection)
            _run_revisions(connection, folder, database.name)
            now = revision(connection)
        if before != now:
            report(f"The metrics database {database.name} is at revision {now} (was: {before}).")
        _use_timescale(database, report, seconds)


@contextmanager
def _alone(database: MetricsDatabase, seconds: float) -> Iterator[None]:
    """Hold a lock of the database; it is free as soon as this connection ends, in any way."""
    with database.begin(4 * seconds) as connection:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(seconds * 1000)}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        yield


def _run_revisions(connection: Connection, folder: Path, name: str, wanted: str = "head") -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    # Asked for first: CREATE SCHEMA IF NOT EXISTS wants the right to create one all the same.
    if not connection.exec_driver_sql(f"SELECT to_regnamespace('{table.SCHEMA}')").scalar():
        connection.exec_driver_sql(f"CREATE SCHEMA {table.SCHEMA}")
    if revision(connection) not in (None, ScriptDirectory(folder).get_current_head()):
        # What an aggregate reads cannot be changed under it. The upgrade makes it again.
        aggregates.drop(connection)
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, wanted)
    except CommandError as error:
        raise MetricsHistoryError(
            f"The metrics database {name} has a revision that this wine_quality does not know "
            f"({error}): a newer one has migrated it. Update this one."
        ) from error


def _use_timescale(
    database: MetricsDatabase, report: Callable[[str], None], seconds: float
) -> None:
    """Make hypertables where the server has TimescaleDB and the role may use it."""
    with database.begin() as connection:
        if timescale.hypertables(connection) == set(timescale.CHUNKS):
            done = aggregates.exist(connection) or not timescale.is_community(connection)
            if done:
                return
        installed = timescale.is_installed(connection)
        if not installed and not timescale.is_available(connection):
            return
    try:
        if not installed:
            with database.begin(seconds) as connection:
                timescale.create_extension(connection)
        # Another connection: in this one the library is loaded from the start.
        with database.begin(seconds) as connection:
            timescale.make_hypertables(connection)
    except MetricsHistoryError as error:
        report(
            f"The metrics in {database.name} are kept in plain tables: its server offers "
            f"TimescaleDB, but it cannot be used ({error.reason}). If it should be, see that it is "
            "in shared_preload_libraries and open to this role, then: make metrics DO=upgrade"
        )
        return
    report(f"The metrics in {database.name} are kept in hypertables.")
    _use_aggregates(database, report, seconds)


def _use_aggregates(
    database: MetricsDatabase, report: Callable[[str], None], seconds: float
) -> None:
    """Have TimescaleDB count the predictions by the hour, where its edition can."""
    counted = "predictions by the hour are counted by plain SQL"
    try:
        with database.begin(seconds) as connection:
            if not timescale.is_community(connection):
                report(
                    f"The TimescaleDB of {database.name} is of the Apache edition, which has "
                    f"neither continuous aggregates nor policies: {counted}."
                )
                return
            aggregates.make(connection)
    except MetricsHistoryError as error:
        report(f"In {database.name} {counted}: no continuous aggregate ({error.reason}).")
        return
    report(f"In {database.name} predictions by the hour are kept in a continuous aggregate.")
