"""``rollback``: withdraw the champion for the one before."""

from __future__ import annotations

import argparse

from wine_quality.cli.job import launch
from wine_quality.cli.options import add_field, add_model, add_run_config
from wine_quality.cli.promote import print_champion


def add_options(command: argparse.ArgumentParser) -> None:
    text = "number of the version (the one before)"
    add_field(command, "--version", "ops.return_to_version.config.version", help=text)
    add_model(command)
    add_run_config(command)


def rollback(options: argparse.Namespace) -> int:
    return launch(options, "rollback_job", "Returning to a former champion", print_champion)
