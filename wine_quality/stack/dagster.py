"""Dagster's code server, webserver and daemon, from the containers' configuration files."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from wine_quality.execution.warm_client import RUN_VARIABLES
from wine_quality.paths import PROJECT_ROOT, home
from wine_quality.policy.settings import EVERYTHING
from wine_quality.stack.service import (
    Service,
    graphql_answers,
    http_answers,
    port_answers,
    with_home,
)
from wine_quality.stack.settings import FOLDER
from wine_quality.stack.tracking import reached
from wine_quality.webserver.guard import VARIABLE as ALLOWED_HOSTS

_LOCATIONS = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"
_DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { required healthy } } } }"
_LAUNCHERS = (
    "module: dagster.core.launcher\n  class: DefaultRunLauncher",
    "module: wine_quality.execution.warm_launcher\n  class: WarmRunLauncher",
)
_SAME_FOR_ALL = ("DB", "USER", "PASSWORD")


def dagster_services(
    folder: Path,
    settings: Mapping[str, str],
    port: int,
    code_port: int,
    tracking: Mapping[str, str],
    after: tuple[str, ...],
) -> list[Service]:
    """The three services.

    Args:
        folder: DAGSTER_HOME.
        port: Of the webserver.
        code_port: Of the code server, on 127.0.0.1.
        tracking: Variables with the addresses of the MLflow servers.
        after: What must be ready before the webserver and the daemon.
    """
    listens = settings["BIND_ADDRESS"]
    url = f"http://{reached(listens)}:{port}"
    logs = folder / "compute_logs"
    logs.mkdir(parents=True, exist_ok=True)
    _write_instance(folder / "dagster.yaml")
    common = {
        "DAGSTER_HOME": str(folder),
        "DAGSTER_POSTGRES_HOST": settings["POSTGRES_HOST"],
        "DAGSTER_POSTGRES_PORT": settings["POSTGRES_PORT"],
        **{f"DAGSTER_POSTGRES_{n}": settings[f"DAGSTER_POSTGRES_{n}"] for n in _SAME_FOR_ALL},
        "DAGSTER_COMPUTE_LOGS": str(logs),
        "DAGSTER_MAX_CONCURRENT_RUNS": settings["DAGSTER_MAX_CONCURRENT_RUNS"],
        "DAGSTER_WEBSERVER_URL": settings["DAGSTER_WEBSERVER_URL"],
        "DAGSTER_CODE_HOST": "127.0.0.1",
        "DAGSTER_CODE_PORT": str(code_port),
    }
    code = {**common, **tracking, **_code_variables(settings)}
    code_environment = with_home(folder / "homes" / "dagster-code", code)
    launching: dict[str, str] = {RUN_VARIABLES: str(_write_variables(folder, code_environment))}
    workspace = ("-w", str(FOLDER / "workspace.yaml"))

    def service(
        name: str, command: tuple[str, ...], variables: Mapping[str, str], **more
    ) -> Service:
        own = with_home(folder / "homes" / name, variables)
        return Service(name, command, own, PROJECT_ROOT, **more)

    serve = (sys.executable, "-m", "dagster", "api", "grpc", "-m", "wine_quality.definitions")
    # Not kept for Dagster's hour: each connection to a PostgreSQL that was restarted fails a click.
    pool = ("--db-pool-recycle", "1")
    return [
        service(
            "dagster-code",
            (*serve, "-a", "defs", "-h", "127.0.0.1", "-p", str(code_port)),
            code,
            ready=port_answers("127.0.0.1", code_port),
        ),
        service(
            "dagster-webserver",
            (sys.executable, "-m", "wine_quality.webserver", "-h", listens, "-p", str(port))
            + (*workspace, *pool),
            {**common, **launching, ALLOWED_HOSTS: settings[ALLOWED_HOSTS]},
            ready=webserver_ready(url),
            after=("dagster-code", *after),
            address=settings["DAGSTER_WEBSERVER_URL"],
        ),
        service(
            "dagster-daemon",
            (sys.executable, "-m", "wine_quality.dagster_support.daemon", *workspace),
            {**common, **launching},
            ready=daemon_ready(url),
            # The webserver makes the tables.
            after=("dagster-webserver",),
        ),
    ]


def _write_instance(path: Path) -> None:
    """The containers' instance, but with runs forked from warm processes, which they lack."""
    text = (FOLDER / "dagster.yaml").read_text()
    before, after = _LAUNCHERS
    assert before in text
    path.unlink(missing_ok=True)  # a link, in stacks from before
    path.write_text(text.replace(before, after))


def _write_variables(folder: Path, variables: Mapping[str, str]) -> Path:
    """File with the environment of runs, for their launcher: the daemon's own lacks data keys."""
    path = folder / "run_variables.json"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(variables, file)
    return path


def _code_variables(settings: Mapping[str, str]) -> dict[str, str]:
    """Variables of the code server and its runs; none of them is an ``AWS_*`` variable."""
    host, port = settings["POSTGRES_HOST"], settings["POSTGRES_PORT"]
    user, password = (quote(settings[f"METRICS_POSTGRES_{n}"], "") for n in ("USER", "PASSWORD"))
    database = settings["METRICS_POSTGRES_DB"]
    return {
        "WINE_QUALITY_HOME": str(home()),
        "WINE_QUALITY_ASSETS": f"s3://{settings['ASSETS_BUCKET']}/assets",
        "WINE_QUALITY_ASSETS_KEY": settings["WINE_QUALITY_ASSETS_KEY"],
        "WINE_QUALITY_ASSETS_SECRET": settings["WINE_QUALITY_ASSETS_SECRET"],
        "WINE_QUALITY_SIGNING_KEY": settings["WINE_QUALITY_SIGNING_KEY"],
        "WINE_QUALITY_LOADABLE_FORMATS": settings["WINE_QUALITY_LOADABLE_FORMATS"],
        "WINE_QUALITY_ASSETS_ENDPOINT": settings["AWS_ENDPOINT_URL"],
        "WINE_QUALITY_ASSETS_REGION": settings["AWS_DEFAULT_REGION"],
        # Sources, watched places and the history lie in the same store, by the same user.
        "WINE_QUALITY_DATA_KEY": settings["WINE_QUALITY_ASSETS_KEY"],
        "WINE_QUALITY_DATA_SECRET": settings["WINE_QUALITY_ASSETS_SECRET"],
        "WINE_QUALITY_DATA_ENDPOINT": settings["AWS_ENDPOINT_URL"],
        "WINE_QUALITY_DATA_REGION": settings["AWS_DEFAULT_REGION"],
        # What csv_url may name.
        **{name: settings[name] for name in EVERYTHING},
        "WINE_QUALITY_METRICS_URL": f"postgresql+psycopg2://{user}:{password}@{host}:{port}/"
        f"{database}",
    }


def webserver_ready(url: str) -> Callable[[], bool]:
    """Ready when the webserver answers and has loaded the code location."""
    answers = http_answers(f"{url}/server_info")
    loaded = graphql_answers(url, _LOCATIONS, _loaded)
    return lambda: answers() and loaded()


def daemon_ready(url: str) -> Callable[[], bool]:
    """Ready when the webserver at ``url`` reports every daemon needed as healthy."""
    return graphql_answers(url, _DAEMONS, _healthy)


def _loaded(data: dict) -> bool:
    entries = data["workspaceOrError"]["locationEntries"]
    return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)


def _healthy(data: dict) -> bool:
    statuses = data["instance"]["daemonHealth"]["allDaemonStatuses"]
    needed = [status["healthy"] for status in statuses if status["required"]]
    return bool(needed) and all(needed)
