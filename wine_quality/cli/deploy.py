"""``deploy``: write what serves a version, and apply it to a target."""

from __future__ import annotations

import argparse
from typing import Any

from wine_quality.cli.job import launch
from wine_quality.cli.options import add_field, add_model, add_run_config
from wine_quality.deployment.targets import target_names


def add_options(command: argparse.ArgumentParser) -> None:
    place = "ops.model_deployment.config"
    text = "number of a version (the champion)"
    add_field(command, "--version", f"{place}.version", help=text)
    targets = ["none", "local", *target_names()]
    text = "what it is applied to (none: only files); local: wait for `make serve`"
    add_field(command, "--target", f"{place}.target", choices=targets, help=text)
    add_field(command, "--context", f"{place}.kubernetes_context", help="Kubernetes context")
    add_model(command)
    add_run_config(command)


def deploy(options: argparse.Namespace) -> int:
    doing = "Writing what serves the model"
    return launch(options, "deployment_job", doing, _print_deployment, ["champion_model"])


def _print_deployment(result: Any, key: str) -> None:
    (made,) = (
        event.materialization.metadata
        for event in result.all_events
        if event.event_type_value == "ASSET_MATERIALIZATION"
    )
    print(f"""
model          {made["model"].value} version {made["version"].value}
files          {made["files"].value}
deployed to    {made["deployed_to"].value}""")
