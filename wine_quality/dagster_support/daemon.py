"""``python -m wine_quality.dagster_support.daemon -w workspace.yaml``: Dagster's daemon, as
``dagster-daemon run`` is, with connections to PostgreSQL that are used again."""

from __future__ import annotations

import argparse
from contextlib import suppress


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="wine_quality.dagster_support.daemon", description=__doc__
    )
    parser.add_argument("-w", "--workspace", required=True, help="a workspace.yaml")
    run(parser.parse_args().workspace)


def run(workspace: str) -> None:
    """Run all daemons that the instance needs, until SIGINT or SIGTERM."""
    from dagster import DagsterInstance

    from wine_quality.dagster_support.dagster_private import capture_interrupts, daemon_of_files
    from wine_quality.dagster_support.pooled_postgres import pool_connections

    with suppress(KeyboardInterrupt), capture_interrupts(), DagsterInstance.get() as instance:
        pool_connections(instance)
        with daemon_of_files(instance, [workspace]) as controller:
            controller.check_daemon_loop()


if __name__ == "__main__":
    main()
