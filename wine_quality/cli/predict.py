"""``predict``: rows scored by the champion, or a version, into Parquet."""

from __future__ import annotations

import argparse
from typing import Any

from wine_quality.cli.job import launch
from wine_quality.cli.options import add_field, add_model, add_run_config


def add_options(command: argparse.ArgumentParser) -> None:
    place = "ops.batch_predictions.config"
    text = "a path, folder/, s3://, https:// or postgresql://…?table=… (the packaged red wines)"
    command.add_argument(f"{place}.source", metavar="source", nargs="?", help=text)
    text = "Parquet file, or folder, local or s3:// (predictions in $WINE_QUALITY_HOME)"
    add_field(command, "--out", f"{place}.output", help=text)
    text = "number of a version (the champion)"
    add_field(command, "--version", f"{place}.version", help=text)
    text = "columns that name a row: id or shop,day"
    add_field(command, "--key", f"{place}.key", type=_names, help=text)
    command.add_argument(
        "--reject-bad-rows",
        dest=f"{place}.reject_bad_rows",
        action="store_true",
        default=None,
        help="put rows that cannot be scored into a file of their own (without it: fail)",
    )
    add_model(command)
    add_run_config(command)


def predict(options: argparse.Namespace) -> int:
    return launch(
        options, "predictions_job", "Scoring rows", _print_predictions, ["champion_model"]
    )


def _print_predictions(result: Any, key: str) -> None:
    (made,) = (
        event.materialization.metadata
        for event in result.all_events
        if event.event_type_value == "ASSET_MATERIALIZATION"
    )
    found = {name: entry.value for name, entry in made.items()}
    mean = "" if found.get("mean") is None else f", mean {found['mean']:.6f}"
    rejected = f", {found['rejected_rows']} put aside" if found["rejected_rows"] else ""
    print(f"""
model          {found["model"]} version {found["version"]}
rows           {found["rows"]}{rejected}{mean}
rows/second    {found["rows_per_second"]}
inputs         sha256 {found["inputs_sha256"]}
file           {found["file"]}""")
    if "rejects" in found:
        print(f"rejects        {found['rejects']}")


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]
