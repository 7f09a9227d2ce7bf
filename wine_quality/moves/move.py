"""The steps of a move: experiments, runs, models, deletions, and the count at the end.

Each object is found again by its marks, so that the steps can be repeated after any interruption.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from wine_quality.moves.conversation import Conversation, QuestionFailedError
from wine_quality.moves.inventory import DELETED, Entry, Inventory, is_open, is_there
from wine_quality.moves.marks import SERVER_TAG
from wine_quality.moves.model_moves import ModelMoves
from wine_quality.moves.report import Report, counted
from wine_quality.moves.sides import Side

Say = Callable[[str], None]
_REPORT_SECONDS = 10
_WORK = "work"


class Move:
    """
    Args:
        sides: Source and target.
        processes: Of both.
        has: What the source has.
        folder: Working folder of this move alone; what it holds is removed after each run.
        say: Gets lines of progress.
    """

    def __init__(
        self,
        sides: tuple[Side, Side],
        processes: tuple[Conversation, Conversation],
        has: Inventory,
        folder: Path,
        say: Say,
    ) -> None:
        self._source, self._target = processes
        self._has, self._say = has, say
        self._folder, self._work = folder, folder / _WORK
        source, target = sides
        self._server, self._artifacts = source.title, target.artifacts
        self.report = Report(source.title, target.title)
        self._there: dict[str, Entry] = {}  # the target's runs by origin
        self._links: list[tuple[Entry, dict[str, Any]]] = []

    def carry_out(self, before: Inventory) -> tuple[Report, Path]:
        """All steps; what came of them, and the file that has it.

        Args:
            before: Of the target.

        Raises:
            MoveError: a process of a side ended.
        """
        began = time.monotonic()
        self._clear()
        self.report.counts = counted(self._has, before)
        self._there, twice = before.by_origin()
        pending = self.pending(before)
        try:
            self._know(before)
            homes = self._open_experiments(before, pending)
            opened = self._open_runs(pending, homes)
            self._fill(opened, before)
            self._link_models()
            ModelMoves(self._source, self._target, self._server, self.report, self._say).move(
                self._has, before
            )
            self._check(Inventory.of(self._target), twice)
        finally:
            self._clear()
            self.report.seconds = time.monotonic() - began
            file = self.report.write(self._folder)
        return self.report, file

    def pending(self, before: Inventory) -> list[Entry]:
        """Runs of the source that are to be copied, or copied to their end."""
        there = {run["origin"] for run in before.runs.values() if is_there(run)}
        return [run for run in self._has.runs.values() if run["origin"] not in there]

    def _know(self, before: Inventory) -> None:
        """Send the target's process the ids and addresses of the copies that are there already."""
        models = {one["origin"]: one for one in before.logged_models.values()}
        copies = []
        for mine, theirs in ((self._has.runs, self._there), (self._has.logged_models, models)):
            for one in mine.values():
                copy = theirs.get(one["origin"])
                if copy is not None:
                    copies.append([one["id"], copy["id"], one["address"], copy["address"]])
        _all(self._target.ask("know", copies=copies))

    def _open_experiments(self, before: Inventory, pending: list[Entry]) -> dict[str, str]:
        """The target's experiments by the source's; those that cannot be opened are missing."""
        names = {one["name"] for one in before.experiments.values()}
        needed = {run["experiment"] for run in pending}
        homes = {}
        for of in self._has.experiments.values():
            if of["name"] in names and of["id"] not in needed:
                continue
            try:
                answer = self._target.one(
                    "open experiment",
                    name=of["name"],
                    tags=of["tags"],
                    lifecycle=of["lifecycle"],
                    artifacts=self._artifacts,
                    server=self._server,
                )
            except QuestionFailedError as error:
                self.report.miss("experiment", of["name"], str(error))
                continue
            homes[of["id"]] = answer["id"]
        return homes

    def _open_runs(self, pending: list[Entry], homes: dict[str, str]) -> list[tuple[Entry, str]]:
        """Make all runs first, so that each knows the id of each other; run and its copy's id."""
        opened = []
        for of in self._progress(pending, "runs are opened"):
            before = self._there.get(of["origin"])
            if before is not None:
                opened.append((of, before["id"]))
                continue
            if of["experiment"] not in homes:
                self._miss_run(of, "its experiment could not be opened")
                continue
            try:
                home = homes[of["experiment"]]
                made = self._target.one("open run", of=of, experiment=home, server=self._server)
            except QuestionFailedError as error:
                self._miss_run(of, str(error))
                continue
            opened.append((of, made["id"]))
        return opened

    def _fill(self, opened: list[tuple[Entry, str]], before: Inventory) -> None:
        """Copy one run after another; the next one is read while one is written."""
        models: dict[str, list[Entry]] = {}
        for model in self._has.logged_models.values():
            models.setdefault(model["run"], []).append(model)
            if model["run"] not in self._has.runs:
                self.report.miss("logged model", model["id"], "it is of no run")
        there = {one["origin"]: one["id"] for one in before.logged_models.values()}
        with ThreadPoolExecutor(1) as reader:
            reading: list[Future[dict[str, Any]]] = []

            def read(place: int) -> None:
                if place < len(opened):
                    run = opened[place][0]
                    reading.append(reader.submit(self._export, run, models.get(run["id"], [])))

            read(0)
            for place, (of, copy) in enumerate(self._progress(opened, "runs are copied")):
                read(place + 1)
                made = {
                    one["id"]: there[one["origin"]]
                    for one in models.get(of["id"], [])
                    if one["origin"] in there
                }
                self._import(of, copy, reading[place], made)

    def _export(self, of: Entry, models: list[Entry]) -> dict[str, Any]:
        folder = self._work / of["id"]
        folder.mkdir(parents=True)
        ids = [model["id"] for model in models]
        return self._source.one("export run", run=of["id"], models=ids, folder=str(folder))

    def _import(
        self, of: Entry, copy: str, reading: Future[dict[str, Any]], models: dict[str, str]
    ) -> None:
        folder = self._work / of["id"]
        try:
            read = reading.result()
            answer = self._target.one("import run", run=copy, folder=str(folder), models=models)
        except (QuestionFailedError, OSError) as error:
            self._miss_run(of, str(error))
            return
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if read["inputs"]:
            question = {"run": copy, "inputs": read["inputs"], "state": answer["state"]}
            self._links.append((of, question))
        for problem in answer["problems"]:
            self._miss_run(of, problem)
        if not answer["problems"]:
            for kind in ("params", "metrics", "tags", "files"):
                self.report.compared[kind] = self.report.compared.get(kind, 0) + read[kind]

    def _link_models(self) -> None:
        for of, question in self._links:
            try:
                for problem in self._target.one("link models", **question)["problems"]:
                    self._miss_run(of, problem)
            except QuestionFailedError as error:
                self._miss_run(of, str(error))

    def _check(self, after: Inventory, twice: list[Entry]) -> None:
        """Count what the target has now, delete there what is deleted at the source, and list what
        is missing and was not listed yet."""
        there, _ = after.by_origin()
        for run in self._has.runs.values():
            copy = there.get(run["origin"])
            if copy is None or not is_there(copy):
                if copy and is_open(run):
                    self._miss_run(run, "it is under way: copied so far, give the command again")
                elif not any(run["id"] in one.name for one in self.report.not_carried):
                    self._miss_run(run, "the target does not have it whole")
            elif run["lifecycle"] == DELETED != copy["lifecycle"] and copy["state"]:
                self._delete("run", copy["id"], self._has.run_title(run))
        for run in twice:
            self._delete("run", run["id"], f"{run['id']}, a second copy that was broken off")
        self._check_experiments(after)
        now = counted(self._has, after)
        for kind, found in self.report.counts.items():
            found.copied = now[kind].there - found.there
        for entry in self._has.left_out:
            self.report.miss(entry["what"], entry["name"], entry["reason"])

    def _check_experiments(self, after: Inventory) -> None:
        by_name = {one["name"]: one for one in after.experiments.values()}
        for of in self._has.experiments.values():
            copy = by_name.get(of["name"])
            if copy is None or of["lifecycle"] != DELETED or copy["lifecycle"] == DELETED:
                continue
            if SERVER_TAG in copy["tags"]:
                self._delete("experiment", copy["id"], of["name"])
            else:
                self.report.notes.append(f"experiment {of['name']} stays undeleted at the target")

    def _delete(self, kind: str, which: str, title: str) -> None:
        try:
            _all(self._target.ask("delete", **{kind: which}))
        except QuestionFailedError as error:
            self.report.miss(kind, title, f"it could not be deleted: {error}")

    def _miss_run(self, of: Entry, reason: str) -> None:
        self.report.miss("run", self._has.run_title(of), reason)

    def _progress(self, items: list[Any], doing: str) -> Iterator[Any]:
        """Yield the items, and report every few seconds how many are done."""
        last = time.monotonic()
        for number, item in enumerate(items):
            if time.monotonic() - last > _REPORT_SECONDS:
                last = time.monotonic()
                self._say(f"{number} of {len(items)} {doing} …")
            yield item

    def _clear(self) -> None:
        shutil.rmtree(self._work, ignore_errors=True)


def _all(answers: Iterator[object]) -> None:
    for _ in answers:
        pass
