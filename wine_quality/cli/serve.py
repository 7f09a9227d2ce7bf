"""``python -m wine_quality serve``: MLServer on this machine, with the champion of the moment."""

from __future__ import annotations

import argparse
import os
import signal
import socket
from typing import TYPE_CHECKING

from wine_quality.cli.exits import BAD_USE, fail, interrupt_on, show
from wine_quality.cli.options import add_mlflow, add_servers
from wine_quality.environments.build import require_built
from wine_quality.environments.mlflow_versions import (
    EnvironmentMissingError,
    MlflowVersion,
    default_version,
    get_version,
)
from wine_quality.environments.own_client import reexec_in_environment
from wine_quality.paths import home

if TYPE_CHECKING:
    from wine_quality.tracking.tracker import Tracker

HTTP_PORT, GRPC_PORT = 8080, 8081
_BACKLOG = 2048
# MLflow's client tries for minutes, and so does that of runs; here the next look comes in seconds.
_IMPATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "15", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--version", help="number of the version to serve (the champion)")
    command.add_argument("--model", help="registered model (ElasticnetWineModel)")
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    command.add_argument("--port", type=int, help="of REST (8080; a free one if that is taken)")
    text = "of gRPC (8081; a free one if that is taken)"
    command.add_argument("--grpc-port", type=int, help=text)
    text = "seconds between looks at MLflow (2)"
    command.add_argument("--every", type=float, default=2, help=text)
    text = "full name of a type that a skops model of a family of your own may hold; repeatable"
    command.add_argument("--trusted-type", action="append", default=[], help=text)
    add_servers(command)
    add_mlflow(command)


def serve(options: argparse.Namespace) -> int:
    """Until Ctrl-C: 0. 1 when it cannot listen, 2 on bad use."""
    try:
        version = get_version(options.mlflow or default_version())
        require_built(version)
        if options.every <= 0:
            raise ValueError("--every must be more than 0 seconds")
        if options.version is not None and not options.version.isdigit():
            raise ValueError(
                f"--version {options.version!r} is not a version number; leave it out for "
                "the champion"
            )
    except (ValueError, EnvironmentMissingError) as error:
        return fail(error, BAD_USE)
    reexec_in_environment(version)
    interrupt_on(signal.SIGINT, signal.SIGTERM)
    try:
        return _serve(options, version)
    except KeyboardInterrupt:
        return 0


def _serve(options: argparse.Namespace, version: MlflowVersion) -> int:
    from wine_quality.project import MODEL
    from wine_quality.serving.promotion_follower import PromotionFollower, Registry
    from wine_quality.tracking.connection import connect, tracking_settings

    os.environ.update(_IMPATIENCE)
    name = options.model or MODEL

    def connected() -> Tracker:
        settings = tracking_settings(version, options.tracking_uri, options.registry_uri)
        return connect(version, settings, show)

    try:
        public = _listen(options.host, options.port, HTTP_PORT)
        with _listen(options.host, options.grpc_port, GRPC_PORT) as probe:
            grpc = probe.getsockname()[1]
    except OSError as error:
        text = f"cannot listen on {options.host}: {error.strerror}. Another --port or --grpc-port"
        return fail(f"{text} may be free.")
    address = f"http://{options.host}:{public.getsockname()[1]}"
    show(f"REST {address}/v2/models/{name}/infer, gRPC {options.host}:{grpc}; Ctrl-C ends it")
    if not options.host.startswith(("127.", "localhost", "::1")):
        show("note: whoever reaches this address may ask for predictions; there is no login")
    registry = Registry(connected, name, options.version, options.trusted_type)
    _make_table()
    folder = home() / "serving" / f"mlflow-{version.key}" / name
    PromotionFollower(registry, folder, public, grpc, options.every, show).run()
    return 0


def _make_table() -> None:
    """Make the table of the prediction log, where there is a database; serving works without it."""
    from wine_quality.metrics_history.database import VARIABLE, MetricsDatabase, parse_url

    address = VARIABLE.read().strip()
    if not address:
        return
    from wine_quality.metrics_history.evaluation import MetricsHistoryError
    from wine_quality.metrics_history.migrate import upgrade

    try:
        database = MetricsDatabase(parse_url(address))
        upgrade(database, show)
        show(f"predictions are logged to {database.name}")
    except (ValueError, MetricsHistoryError) as error:
        show(f"warning: predictions may not be logged: {error}")


def _listen(host: str, port: int | None, default: int) -> socket.socket:
    """A listening socket: on the port picked, else on the default, else on a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if port is not None:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    try:
        return socket.create_server((host, default), family=family, backlog=_BACKLOG)
    except OSError:
        return socket.create_server((host, 0), family=family, backlog=_BACKLOG)
