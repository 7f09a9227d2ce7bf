"""MLflow's own autologging, for as long as one step takes."""

from __future__ import annotations

import copy
import enum
import importlib
from collections.abc import Iterator
from contextlib import contextmanager


class Autolog(enum.Enum):
    """Libraries that MLflow logs by itself."""

    off = "off"
    sklearn = "sklearn"
    all = "all"


@contextmanager
def autologging(choice: Autolog) -> Iterator[None]:
    """Autologging as chosen; at the end it is as it was before, also for other libraries.

    Runs of a search are made below the active run by MLflow itself. Before MLflow 3 no models are
    logged: they would lie in the folder ``model`` of the run, which is that of ``log_model``.
    """
    import mlflow
    from mlflow.utils.autologging_utils import AUTOLOGGING_INTEGRATIONS

    before = copy.deepcopy(dict(AUTOLOGGING_INTEGRATIONS))
    models = int(mlflow.__version__.split(".")[0]) >= 3
    try:
        if choice is not Autolog.off:
            _restore_scorers()
        if choice is Autolog.sklearn:
            import mlflow.sklearn

            mlflow.sklearn.autolog(log_models=models)
        elif choice is Autolog.all:
            for library in list(AUTOLOGGING_INTEGRATIONS):
                # MLflow leaves alone what had settings of its own.
                AUTOLOGGING_INTEGRATIONS[library] = {}
            mlflow.autolog(log_models=models)
        yield
    finally:
        if choice is Autolog.all:
            # Also for a library that is imported later.
            mlflow.autolog(disable=True)
        for library in list(AUTOLOGGING_INTEGRATIONS):
            # Without settings it is off.
            AUTOLOGGING_INTEGRATIONS[library] = before.get(library, {})


def _restore_scorers() -> None:
    """MLflow 2.1.1 asks for a table that scikit-learn has had functions for since 1.3."""
    metrics = importlib.import_module("sklearn.metrics")
    if not hasattr(metrics, "SCORERS"):
        names = metrics.get_scorer_names()
        metrics.SCORERS = {name: metrics.get_scorer(name) for name in names}  # type: ignore[attr-defined]
