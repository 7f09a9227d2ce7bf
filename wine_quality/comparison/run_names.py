"""How people name the runs that they want to compare. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.escaping import ShownError
from wine_quality.tracking.servers.addresses import WHICH_MLFLOW

_MLFLOW_RUN = re.compile(r"[0-9a-f]{32}")
_DAGSTER_RUN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RUN_IN_LINK = re.compile(rf"/runs/({_DAGSTER_RUN.pattern}|{_MLFLOW_RUN.pattern})(?![0-9a-f-])")


class RunNameError(ShownError, ValueError):
    """The text does not name a run; the message explains how runs are named."""


@dataclass(frozen=True)
class RunName:
    """A run by the name that the user gave.

    Attributes:
        text: As it was given.
        mlflow_run: Its id in MLflow, or empty.
        dagster_run: The id of the Dagster run that made it, or empty.
        version: Key of the MLflow version to look in; None: all.
        server: Of a link; empty where none was given, or the link leads to an embedded store.
    """

    text: str
    mlflow_run: str = ""
    dagster_run: str = ""
    version: str | None = None
    server: str = ""


def parse_run_names(texts: list[str]) -> list[RunName]:
    """The runs, each once; one text may name several, with spaces or commas between.

    Raises:
        RunNameError: one of them does not name a run.
    """
    found = [part for text in texts for part in re.split(r"[\s,]+", text) if part]
    return [parse_run_name(part) for part in dict.fromkeys(found)]


def parse_run_name(text: str) -> RunName:
    """A run id of MLflow or Dagster, ``version:id``, or the address of the run's page.

    Raises:
        RunNameError: it is none of these.
    """
    if "://" in text:
        return _of_link(text)
    key, colon, run_id = text.rpartition(":")
    if colon and key not in MLFLOW_VERSIONS:
        raise _no_run(
            text, f"there is no MLflow version {key!r} here ({', '.join(MLFLOW_VERSIONS)})"
        )
    return _of_id(text, run_id.lower(), key or None, "")


def _of_link(text: str) -> RunName:
    """MLflow's pages have the run behind the ``#``, Dagster's in the path."""
    found = _RUN_IN_LINK.search(unquote(text))
    if found is None:
        raise _no_run(text, "the address has no /runs/ followed by a run's id")
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises where it is not a number
    except ValueError as error:
        raise _no_run(text, str(error)) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _no_run(text, "the address does not begin with http:// or https://")
    if f"{parts.path}/".startswith(WHICH_MLFLOW):
        # The way from Dagster's page to the UI of an embedded store.
        key = parts.path.removeprefix(WHICH_MLFLOW).split("/")[0]
        if key in MLFLOW_VERSIONS:
            return _of_id(text, found[1], key, "")
    if _DAGSTER_RUN.fullmatch(found[1]):
        return _of_id(text, found[1], None, "")
    path = parts.path.partition("/experiments/")[0].rstrip("/")
    return _of_id(text, found[1], None, f"{parts.scheme}://{parts.netloc}{path}")


def _of_id(text: str, run_id: str, version: str | None, server: str) -> RunName:
    if _MLFLOW_RUN.fullmatch(run_id):
        return RunName(text, mlflow_run=run_id, version=version, server=server)
    if _DAGSTER_RUN.fullmatch(run_id):
        return RunName(text, dagster_run=run_id, version=version, server=server)
    raise _no_run(text, "it is neither 32 hexadecimal digits nor a Dagster run's id")


def _no_run(text: str, why: str) -> RunNameError:
    return RunNameError(
        f"{text!r} names no run: {why}. A run is named by its id in MLflow or in Dagster, by "
        "VERSION:ID such as 2.1.1:082c239b4ee54bef83e9927de3b51aa3, or by the address of its page."
    )
