"""Finds the runs to compare in every store, each version's in a process of its own environment."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wine_quality.comparison.compared_run import ComparedRun
from wine_quality.comparison.run_names import RunName
from wine_quality.comparison.stores import Store
from wine_quality.environments.mlflow_versions import (
    EnvironmentMissingError,
    MlflowVersion,
    get_version,
)
from wine_quality.escaping import ShownError, escaped
from wine_quality.paths import PROJECT_ROOT

METRIC = "rmse"
"""By which a run is the best of its version, the lowest first."""
_READ_SECONDS = 120


class NothingToCompareError(ShownError, LookupError):
    """A run was not found, or there is none; the message names the stores that were searched."""


@dataclass(frozen=True)
class Reading:
    """The runs found in the stores, and the stores that were searched.

    Attributes:
        runs: Those found, in the order of the stores.
        searched: Each store, with the error if it could not be read.
    """

    runs: list[ComparedRun]
    searched: list[str]

    def where(self) -> str:
        """The stores in words, for the end of a sentence."""
        return "; ".join(self.searched) or (
            "no store: nothing was tracked in this home yet, no `make stack` runs over it, and no "
            "variable names a server"
        )


def named_runs(names: Sequence[RunName], stores: Sequence[Store]) -> list[ComparedRun]:
    """The runs in the order of their names; one that several stores have, from each of them.

    Args:
        names: Whose Dagster runs were looked up where that is known.

    Raises:
        NothingToCompareError: one was found nowhere.
    """
    reading = collect_runs(
        [store for store in stores if _is_wanted(store, names)],
        mlflow_runs=[name.mlflow_run for name in names if name.mlflow_run],
        dagster_runs=[name.dagster_run for name in names if not name.mlflow_run],
    )
    found: dict[tuple[str, str], ComparedRun] = {}
    for name in names:
        mine = [run for run in reading.runs if _matches(run, name)]
        if not mine:
            of_version = f" of MLflow {name.version}" if name.version else ""
            raise NothingToCompareError(
                f"The run {name.text} was found in no store{of_version}. Searched: "
                f"{reading.where()}."
            )
        found.update({(run.store, run.run_id): run for run in mine})
    return list(found.values())


def best_runs(stores: Sequence[Store], experiment: str) -> tuple[list[ComparedRun], Reading]:
    """The best finished run of each version by the metric ``METRIC``, over all of its stores.

    Args:
        experiment: Name of the MLflow experiment, which is the same in every store.

    Returns:
        The runs, newest version first, and the whole reading.

    Raises:
        NothingToCompareError: no store has a finished run of the experiment.
    """
    reading = collect_runs(stores, best_in=experiment)
    best: dict[str, ComparedRun] = {}
    for run in reading.runs:
        known = best.get(run.version)
        if known is None or run.metrics[METRIC] < known.metrics[METRIC]:
            best[run.version] = run
    if not best:
        raise NothingToCompareError(
            f"There is nothing to compare: no finished run of the experiment {experiment!r} with "
            f"the metric {METRIC}. Searched: {reading.where()}. `make run` makes one."
        )
    newest_first = sorted(best.values(), key=lambda run: -get_version(run.version).major)
    return newest_first, reading


def collect_runs(stores: Sequence[Store], **wanted: Any) -> Reading:
    """Ask all stores, those of different versions at the same time.

    Args:
        wanted: Fields of ``read_runs.Request``.
    """
    versions = dict.fromkeys(store.version for store in stores)
    started = {key: _Reader(key, stores, wanted) for key in versions}
    answers = {key: reader.answers() for key, reader in started.items()}
    runs: list[Mapping[str, Any]] = []
    searched: list[str] = []
    tried: dict[str, list[tuple[str, str]]] = {}
    for store in stores:
        answer = answers[store.version][store.uri]
        runs += answer["runs"]
        tried.setdefault(store.uri, []).append((store.title, answer["error"]))
    for outcomes in tried.values():
        # For a server of unknown version, the clients that do not fit are left out.
        good = [title for title, error in outcomes if not error]
        searched += good or [f"{title} – not read: {error}" for title, error in outcomes[:1]]
    return Reading(list(_each_once(runs)), searched)


def _each_once(runs: Iterable[Mapping[str, Any]]) -> Iterable[ComparedRun]:
    seen = set()
    for plain in runs:
        run = ComparedRun.from_plain(plain)
        # Two addresses may lead to one server.
        mark = (run.version, run.run_id, run.experiment, run.started, run.store)
        if mark not in seen:
            seen.add(mark)
            yield run


class _Reader:
    """A process that reads the stores of one version."""

    def __init__(self, key: str, stores: Sequence[Store], wanted: Mapping[str, Any]) -> None:
        self._stores = {store.uri: store.title for store in stores if store.version == key}
        self._version = get_version(key)
        self._asked = json.dumps({"version": key, "stores": self._stores, **wanted})
        self._process, self._missing = self._start()

    def _start(self) -> tuple[subprocess.Popen[str] | None, str]:
        try:
            command = reading_command(self._version)
        except EnvironmentMissingError as error:
            return None, str(error)
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self._version.process_variables(), "PYTHONPATH": str(PROJECT_ROOT)},
        )
        assert process.stdin is not None
        process.stdin.write(self._asked)
        process.stdin.close()
        process.stdin = None
        return process, ""

    def answers(self) -> dict[str, dict[str, Any]]:
        """The answers by URI; an error of the process is the error of each."""
        if self._process is None:
            return self._all_failed(self._missing)
        try:
            output, errors = self._process.communicate(timeout=_READ_SECONDS)
        except subprocess.TimeoutExpired:
            return self._all_failed(f"no answer within {_READ_SECONDS} s")
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.communicate()
        if self._process.returncode:
            last = errors.strip().splitlines()[-1:] or [f"exit code {self._process.returncode}"]
            return self._all_failed(escaped(last[0])[:300])
        return {answer["uri"]: answer for answer in json.loads(output)}

    def _all_failed(self, why: str) -> dict[str, dict[str, Any]]:
        return {uri: {"runs": [], "error": why} for uri in self._stores}


def reading_command(version: MlflowVersion) -> list[str]:
    """The command; raises ``EnvironmentMissingError`` when the environment is not built."""
    python = str(version.require_python())
    return [python, "-W", "ignore", "-m", "wine_quality.comparison.read_runs"]


def _is_wanted(store: Store, names: Sequence[RunName]) -> bool:
    return any(name.version in (None, store.version) for name in names)


def _matches(run: ComparedRun, name: RunName) -> bool:
    if name.version not in (None, run.version):
        return False
    if name.mlflow_run:
        return run.run_id == name.mlflow_run
    return run.dagster_run == name.dagster_run


def with_addresses(runs: Iterable[ComparedRun], dagster: str) -> list[ComparedRun]:
    """Runs whose link is a path below Dagster's address get a whole one, or none.

    Args:
        dagster: The address of the running Dagster UI; empty when none runs.
    """
    return [
        replace(run, url=f"{dagster}{run.url}" if dagster else "")
        if run.url.startswith("/")
        else run
        for run in runs
    ]
