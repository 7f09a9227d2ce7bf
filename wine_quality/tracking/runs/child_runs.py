"""Runs below an MLflow run: the points of a sweep.

They are in an experiment of their own, beside that of the run: a hundred of them would fill the
first page of its runs, even where MLflow folds them. Older commits wrote them into the run's own
experiment, so children are looked for in both.

Each child is made, filled by one ``log_batch`` and ended, in a thread of its own: an interruption
comes to the main thread, so the child that is just being written is finished and no other begun.
A kill of the whole process may leave one RUNNING; ``end_running_children`` finds it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

PARENT_TAG = "mlflow.parentRunId"
NAME_TAG = "mlflow.runName"
_PAGE = 1000
_APART = "/sweeps"
_APART_OF_PATH = "-sweeps"
# Of PostgreSQL's column in all versions.
_NAME_LIMIT = 256
# A person who waits wants to see that it goes on.
_REPORT_SECONDS = 5.0
_GRACE_SECONDS = 3.0


@dataclass(frozen=True)
class ChildRun:
    """Name, parameters and metrics of one child run.

    Attributes:
        name: Unique among the children of one parent.
        metrics: By name; each a series, one value a step.
    """

    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, Sequence[float]]


def children_experiment(experiment_name: str) -> str:
    """The name of the experiment that the children of its runs are in.

    On Databricks, whose names are absolute paths, an experiment can have none below it.
    """
    apart = experiment_name + (_APART_OF_PATH if experiment_name.startswith("/") else _APART)
    return apart if len(apart) <= _NAME_LIMIT else experiment_name


def experiments_with_children(client: Any, experiment_id: str) -> list[str]:
    """Ids of the experiments that may hold children of the runs of one."""
    name = client.get_experiment(experiment_id).name
    # Those of absolute paths, too, were in the first once.
    names = dict.fromkeys([name + _APART, children_experiment(name)])
    apart = [client.get_experiment_by_name(one) for one in names if len(one) <= _NAME_LIMIT]
    found = [experiment.experiment_id for experiment in apart if experiment is not None]
    return list(dict.fromkeys([experiment_id, *found]))


class ChildRuns:
    """Writes the children of one MLflow run.

    Args:
        experiment_id: Of the parent.
        apart_id: Of the experiment that the children go to.
    """

    def __init__(self, client: Any, experiment_id: str, apart_id: str, parent_id: str) -> None:
        self._client = client
        self._parents_experiment = experiment_id
        self.experiment_id = apart_id
        self._parent_id = parent_id

    @contextmanager
    def writing(self, children: Iterable[ChildRun], say: Callable[[str], None]) -> Iterator[None]:
        """Write them while the block does other work; all are written when it is left.

        Those of an earlier try of the step are left as they are, and only the others written.
        """
        there = self._finished_names()
        missing = [child for child in children if child.name not in there]
        if there:
            say(f"{len(there)} child runs are there already; {len(missing)} are left.")
        writer = _Writer(self._write_one, missing)
        try:
            yield
            writer.wait(say)
        finally:
            writer.stop()
        say(f"{len(missing)} child runs are written.")

    def _write_one(self, child: ChildRun) -> None:
        from mlflow.entities import Metric, Param

        run = self._client.create_run(
            self.experiment_id, tags={PARENT_TAG: self._parent_id, NAME_TAG: child.name}
        )
        now = int(time.time() * 1000)
        self._client.log_batch(
            run.info.run_id,
            params=[Param(key, str(value)) for key, value in child.params.items()],
            metrics=[
                Metric(key, value, now, step)
                for key, series in child.metrics.items()
                for step, value in enumerate(series)
            ],
        )
        self._client.set_terminated(run.info.run_id)

    def _finished_names(self) -> set[str]:
        found = _children(self._client, self._parents_experiment, self._parent_id, "FINISHED")
        return {run.data.tags.get(NAME_TAG, "") for run in found}


class _Writer:
    """Writes children one after the other in a daemon thread."""

    def __init__(self, write: Callable[[ChildRun], None], children: Sequence[ChildRun]) -> None:
        self._write, self._children = write, children
        self._written = 0
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        # A daemon: a server that hangs must not keep a cancelled process from ending.
        self._thread = threading.Thread(target=self._work, name="child-runs", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            for child in self._children:
                if self._stopped.is_set():
                    return
                self._write(child)
                self._written += 1
        except BaseException as error:
            self._error = error

    def wait(self, say: Callable[[str], None]) -> None:
        """Wait until all are written, with a line of progress now and then.

        Raises:
            Exception: any error of the writing of a child.
        """
        while self._thread.is_alive():
            self._thread.join(_REPORT_SECONDS)
            if self._thread.is_alive():
                say(f"{self._written} of {len(self._children)} child runs are written …")
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Have the child that is just being written ended, unless that takes too long."""
        self._stopped.set()
        self._thread.join(_GRACE_SECONDS)


def end_running_children(client: Any, experiment_id: str, parent_id: str, status: str) -> int:
    """End the children that are still RUNNING as their parent is; returns how many were.

    Of a parent that is FINISHED they are FAILED: an earlier try of its step broke off there.
    """
    # All of them first: ending one moves those behind it to another page.
    left = list(_children(client, experiment_id, parent_id, "RUNNING"))
    for run in left:
        client.set_terminated(run.info.run_id, "FAILED" if status == "FINISHED" else status)
    return len(left)


def _children(client: Any, experiment_id: str, parent_id: str, status: str) -> Iterator[Any]:
    token = None
    experiments = experiments_with_children(client, experiment_id)
    wanted = f"tags.`{PARENT_TAG}` = '{parent_id}' and attributes.status = '{status}'"
    while True:
        page = client.search_runs(experiments, wanted, max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
