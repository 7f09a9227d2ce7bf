"""``python -m wine_quality predict``: rows scored by the champion, or a version, into Parquet."""

from __future__ import annotations

import argparse
from typing import Any

OPTIONS = ("source", "output", "predict", "key", "reject_bad_rows")
"""Of this command; other commands' options have no value here."""


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "source", nargs="?", help="Parquet or CSV: a path, folder/, s3:// or https:// (red wine)"
    )
    command.add_argument("--out", dest="output", help="Parquet file, or folder, local or s3://")
    command.add_argument("--version", dest="predict", help="number of a version (the champion)")
    command.add_argument("--key", type=_names, help="columns that name a row: id or shop,day")
    command.add_argument(
        "--reject-bad-rows",
        action="store_true",
        default=None,
        help="put rows that cannot be scored into a file of their own (without it: fail)",
    )


def run_config_fields(options: argparse.Namespace) -> dict[tuple[str, ...], Any]:
    """Fields of run config by their path; None where the option was not given."""
    fields = {
        "source": options.source,
        "output": options.output,
        "version": options.predict,
        "key": options.key,
        "reject_bad_rows": options.reject_bad_rows,
    }
    return {
        ("ops", "batch_predictions", "config", name): value
        for name, value in fields.items()
        if options.command == "predict"
    }


def print_predictions(result: Any) -> None:
    """What a run of the job has made."""
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
