"""List the accepted files, or forget one."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from wine_quality.cli.exits import BAD_USE, fail
from wine_quality.escaping import escaped
from wine_quality.paths import dagster_home_in_use

if TYPE_CHECKING:
    from wine_quality.history.wine_history import WineHistory


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", nargs="?", help="key, name or URL (without it: list all)")


def forget(options: argparse.Namespace) -> int:
    """0 when it was done, 1 when the history cannot be used, 2 when the file is not in it."""
    os.environ["DAGSTER_HOME"] = str(dagster_home_in_use())
    from wine_quality.history.wine_history import HistoryError, WineHistory
    from wine_quality.sources.transfer import SourceError

    file, history = options.file, WineHistory()
    try:
        if file is None:
            _print_files(history)
            return 0
        matching = _matching_keys(history, file)
        if len(matching) == 1:
            _forget(history, matching[0])
            return 0
    except (HistoryError, SourceError) as error:
        return fail(error)
    found = (
        f"{file!r} is the name of {', '.join(matching)}" if matching else f"there is no {file!r}"
    )
    return fail(f"{found}. `make forget` lists the accepted files.", BAD_USE)


def _print_files(history: WineHistory) -> None:
    from wine_quality.history.wine_history import HistoryError

    keys = history.all_keys()
    for key in keys:
        try:
            file = history.find(key)
            print(f"{key}  {file.arrived}  {file.rows} rows  {escaped(file.source)}")
        except HistoryError as error:
            print(f"{key}  {error}")
    print(f"{len(keys)} file(s) in {history.base}.")


def _matching_keys(history: WineHistory, file: str) -> list[str]:
    """Keys of the files that a person may mean by a key, a URL, a path or a name."""
    from wine_quality.history.accepted_files import key_of

    keys = history.all_keys()
    for wanted in (file, key_of(file)):
        if wanted in keys:
            return [wanted]
    # A key is the file's name, a dash and a fingerprint.
    return [key for key in keys if key.rpartition("-")[0] == file]


def _forget(history: WineHistory, key: str) -> None:
    from dagster import DagsterInstance

    from wine_quality.defs.data.wine_files import forget_file

    history.forget(key)
    with DagsterInstance.get() as instance:
        forget_file(instance, key)
    print(f"{key} is forgotten. Models that were trained on it stay as they are.")
