"""Retention: old runs to remove, each with its versions and children, and the order of removal.

Of a run its versions go first, then its children, then itself. An interruption may
leave a run whose versions are gone, which the next pass takes; never a version whose run is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from wine_quality.tracking.runs.child_runs import PARENT_TAG, experiments_with_children
from wine_quality.tracking.runs.run_tags import RUN_TAG
from wine_quality.upkeep.kept_versions import RegistryVersions, may_go, read_registry_versions

RETIRED_TAG = "wine_quality.retired"
"""On a run that a retention deleted: when, as ISO 8601 in UTC. `make gc` purges no others."""

_ENDED = ("FINISHED", "FAILED", "KILLED")
_PAGE = 500
_REPORT = 500


@dataclass(frozen=True)
class OldRun:
    """A run that may go; without id these are versions whose run is gone already.

    Attributes:
        ended: Milliseconds since 1970; 0 without a run.
        versions: Numbers of its versions, all of which may go.
        children: Runs below it, such as the points of a sweep.
    """

    run_id: str
    name: str
    ended: int
    versions: tuple[str, ...]
    children: int


@dataclass(frozen=True)
class Plan:
    """The runs that may be removed, oldest first, and how many versions stay.

    Attributes:
        seen: Runs that began before the limit, children not counted.
        kept_versions: Versions of the model that stay.
    """

    runs: list[OldRun]
    seen: int
    kept_versions: int


class Retention:
    """Removes old runs of one experiment and one registered model on a tracking server.

    Args:
        client: An ``MlflowClient`` of any version.
        before: Milliseconds since 1970: what is younger stays.
        say: Gets a line of progress now and then.
    """

    def __init__(
        self,
        client: Any,
        experiment_id: str,
        model: str,
        before: int,
        say: Callable[[str], None],
    ) -> None:
        self._client, self._experiment_id, self._model = client, experiment_id, model
        self._with_children = experiments_with_children(client, experiment_id)
        self._before, self._say = before, say

    def plan(self) -> Plan:
        """Ask, change nothing. Some 300 bytes are held for each run that may go."""
        versions = read_registry_versions(self._client, self._model, self._before, self._say)
        candidates: dict[str, tuple[str, int]] = {}
        children: Counter[str] = Counter()
        busy: set[str] = set()
        seen = 0
        for number, run in enumerate(self._began_before(), 1):
            if number % (10 * _PAGE) == 0:
                self._say(f"{number} runs are looked at …")
            parent = run.data.tags.get(PARENT_TAG)
            if parent:
                children[parent] += 1
                if not self._is_old(run):
                    busy.add(parent)
                continue
            if run.info.experiment_id != self._experiment_id:
                continue  # a user's own run, among the children
            seen += 1
            if RUN_TAG in run.data.tags and self._is_old(run):
                name = run.data.tags.get("mlflow.runName", "")
                candidates[run.info.run_id] = (name, run.info.end_time)
        runs = [
            OldRun(run_id, name, ended, tuple(versions.old.get(run_id, ())), children[run_id])
            for run_id, (name, ended) in candidates.items()
            if run_id not in versions.held and run_id not in busy
        ]
        gone = self._versions_without_run(versions, set(candidates))
        kept = versions.kept + sum(map(len, versions.old.values()))
        kept -= sum(len(run.versions) for run in [*runs, *gone])
        return Plan([*gone, *runs], seen, kept)

    def carry_out(self, plan: Plan) -> tuple[int, int]:
        """Remove what is planned, each looked at once more.

        Returns:
            How many runs (children not counted) and versions were removed.
        """
        runs = versions = 0
        for number, old in enumerate(plan.runs, 1):
            removed = self._remove_versions(old)
            versions += removed
            if old.run_id and removed == len(old.versions):
                runs += self._remove_run(old.run_id)
            if number % _REPORT == 0:
                self._say(f"{number} of {len(plan.runs)}: {runs} runs, {versions} versions …")
        return runs, versions

    def bytes_of(self, run_id: str) -> int:
        """Size of the files of a run; of MLflow 3's also of its model."""
        return sum(self._sizes(run_id, None)) + self._model_bytes(run_id)

    def _model_bytes(self, run_id: str) -> int:
        """MLflow 3 keeps the model beside the run and lists it under the run's name."""
        listed = {entry.path for entry in self._client.list_artifacts(run_id)}
        return 0 if "model" in listed else sum(self._sizes(run_id, "model"))

    def _sizes(self, run_id: str, path: str | None) -> Iterator[int]:
        for entry in self._client.list_artifacts(run_id, path):
            if entry.is_dir:
                yield from self._sizes(run_id, entry.path)
            else:
                yield entry.file_size or 0

    def _began_before(self) -> Iterator[Any]:
        """Every run of the experiment that began before the limit, children included."""
        token = None
        while True:
            page = self._client.search_runs(
                self._with_children,
                f"attributes.start_time < {self._before}",
                max_results=_PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _is_old(self, run: Any) -> bool:
        ended = run.info.end_time
        return run.info.status in _ENDED and bool(ended) and ended < self._before

    def _versions_without_run(self, versions: RegistryVersions, known: set[str]) -> list[OldRun]:
        return [
            OldRun("", "", 0, tuple(numbers), 0)
            for run_id, numbers in versions.old.items()
            if run_id not in known and not self._is_there(run_id)
        ]

    def _is_there(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        if not run_id:
            return False
        try:
            return self._client.get_run(run_id).info.lifecycle_stage == "active"
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise

    def _remove_versions(self, old: OldRun) -> int:
        """How many of its versions are gone now; none goes that was promoted meanwhile."""
        from mlflow.exceptions import MlflowException

        gone = 0
        for number in old.versions:
            try:
                version = self._client.get_model_version(self._model, number)
                if not may_go(version, self._before):
                    self._say(f"{self._model} version {number} is in use now: it stays.")
                    continue
                self._client.delete_model_version(self._model, number)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise  # else another process deleted it
            gone += 1
        return gone

    def _remove_run(self, run_id: str) -> bool:
        run = self._client.get_run(run_id)
        if run.info.lifecycle_stage != "active" or not self._is_old(run):
            return False
        if self._client.search_model_versions(f"run_id='{run_id}'"):
            return False  # registered meanwhile
        for child in self._children(run_id):
            self._retire(child)
        self._retire(run_id)
        return True

    def _children(self, run_id: str) -> list[str]:
        """All of them first: deleting one moves those behind it to another page."""
        found, token = [], None
        wanted = f"tags.`{PARENT_TAG}` = '{run_id}'"
        while True:
            page = self._client.search_runs(
                self._with_children, wanted, max_results=_PAGE, page_token=token
            )
            found += [run.info.run_id for run in page]
            token = page.token
            if not token:
                return found

    def _retire(self, run_id: str) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._client.set_tag(run_id, RETIRED_TAG, now)
        self._client.delete_run(run_id)
