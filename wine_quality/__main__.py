"""Train, promote, serve and deploy the wine-quality model; in a checkout, see `make help` too."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import signal
import sys
from types import ModuleType
from typing import NoReturn

from wine_quality.environments.mlflow_versions import reexec_by_usable_path
from wine_quality.execution import startup
from wine_quality.terminal import escape_unprintable

# A command NAME is the function NAME of wine_quality/cli/NAME.py; its options stand beside it.
COMMANDS = {
    "run": "materialize all assets and print the result",
    "sweep": "cross-validate a grid and offer the best point",
    "promote": "make the challenger, or a version, the champion",
    "rollback": "withdraw the champion for the one before",
    "deploy": "write model repository and manifests of a version; apply them to a target",
    "predict": "score files of any size with the champion, or a version",
    "retention": "show, or remove, old runs and versions that were never promoted",
    "gc": "show, or remove, files of deleted runs and without a run",
    "metrics": "show, upgrade or fill the metrics history in $WINE_QUALITY_METRICS_URL",
    "serve": "serve the champion over REST and gRPC (V2 protocol)",
    "image": "image that serves a version, or its build context",
    "trust": "sign versions registered before versions were signed",
    "compare": "runs of several MLflow versions side by side",
    "forget": "list the files to train on, or forget one",
    "up": "start the Dagster and MLflow UIs; Ctrl-C stops all",
    "stack": "start, stop or show the platform as local processes",
    "backup": "copy the local stack's databases and buckets",
    "restore": "restore a backup into a stopped stack",
    "upgrade": "take a version's store over to a newer version; without --apply: a dry run",
    "renew": "another PostgreSQL, store, Dagster or MLflow for the local stack's data",
    "move": "copy what one server or store has to another; without --apply: a dry run",
}


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"wine_quality.cli.{name}")


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """
    Args:
        only: The one command whose options are needed, since its module takes time to import.
    """
    main = argparse.ArgumentParser(prog="python -m wine_quality", description=__doc__)
    commands = main.add_subparsers(dest="command", required=True)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if only in (None, name):
            _module(name).add_options(command)
    return main


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    name = given[0] if given else ""
    if name in COMMANDS and importlib.util.find_spec("dagster") is None:
        print(
            f"error: {sys.executable} has no dagster. `make {name}` builds the project's "
            "environment and uses it.",
            file=sys.stderr,
        )
        return 2
    options = parser(name).parse_args(given)
    return getattr(_module(name), name)(options)


def command() -> NoReturn:
    """The console script ``wine-quality``; ends the process with the command's exit code."""
    reexec_by_usable_path()
    escape_unprintable()
    # A shell that starts this in the background has SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = main()
        startup.end()
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        code = 130
    if code == 130:
        _forget_interrupt()
    sys.exit(code)


def _forget_interrupt() -> None:
    """Have Python end with the exit code, not by SIGINT.

    It does the latter, though the exception was caught, where code that C runs, as in an import,
    saw the interrupt; each code that C runs has it forget that.
    """
    import ctypes

    ctypes.pythonapi.PyRun_SimpleString(b"")


if __name__ == "__main__":
    command()
