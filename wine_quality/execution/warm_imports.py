"""What a warm process loads before its first run, and how little memory that keeps."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

from wine_quality.environments import startup

# What the steps of a run import inside their functions, in the order that costs least.
STEP_IMPORTS = (
    "sklearn.linear_model",
    "pandas",
    "mlflow.sklearn",
    "mlflow.store.tracking.sqlalchemy_store",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "wine_quality.definitions",
)


def load() -> None:
    """Import all of it; what is garbage by then is given back, and the rest is never looked at.

    The collector writes into each object that it looks at. What is frozen it passes by, so that
    the memory stays shared between this process and the runs that are forked from it.
    """
    startup.begin()
    from dagster import DagsterInstance  # noqa: F401

    startup.preload(STEP_IMPORTS)
    from wine_quality.execution import run_process  # noqa: F401

    gc.collect()
    gc.freeze()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
