"""The metric of a registered version."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.tracking.registry.champion import ChampionRegistry

if TYPE_CHECKING:
    from wine_quality.tracking.tracker import Tracker


def measured(
    tracker: Tracker,
    registry: ChampionRegistry,
    number: str,
    by: str | Callable[[Any], float],
    warn: Callable[[str], None],
) -> float | None:
    """The metric of a version; None when the version or its files are gone, or nothing logged it.

    Args:
        by: A metric's name: what the version's run logged. A function: what it makes of the
            version's estimator, which is loaded for it.

    Raises:
        UntrustedModelError: this project did not register the version, or not as it is now.
    """
    from wine_quality.tracking.registry.provenance import require_signature

    found = registry.version(number)
    if found is None:
        return None
    if isinstance(by, str):
        return tracker.logged_metrics(require_signature(found).mlflow_run_id).get(by)
    import mlflow.sklearn

    with tempfile.TemporaryDirectory() as folder:
        try:
            files = tracker.download_version(registry.name, number, Path(folder))
        except FileNotFoundError as error:
            warn(f"{registry.name} version {number} is skipped: {error}")
            return None
        return float(by(mlflow.sklearn.load_model(str(files))))
