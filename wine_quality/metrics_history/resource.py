"""The ``metrics_history`` resource: where evaluations are kept, if anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dagster import InitResourceContext
from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedResource
from wine_quality.metrics_history.database import VARIABLE, MetricsDatabase, parse_url
from wine_quality.metrics_history.evaluation import Evaluation, PastValue
from wine_quality.policy.databases import allowed_metrics_url


class MetricsHistory(CheckedResource):
    """Writes the metrics of each registered version to PostgreSQL, with TimescaleDB if installed.

    Without an address nothing is written.
    """

    url: str = Field(
        default="",
        description="postgresql://host:5432/database of the metrics database. Empty: "
        "$WINE_QUALITY_METRICS_URL, else no history is kept. Others than that one are allowed by "
        "$WINE_QUALITY_ALLOWED_METRICS_URLS, where their passwords belong, too.",
    )

    @property
    def is_kept(self) -> bool:
        """Whether there is an address."""
        return bool(self._address)

    @property
    def database_name(self) -> str:
        """The database as people may see it."""
        return self.database.name

    def setup_for_execution(self, context: InitResourceContext) -> None:
        """Refuse an unusable address before anything is read or trained.

        Raises:
            ValueError: the message shows the form of an address.
        """
        if self.is_kept:
            parse_url(self._address)

    def write(self, evaluations: Sequence[Evaluation], report: Callable[[str], None]) -> None:
        """A row for each metric; a retry writes none anew.

        Raises:
            MetricsHistoryError: it could not be done.
        """
        from wine_quality.metrics_history import store

        store.write(self.database, evaluations, report)

    def newest(self, model_name: str, metric: str, most: int) -> list[PastValue]:
        """The newest values of a model's metric, oldest first.

        Raises:
            MetricsHistoryError: they cannot be read.
        """
        from wine_quality.metrics_history import store

        return store.newest(self.database, model_name, metric, most)

    @property
    def database(self) -> MetricsDatabase:
        """The database itself, for its other tables.

        Raises:
            ValueError: there is no address, or it is unusable.
        """
        return MetricsDatabase(parse_url(self._address))

    @property
    def _address(self) -> str:
        """The environment's own text, also when run config names that database."""
        if self.url.strip():
            return allowed_metrics_url(self.url.strip())
        return VARIABLE.read().strip()
