"""An MLflow server of each version picked, started as its container is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.paths import PROJECT_ROOT
from wine_quality.stack.objects import aws_variables
from wine_quality.stack.service import Service, http_answers, with_home
from wine_quality.stack.settings import FOLDER
from wine_quality.webserver.guard import VARIABLE as ALLOWED_HOSTS

_SERVE = FOLDER / "mlflow" / "serve.sh"
_FROM_SETTINGS = (
    "MLFLOW_POSTGRES_USER",
    "MLFLOW_POSTGRES_PASSWORD",
    "MLFLOW_BUCKET",
    "MLFLOW_WORKERS",
    "MLFLOW_SERVER_ALLOWED_HOSTS",
    "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS",
)


def mlflow_service(
    version: MlflowVersion,
    folder: Path,
    settings: Mapping[str, str],
    port: int,
    after: tuple[str, ...],
) -> Service:
    """PostgreSQL behind it, artifacts through it into the bucket."""
    listens = settings["BIND_ADDRESS"]
    seen = "localhost" if listens in ("127.0.0.1", "0.0.0.0") else listens
    variables = {
        **{name: settings[name] for name in _FROM_SETTINGS},
        **aws_variables(settings),
        **version.variables,
        "POSTGRES_HOST": settings["POSTGRES_HOST"],
        "POSTGRES_PORT": settings["POSTGRES_PORT"],
        "MLFLOW_POSTGRES_DB": f"mlflow_{version.underscored}",
        "MLFLOW_HOST": listens,
        "MLFLOW_PORT": str(port),
        **guard_variables(version, settings),
        "PATH": f"{version.require_python().parent}{os.pathsep}{os.environ['PATH']}",
    }
    return Service(
        name=f"mlflow-{version.key}",
        command=("/bin/sh", str(_SERVE)),
        variables=with_home(folder, variables),
        folder=folder,
        ready=http_answers(f"http://{reached(listens)}:{port}/health"),
        after=after,
        address=f"http://{seen}:{port}",
    )


def guard_variables(version: MlflowVersion, settings: Mapping[str, str]) -> dict[str, str]:
    """MLflow 3 looks at hosts and origins itself; the older ones answer any web page."""
    if version.is_guarded:
        return {}
    return {
        "GUNICORN_CMD_ARGS": "--config python:wine_quality.webserver.gunicorn_guard",
        "PYTHONPATH": str(PROJECT_ROOT),
        ALLOWED_HOSTS: settings[ALLOWED_HOSTS],
    }


def reached(listens: str) -> str:
    """The address by which this machine reaches a service that listens on an address."""
    return "127.0.0.1" if listens == "0.0.0.0" else listens
