"""The inventory of a side: its experiments, runs and models, as listed by ``survey``."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from wine_quality.moves.conversation import Conversation
from wine_quality.moves.marks import COMPLETE, PLACEHOLDER_TAG, STATE_TAG, version_mark
from wine_quality.moves.writing_runs import UNDER_WAY

Entry = dict[str, Any]
DELETED = "deleted"


@dataclass
class Inventory:
    """Entries of ``survey``.

    Attributes:
        experiments, runs, logged_models: By id.
        models: By name.
        versions: Of each model, the oldest first.
        left_out: Objects of kinds that are not moved, such as traces and prompts.
    """

    experiments: dict[str, Entry] = field(default_factory=dict)
    runs: dict[str, Entry] = field(default_factory=dict)
    logged_models: dict[str, Entry] = field(default_factory=dict)
    models: dict[str, Entry] = field(default_factory=dict)
    versions: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    left_out: list[Entry] = field(default_factory=list)

    @classmethod
    def of(cls, side: Conversation) -> Inventory:
        found = cls()
        for entry in side.ask("survey"):
            found.add(entry)
        for versions in found.versions.values():
            versions.sort(key=lambda one: int(one["number"]))
        return found

    def add(self, entry: Entry) -> None:
        kind = entry["kind"]
        if kind == "version":
            self.versions[entry["model"]].append(entry)
        elif kind == "left_out":
            self.left_out.append(entry)
        elif kind == "model":
            self.models[entry["name"]] = entry
        else:
            of_kind = {"experiment": self.experiments, "run": self.runs}
            of_kind.get(kind, self.logged_models)[entry["id"]] = entry

    def open_runs(self) -> list[str]:
        """Titles of the runs that are under way."""
        return [self.run_title(run) for run in self.runs.values() if is_open(run)]

    def run_title(self, run: Entry) -> str:
        experiment = self.experiments[run["experiment"]]["name"]
        named = f" {run['name']}" if run["name"] else ""
        return f"{run['id']}{named} of {experiment}"

    def by_origin(self) -> tuple[dict[str, Entry], list[Entry]]:
        """The run of each origin, a complete one if there are several; and the others, which were
        broken off."""
        found: dict[str, Entry] = {}
        others = []
        for run in self.runs.values():
            before = found.get(run["origin"])
            if before is None:
                found[run["origin"]] = run
            elif is_there(before) or not is_there(run):
                others.append(run)
            else:
                found[run["origin"]] = run
                others.append(before)
        broken = [run for run in others if run["lifecycle"] != DELETED and not is_there(run)]
        return found, broken

    def numbers(self, model: str) -> dict[str, Entry]:
        """Versions of a model by their mark, without placeholders."""
        return {
            mark_of(version): version
            for version in self.versions.get(model, [])
            if PLACEHOLDER_TAG not in version["tags"]
        }


def is_open(run: Entry) -> bool:
    """Whether a run is under way."""
    return run["status"] in UNDER_WAY and run["lifecycle"] != DELETED


def is_there(run: Entry) -> bool:
    """Whether a run of the target needs no copying: it was compared, or is its own."""
    return run["state"] in ("", COMPLETE)


def is_copied(version: Entry | None) -> bool:
    """Whether a version of the target needs no copying, as ``is_there`` of a run."""
    return version is not None and version["tags"].get(STATE_TAG, COMPLETE) == COMPLETE


def mark_of(version: Entry) -> str:
    return version_mark(version["number"], version["created"], version["tags"])
