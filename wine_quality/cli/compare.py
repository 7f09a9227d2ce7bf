"""``python -m wine_quality compare``: runs of several MLflow versions and servers side by side."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.cli.exits import BAD_USE, fail
from wine_quality.comparison.run_names import RunNameError, parse_run_names
from wine_quality.comparison.stores import known_stores
from wine_quality.escaping import ShownError
from wine_quality.paths import home, running_ui

if TYPE_CHECKING:
    from wine_quality.comparison.compared_run import ComparedRun


class PageNotWrittenError(ShownError, OSError):
    """The HTML page cannot be written; the message names the file and the reason."""


def add_options(command: argparse.ArgumentParser) -> None:
    text = "ids in MLflow or Dagster, VERSION:ID or links; none: the best ones"
    command.add_argument("runs", nargs="*", help=text)
    command.add_argument("--out", help="the HTML page ($WINE_QUALITY_HOME/compare.html)")
    text = "print JSON in place of the table"
    command.add_argument("--json", action="store_true", help=text)
    command.add_argument("--experiment", help="of the best runs (wine_quality_experiment1)")
    text = "a further server; may be repeated"
    command.add_argument("--tracking-uri", action="append", help=text)


def compare(options: argparse.Namespace) -> int:
    """0 when the runs are shown, 1 when one was not found or the page not written, 2 on bad use."""
    from wine_quality.comparison.collect import NothingToCompareError

    try:
        names = parse_run_names(options.runs)
    except RunNameError as error:
        return fail(error, BAD_USE)
    page = Path(options.out).absolute() if options.out else home() / "compare.html"
    try:
        runs, left_out = _found(names, options)
        _write(runs, page)
    except (NothingToCompareError, PageNotWrittenError) as error:
        return fail(error)
    if options.json:
        print(json.dumps(as_plain(runs, page, left_out), indent=1, ensure_ascii=False))
    else:
        _print(runs, page, left_out)
    return 0


def _found(names: list, options: argparse.Namespace) -> tuple[list[ComparedRun], list[str]]:
    """The runs, and which stores could not be read or had none."""
    from wine_quality.comparison.collect import best_runs, named_runs, with_addresses
    from wine_quality.comparison.dagster_runs import look_up
    from wine_quality.project import EXPERIMENT

    servers = [*(options.tracking_uri or []), *(name.server for name in names)]
    stores = known_stores(servers)
    left_out: list[str] = []
    if names:
        names, of_dagster = look_up(names)
        known = {(store.version, store.uri) for store in stores}
        stores += [store for store in of_dagster if (store.version, store.uri) not in known]
        print("Looking for the runs …", file=sys.stderr)
        runs = named_runs(names, stores)
    else:
        experiment = options.experiment or EXPERIMENT
        print(f"Looking for the best run of each version in {experiment} …", file=sys.stderr)
        runs, reading = best_runs(stores, experiment)
        shown = {run.store for run in runs}
        left_out = [one for one in reading.searched if one not in shown]
    return with_addresses(runs, running_ui() or ""), left_out


def _write(runs: Sequence[ComparedRun], page: Path) -> None:
    from wine_quality.comparison.page import write_page

    try:
        write_page(runs, page)
    except OSError as error:
        why = error.strerror or error
        raise PageNotWrittenError(f"the page {page} cannot be written: {why}") from error


def _print(runs: Sequence[ComparedRun], page: Path, left_out: Sequence[str]) -> None:
    from wine_quality.comparison.table import as_text, remarks, title_of

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(f"\n{as_text(runs, width)}")
    for remark in remarks(runs):
        print(remark)
    for one in left_out:
        print(f"Searched too: {one}")
    print()
    for run in runs:
        if run.url:
            print(f"{title_of(run):<14} {run.url}")
    print(f"page           {page}")


def as_plain(
    runs: Sequence[ComparedRun], page: Path, left_out: Sequence[str] = ()
) -> dict[str, Any]:
    """For ``--json``: the runs, the names of the rows that differ, and where the page is."""
    from wine_quality.comparison.table import remarks, sections

    return {
        "runs": [_finite(asdict(run)) for run in runs],
        "differs": {
            section.title: [row.name for row in section.rows if row.differs]
            for section in sections(runs)
        },
        "remarks": remarks(runs),
        "searched_too": list(left_out),
        "page": str(page),
    }


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
