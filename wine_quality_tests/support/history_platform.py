"""A platform's databases on a server of the tests, for backups of them: no buckets, no MLflow."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from wine_quality.metrics_history import migrate, store
from wine_quality.metrics_history.database import MetricsDatabase, parse_url
from wine_quality.metrics_history.evaluation import Evaluation
from wine_quality.upkeep.data_services import DataServices
from wine_quality_tests.support.postgres import PASSWORD, USER, PostgresServer

PREDICTION = """INSERT INTO wine_quality.predictions VALUES
    ('{time}', 'wine', 1, 'run', 'hash', 5.5, '{{"text": "a\\tb\\\\c"}}', '{batch}', {row})"""


class NoHome:
    """A home without keys and without a history."""

    def signing_keys(self) -> str:
        return ""

    def accept(self, keys: str, origin: str) -> str:
        raise AssertionError("there is no key")

    @contextmanager
    def history(self):
        yield None

    replace_history = history


@dataclass(frozen=True)
class HistoryPlatform(DataServices):
    """Dagster's database, which stays empty, and the metrics', each with an owner of its own."""

    def databases(self) -> list[tuple[str, str]]:
        return super().databases()[:2]

    def mlflow_databases(self) -> dict[str, str]:
        return {}

    def buckets(self) -> dict[str, Any]:
        return {}

    @property
    def metrics(self) -> MetricsDatabase:
        role = self.settings["METRICS_POSTGRES_USER"]
        name = self.settings["METRICS_POSTGRES_DB"]
        url = f"postgresql://{role}:{role}@127.0.0.1:{self.postgres_port}/{name}"
        return MetricsDatabase(parse_url(url))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """As the owner of the metrics."""
        with self.metrics.begin() as connection:
            result = connection.exec_driver_sql(sql.replace("%", "%%"))
            return [tuple(row) for row in result] if result.returns_rows else []

    def fill(self, number: int) -> None:
        """Rows over a year, in several chunks; the tables are made by the first to write."""
        begin = datetime(2026, 1, 1, tzinfo=timezone.utc)
        evaluations = [
            Evaluation(
                *(begin + timedelta(days=365 * place / number), "wine", str(place + 1)),
                *("3.17.2", f"run{place}", "0" * 64, {"rmse": place / 7, "weird": -1e-300}),
            )
            for place in range(number)
        ]
        store.write(self.metrics, evaluations, print)
        with self.metrics.begin() as connection:
            for place in range(number):
                values = {"time": begin + timedelta(days=20 * place), "row": place}
                text = PREDICTION.format(batch=uuid.uuid4(), **values)
                connection.exec_driver_sql(text)

    def upgrade(self) -> None:
        migrate.upgrade(self.metrics, print)


def platform_on(server: PostgresServer, folder: Path) -> HistoryPlatform:
    """New databases and roles on a server; ``folder`` is for what restores leave."""
    suffix = uuid.uuid4().hex[:8]
    settings = {"POSTGRES_USER": USER, "POSTGRES_PASSWORD": PASSWORD}
    settings |= {"MLFLOW_POSTGRES_USER": "mlflow", "DAGSTER_MAX_CONCURRENT_RUNS": "1"}
    for name in ("dagster", "metrics"):
        role = f"{name}_{suffix}"
        settings[f"{name.upper()}_POSTGRES_DB"] = settings[f"{name.upper()}_POSTGRES_USER"] = role
        server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
        server.execute(f"CREATE DATABASE {role} OWNER {role} TEMPLATE template0")
    folder.mkdir(exist_ok=True)
    version = server.execute("SHOW server_version")[0][0].split()[0]
    place = server.binaries, version, server.port, 0, folder
    return HistoryPlatform(settings, *place, NoHome())
