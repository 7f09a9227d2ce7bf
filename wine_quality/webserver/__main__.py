"""``python -m wine_quality.webserver -w workspace.yaml -p 5000``: Dagster's webserver, guarded."""

from __future__ import annotations

import argparse
import socket
import time
from contextlib import suppress
from pathlib import Path

_WAIT_SECONDS = 180
_STATEMENT_MILLISECONDS = 15_000  # as Dagster's own
_MOST_CONNECTIONS = 20
_GRACE_SECONDS = 2


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="wine_quality.webserver", description=__doc__, add_help=False
    )
    parser.add_argument("--help", action="help")
    parser.add_argument("-w", "--workspace", required=True, help="a workspace.yaml")
    parser.add_argument("-h", "--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("-p", "--port", type=int, default=3000)
    parser.add_argument("--fd", type=int, help="a socket that listens already")
    parser.add_argument("--wait-for", type=Path, help="socket of a code server that is starting")
    parser.add_argument("--db-pool-recycle", type=int, default=3600, help="seconds")
    serve(parser.parse_args())


def serve(options: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM."""
    # What takes longest, while the code server starts.
    import uvicorn
    from dagster import DagsterInstance
    from dagster_webserver.app import create_app_from_workspace_process_context
    from dagster_webserver.version import __version__

    from wine_quality.dagster_support.dagster_private import workspace_of_files
    from wine_quality.webserver.config_hints import WithConfigHints
    from wine_quality.webserver.guard import allowed_hosts
    from wine_quality.webserver.layer import GuardedApplication
    from wine_quality.webserver.mlflow_pages import WithMlflowPages

    if options.wait_for:
        _await_socket(options.wait_for)
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(
            _STATEMENT_MILLISECONDS, options.db_pool_recycle, _MOST_CONNECTIONS
        )
        with workspace_of_files(instance, [options.workspace], __version__) as workspace:
            dagster = create_app_from_workspace_process_context(workspace)
            pages = WithMlflowPages(WithConfigHints(dagster))
            application = GuardedApplication(pages, allowed_hosts(options.host))
            config = uvicorn.Config(
                application,
                host=options.host,
                port=options.port,
                log_level="warning",
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
            listening = [socket.socket(fileno=options.fd)] if options.fd is not None else None
            with suppress(KeyboardInterrupt):  # raised again when all is closed
                uvicorn.Server(config).run(listening)


def _await_socket(path: Path) -> None:
    """Wait until something listens there; if nothing does, the webserver reports the error."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
                return
            except OSError:
                time.sleep(0.05)


if __name__ == "__main__":
    main()
