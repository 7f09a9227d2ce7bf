"""The steps of an upgrade. Each is noted when it is done, and begun anew when it was interrupted.

Until the last step none of it is visible: the target has no store, or its old, empty one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.upgrades.census import Census, content_of, take_census, versions_in
from wine_quality.upgrades.errors import UpgradeError
from wine_quality.upgrades.files import Extent
from wine_quality.upgrades.in_environment import ask, formats_of
from wine_quality.upgrades.place import Place, Say
from wine_quality.upgrades.plan import require_empty_target
from wine_quality.upgrades.progress import Progress, appending, read_progress
from wine_quality.upgrades.report import Report, differing
from wine_quality.upgrades.verify import (
    CheckedVersion,
    compare_predictions,
    require_counts,
    require_same_roles,
    require_same_rows,
)

PLACED = "placed"
CONTENT = "placed_content"
"""Fact of the progress: what each table held when the store was put in place."""

_PLACING = "placing"
_ROLES = "roles"  # in place of a version's number
_BEFORE, _AFTER = "before.jsonl", "after.jsonl"
_REPORT_EVERY = 100


def was_finished(place: Place, folder: Path) -> bool:
    """Whether an upgrade in that working folder was, also one that was killed at its very end."""
    done = read_progress(folder).get("done", [])
    return PLACED in done or (_PLACING in done and not place.is_staged())


class Upgrade:
    """
    Args:
        place: The stores.
        folder: Working folder of this upgrade alone.
        say: Gets a line for each step.
        accept_differences: Whether versions may predict otherwise than before.
    """

    def __init__(self, place: Place, folder: Path, say: Say, accept_differences: bool) -> None:
        self._place, self._say = place, say
        self._accepts = accept_differences
        self._progress = Progress(folder, place.fingerprint())
        self._folder, self._log = folder, folder / "mlflow.log"

    def carry_out(self) -> tuple[Report, Path]:
        """All steps; what came of them, and the file that has it.

        Raises:
            UpgradeError: one failed, or what it made is not what there was.
        """
        place, progress = self._place, self._progress
        if progress.is_resumed:
            self._say("going on with an upgrade that was interrupted")
        if not progress.is_done("backed up"):
            self._say(f"copying the database to {place.backup}")
            place.back_up()
            progress.note("backed up")
        census, versions = self._look()
        with place.source_uri() as uri:
            self._ask(place.source, uri, census, versions, _BEFORE)
        self._stage()
        files = self._files()
        with place.staged_uri() as uri:
            self._ask(place.target, uri, census, versions, _AFTER)
        before, after = self._answers(_BEFORE), self._answers(_AFTER)
        roles = [after[_roles_of(model)] for model in census.models]
        require_same_roles([before[_roles_of(model)] for model in census.models], roles)
        checked = [compare_predictions(before[version], after[version]) for version in versions]
        self._require_agreement(checked)
        with place.staged_database() as staged:
            require_counts(census, staged)
        if place.fingerprint() != progress.fact("source"):
            raise UpgradeError(
                f"{place.title} was written to meanwhile, so that the copy is out of date. Give "
                "the same command again."
            )
        require_empty_target(place)
        report = Report(
            source=place.source.key,
            target=place.target.key,
            ended=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            tables=progress.fact("rows"),
            files=files,
            roles=roles,
            versions=checked,
            way_back=place.way_back(),
        )
        file = report.write(self._folder)
        with place.staged_database() as staged:
            content = content_of(staged)
        progress.note(_PLACING, **{CONTENT: content})
        self._say(f"putting it in the place of MLflow {place.target.key}'s store")
        place.put_in_place()
        progress.note(PLACED)
        return report, file

    def _look(self) -> tuple[Census, list[tuple[str, str]]]:
        with self._place.source_database() as connection:
            return take_census(connection), versions_in(connection)

    def _stage(self) -> None:
        place, progress = self._place, self._progress
        if progress.is_done("staged"):
            return
        self._say(f"upgrading the copy's schema with MLflow {place.target.key}")
        place.stage(self._upgrade_schema)
        self._say("comparing each row with what it was")
        with place.source_database() as source, place.staged_database() as staged:
            rows = require_same_rows(source, staged, place)
        progress.note("staged", rows=rows)

    def _upgrade_schema(self, uri: str, variables: Mapping[str, str]) -> None:
        _all(ask(self._place.target, "schema", {"uri": uri}, self._log, variables))

    def _files(self) -> Extent | None:
        place, progress = self._place, self._progress
        if place.move is None:
            return None
        if not progress.is_done("files"):
            self._say(f"copying the files to {place.move.new}")
            files = place.copy_files(self._say)
            progress.note("files", files=[files.files, files.bytes])
        return Extent(*progress.fact("files"))

    def _ask(
        self,
        by: MlflowVersion,
        uri: str,
        census: Census,
        versions: list[tuple[str, str]],
        file: str,
    ) -> None:
        """Ask a version's client for the roles, and for each version's predictions on its example;
        append the missing answers to the file. The target's client carries the roles over first."""
        there = self._answers(file)
        models = [name for name in census.models if _roles_of(name) not in there]
        missing = [version for version in versions if version not in there]
        if not models and not missing:
            return
        adopt = by is self._place.target
        question = {"uri": uri, "adopt": adopt, "models": models, "versions": missing}
        number = len(missing)
        self._say(f"asking MLflow {by.key} who is champion, and what {number} versions predict")
        variables = {**formats_of(self._place.source, by), **self._place.variables}
        with appending(self._folder / file) as kept:
            answers = ask(by, "look", question, self._log, variables)
            for done, answer in enumerate(answers, 1):
                kept.write(json.dumps(answer) + "\n")
                kept.flush()
                if done % _REPORT_EVERY == 0:
                    self._say(f"{done} of {len(models) + number} …")

    def _answers(self, file: str) -> dict[tuple[str, str], dict[str, Any]]:
        """The answers in a file, by model and version or ``_ROLES``; a line that was cut off is
        skipped."""
        path = self._folder / file
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                answer = json.loads(line)
            except ValueError:
                continue
            found[(answer["model"], answer.get("version", _ROLES))] = answer
        return found

    def _require_agreement(self, checked: list[CheckedVersion]) -> None:
        others = differing(checked)
        if others and not self._accepts:
            named = "; ".join(f"{one.model} version {one.version} ({one.reason})" for one in others)
            raise UpgradeError(
                f"with MLflow {self._place.target.key} these predict otherwise: {named}. "
                'ARGS="--apply --accept-differences" goes on all the same.'
            )


def _roles_of(model: str) -> tuple[str, str]:
    return model, _ROLES


def _all(answers: Iterable[object]) -> None:
    for _ in answers:
        pass
