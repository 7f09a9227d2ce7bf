"""The imports of a warm process before its first run, with little memory kept by them."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

from wine_quality.dagster_support.dagster_private import RUN_MODULES
from wine_quality.execution import startup


def load() -> None:
    """Import all of it; what is garbage by then is given back, and the rest is never looked at.

    The collector writes into each object that it looks at. What is frozen it passes by, so that
    the memory stays shared between this process and the runs that are forked from it.
    """
    startup.begin()
    from dagster import DagsterInstance  # noqa: F401

    warm_up = startup.warm_up()
    startup.preload((*warm_up.IMPORTS, *RUN_MODULES))
    from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
    from wine_quality.execution import run_process  # noqa: F401

    startup.preload(v.backend.partition(":")[0] for v in MLFLOW_VERSIONS.values() if v.is_resident)
    warm_up.rehearse()
    map_installed_packages()
    gc.collect()
    gc.freeze()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def map_installed_packages() -> None:
    """Have MLflow list this environment's packages now: 0.3 to 0.6 s of its first model's time.

    It keeps the list, and checks each model's requirements against it. The name is private to
    MLflow; in a version without it, the run makes the list itself.
    """
    from mlflow.utils import requirements_utils

    list_packages = getattr(requirements_utils, "_init_modules_to_packages_map", None)
    if list_packages is not None:
        list_packages()
