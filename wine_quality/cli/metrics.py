"""``python -m wine_quality metrics status``, ``upgrade``, ``policies`` and ``backfill``."""

from __future__ import annotations

import argparse
import subprocess
from datetime import datetime, timedelta, timezone

from wine_quality.cli.exits import BAD_USE, fail
from wine_quality.cli.options import add_mlflow, add_servers
from wine_quality.environments.build import require_built
from wine_quality.environments.mlflow_versions import (
    EnvironmentMissingError,
    default_version,
    get_version,
)
from wine_quality.metrics_history.database import VARIABLE, MetricsDatabase, parse_url
from wine_quality.metrics_history.evaluation import MetricsHistoryError
from wine_quality.paths import PROJECT_ROOT

_PREDICTIONS_REVISION = "0002"
_UPGRADE_SECONDS = 600.0
"""For each part: years of rows take a while to go into a hypertable."""


def add_options(command: argparse.ArgumentParser) -> None:
    text = (
        "status: show revision and rows; upgrade: migrate the schema (and use TimescaleDB, if "
        "it was installed later); policies: how long rows are kept, and when they are compressed; "
        "backfill: write what only MLflow's registry has"
    )
    doing = ["status", "upgrade", "policies", "backfill"]
    command.add_argument("doing", choices=doing, help=text)
    text = "registered model to backfill (ElasticnetWineModel)"
    command.add_argument("--model", help=text)
    add_servers(command)
    add_mlflow(command)


def metrics(options: argparse.Namespace) -> int:
    """0 when it was done, 1 when the database or MLflow had something against it, 2 on bad use."""
    address = VARIABLE.read().strip()
    if not address:
        text = f"${VARIABLE} is empty, so no metrics history is kept. Set it to "
        return fail(f"{text}postgresql://USER:PASSWORD@HOST:5432/DATABASE.", BAD_USE)
    try:
        database = MetricsDatabase(parse_url(address))
        if options.doing == "backfill":
            return _backfill(options)
    except (ValueError, EnvironmentMissingError) as error:
        return fail(error, BAD_USE)
    try:
        if options.doing == "upgrade":
            from wine_quality.metrics_history.migrate import upgrade

            upgrade(database, print, _UPGRADE_SECONDS)
        if options.doing == "policies":
            _apply_policies(database)
        _print_status(database)
    except MetricsHistoryError as error:
        return fail(error)
    except ValueError as error:  # of a setting
        return fail(error, BAD_USE)
    return 0


def _apply_policies(database: MetricsDatabase) -> None:
    """On tables of this code's revision: they are made or migrated first."""
    from wine_quality.metrics_history.migrate import upgrade
    from wine_quality.metrics_history.policies import apply_policies, read_policies

    policies = read_policies()
    upgrade(database, print, _UPGRADE_SECONDS)
    apply_policies(database, policies, print)


def _print_status(database: MetricsDatabase) -> None:
    from wine_quality.metrics_history import aggregates, migrate, table, timescale

    with database.begin() as connection:
        revision = migrate.revision(connection)
        hypertables = timescale.hypertables(connection)
        if revision is not None:
            counted = connection.execute(table.summary()).one()
        if revision is not None and revision >= _PREDICTIONS_REVISION:
            day_ago = datetime.now(timezone.utc) - timedelta(days=1)
            hourly = aggregates.hours(connection, day_ago)
            served = connection.execute(aggregates.summary(hourly)).one()
            newest_prediction = connection.execute(table.newest_prediction()).scalar()
            by_hour = aggregates.is_usable(connection)
        else:
            served = None
    print(f"database       {database.name}")
    if revision is None:
        print("revision       none: the first run that registers a model makes the table, as does")
        print("               make metrics DO=upgrade")
        return
    newest = "" if revision == table.HEAD else f" (newest: {table.HEAD}; make metrics DO=upgrade)"
    print(f"revision       {revision}{newest}")
    _print_table(table.TABLE, hypertables)
    print(f"rows           {counted.rows}, of {counted.versions} model versions")
    _print_newest(counted.newest)
    if served is not None:
        _print_table(table.PREDICTIONS, hypertables)
        print(f"last 24 hours  {served.rows} rows, of {served.versions} model versions")
        _print_newest(newest_prediction)
        print(f"by the hour    {'a continuous aggregate' if by_hour else 'counted by plain SQL'}")


def _print_table(name: str, hypertables: set[str]) -> None:
    kind = "hypertable" if name in hypertables else "plain table"
    print(f"table          wine_quality.{name}, a {kind}")


def _print_newest(newest: datetime | None) -> None:
    if newest is not None:
        print(f"newest         {newest:%Y-%m-%d %H:%M:%S %Z}")


def _backfill(options: argparse.Namespace) -> int:
    """Add the registry's versions to the history, in the environment of their MLflow version."""
    version = get_version(options.mlflow or default_version())
    command = [str(require_built(version)), "-W", "ignore"]
    command += ["-m", "wine_quality.metrics_history.backfill", version.key]
    command += [options.tracking_uri or "", options.model or "", options.registry_uri or ""]
    environment = {**version.process_variables(), "PYTHONPATH": str(PROJECT_ROOT)}
    return subprocess.run(command, env=environment).returncode
