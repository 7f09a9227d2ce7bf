"""Which version of the model people get, and what is known of its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from wine_quality.escaping import ProjectError
from wine_quality.metrics_history.database import VARIABLE
from wine_quality.metrics_history.resource import MetricsHistory
from wine_quality.tracking.registry.champion import CHAMPION
from wine_quality.tracking.registry.provenance import UntrustedModelError

if TYPE_CHECKING:
    from wine_quality.metrics_history.predictions import ServedVersion
    from wine_quality.tracking.tracker import Tracker


class NothingToCompareError(ProjectError):
    """There is nothing to compare, which is not a fault; the message names what is missing."""


@dataclass(frozen=True)
class Served:
    """The version that answers, and what is known of its training.

    Attributes:
        name: Of the registered model.
        version: That predicted last.
        hours: The span that is compared.
        since: Its beginning.
        record: See ``Tracker.load_training_record``.
        title: The version in words.
        url: The version in MLflow.
    """

    name: str
    version: ServedVersion
    hours: float
    since: datetime
    record: Mapping[str, Any]
    title: str
    url: str


def find_served(tracker: Tracker, name: str, history: MetricsHistory, hours: float) -> Served:
    """The version in this MLflow that predicted last.

    It is the version that is served, and not always the champion: a server may be behind, or be
    given another.

    Args:
        name: Of the registered model.

    Raises:
        NothingToCompareError: nobody predicted, or nothing is known of the version.
        MetricsHistoryError: the predictions cannot be read.
    """
    from wine_quality.metrics_history import predictions

    if not history.is_kept:
        raise NothingToCompareError(
            f"No metrics database is configured (${VARIABLE}), so predictions are not logged."
        )
    since = datetime.now(timezone.utc) - timedelta(hours=hours)
    span = f"in the last {hours:g} hours"
    candidates = predictions.served(history.database, name, since)
    if not candidates:
        raise NothingToCompareError(
            f"{name} predicted nothing {span} that is in {history.database_name}."
        )
    registry = tracker.registry(name)
    for version in candidates:
        found = registry.version(version.version)
        if found is None or version.run_id not in ("", found.run_id):
            continue  # of another MLflow, with version numbers of its own
        champion = registry.holder(CHAMPION)
        aside = "" if champion == version.version else f" (the champion is {champion or 'nobody'})"
        text = f"{name} version {version.version}{aside}"
        try:
            record = tracker.load_training_record(found)
        except UntrustedModelError as error:
            raise NothingToCompareError(f"Nothing is compared: {error}") from error
        if record is None:
            raise NothingToCompareError(f"Nothing is known of the training of {text}.")
        url = tracker.model_version_url(name, version.version)
        return Served(name, version, hours, since, record, text, url)
    versions = ", ".join(sorted({version.version for version in candidates}, key=int))
    raise NothingToCompareError(
        f"What {name} predicted {span} came from version(s) {versions}, which this MLflow does not "
        "have. Pick theirs in resources.mlflow.config."
    )
