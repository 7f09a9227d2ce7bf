"""``promote``: make the challenger, or a version, the champion."""

from __future__ import annotations

import argparse
from typing import Any

from wine_quality.cli.job import launch, output_metadata
from wine_quality.cli.options import add_field, add_model, add_run_config


def add_options(command: argparse.ArgumentParser) -> None:
    text = "number of the version (the challenger)"
    add_field(command, "--version", "ops.promote_version.config.version", help=text)
    add_model(command)
    add_run_config(command)


def promote(options: argparse.Namespace) -> int:
    return launch(options, "promotion_job", "Promoting a version", print_champion)


def print_champion(result: Any, key: str) -> None:
    """Print the version that has the role now, and the one that had it before."""
    found = {name: entry.value for name, entry in output_metadata(result).items()}
    print(f"""
model          {found["model"]}
champion       version {found["champion"]} (before: {found["before"]})""")
