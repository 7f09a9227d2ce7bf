"""``retention``: old runs and versions that were never promoted."""

from __future__ import annotations

import argparse
import subprocess
from typing import Any

from wine_quality.cli.exits import BAD_USE, fail
from wine_quality.cli.job import launch, output_metadata
from wine_quality.cli.on_platform import add_platform
from wine_quality.cli.options import (
    MLFLOW,
    VERSION_FIELD,
    add_experiment,
    add_field,
    add_run_config,
)

_ROWS = 20
_OLD = "ops.remove_old.config"
_DRY_RUN = f"{_OLD}.dry_run"
_PASSED_ON = {
    "--days": f"{_OLD}.days",
    "--experiment": f"{MLFLOW}.experiment_name",
    "--mlflow": VERSION_FIELD,
    "--tracking-uri": f"{MLFLOW}.tracking_uri",
    "--registry-uri": f"{MLFLOW}.registry_uri",
}


def add_options(command: argparse.ArgumentParser) -> None:
    text = "age in days of what is old (90)"
    add_field(command, "--days", f"{_OLD}.days", type=float, help=text)
    text = "remove them (without it: only show)"
    add_field(command, "--delete", _DRY_RUN, action="store_const", const=False, help=text)
    add_experiment(command)
    add_run_config(command)
    add_platform(command)


def retention(options: argparse.Namespace) -> int:
    if options.on == "compose":
        return _in_container(options)
    doing = "Looking for old runs and versions"
    return launch(options, "retention_job", doing, _print_retention)


def _in_container(options: argparse.Namespace) -> int:
    """Run it in the code location's container, where the servers' addresses and its keys are.

    Returns:
        Its exit code; 1 when there is no such container, 2 when an option has no place there.
    """
    from wine_quality.stack.settings import StackError
    from wine_quality.upkeep.containers import find_containers

    if options.config:
        return fail("--config names a file of this machine; give options instead", BAD_USE)
    try:
        containers = find_containers(options.project)
        code = containers.of("dagster-code")
    except StackError as error:
        return fail(error)
    # The image's entry point reads the container's secret files.
    command = [containers.engine, "exec", code, "/bin/sh", "/opt/with-secrets.sh"]
    command += ["python", "-m", "wine_quality", "retention", *_given(options)]
    return subprocess.run(command, stdin=subprocess.DEVNULL).returncode


def _given(options: argparse.Namespace) -> list[str]:
    given = vars(options)
    arguments = ["--delete"] if given[_DRY_RUN] is False else []
    arguments += ["--verbose"] if options.verbose else []
    for option, name in _PASSED_ON.items():
        if given[name] is not None:
            arguments += [option, str(given[name])]
    return arguments


def _print_retention(result: Any, key: str) -> None:
    found = output_metadata(result)
    records = found.pop("oldest").records
    totals = {name: entry.value for name, entry in found.items()}
    print(f"\n{'ended':<18}{'run':<34}{'versions':<10}{'children':<10}name")
    for row in (record.data for record in records[:_ROWS]):
        print(
            f"{row['ended']:<18}{row['run']:<34}{row['versions']:<10}{row['children']:<10}"
            f"{row['name']}"
        )
    left = totals["runs"] - len(records[:_ROWS])
    print(f"… and {left} more" if left > 0 else "")
    size = "" if totals["measured_runs"] >= totals["runs"] else "about "
    removed = f"{totals['removed_runs']} runs and {totals['removed_versions']} versions are removed"
    files = "; their files go by `make gc`"
    done = "a dry run: ARGS=--delete removes them" if totals["dry_run"] else removed + files
    print(f"""runs           {totals["runs"]} and {totals["children"]} below them, {size}\
{totals["megabytes"]:g} MB ({totals["kept_runs"]} stay)
versions       {totals["versions"]} ({totals["kept_versions"]} stay)
               {done}""")
