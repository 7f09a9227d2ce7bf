"""The report of a move: as JSON, and as lines for the terminal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from wine_quality.escaping import escaped
from wine_quality.moves.inventory import DELETED, Inventory, is_copied, is_there, mark_of
from wine_quality.upgrades.progress import write_whole

REPORT = "report.json"
_SHOWN = 20


@dataclass(frozen=True)
class NotCarried:
    """An object of the source that the target does not have, or not whole.

    Attributes:
        kind: ``run``, ``version``, ``model``, ``experiment`` and so on.
    """

    kind: str
    name: str
    reason: str


@dataclass
class Counts:
    """Numbers of one kind of object: at the source, at the target before, copied by this move."""

    source: int = 0
    there: int = 0
    copied: int = 0


@dataclass
class Report:
    """
    Attributes:
        counts: By kind.
        compared: Numbers of values that were read again at the target and are the same: points of
            metrics, params, tags, files (by SHA-256).
        roles: Model, champion and challenger at the target.
        notes: Remarks for people.
        not_carried: Each by its name.
    """

    source: str
    target: str
    counts: dict[str, Counts] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)
    roles: list[dict[str, str | None]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_carried: list[NotCarried] = field(default_factory=list)
    seconds: float = 0.0

    def miss(self, kind: str, name: str, reason: str) -> None:
        self.not_carried.append(NotCarried(kind, name, reason))

    def write(self, folder: Path) -> Path:
        """Into a folder; returns the file."""
        path = folder / REPORT
        write_whole(path, json.dumps(asdict(self), indent=1, ensure_ascii=False))
        return path


def counted(has: Inventory, target: Inventory) -> dict[str, Counts]:
    """Numbers of objects of each kind at the source, and of those that the target has."""
    names = {one["name"] for one in target.experiments.values()}
    runs = {run["origin"] for run in target.runs.values() if is_there(run)}
    logged = {one["origin"] for one in target.logged_models.values()}
    number = there = 0
    for name in has.models:
        known = target.numbers(name)
        number += len(has.versions.get(name, []))
        there += sum(is_copied(known.get(mark_of(one))) for one in has.versions.get(name, []))
    found = {
        "experiments": Counts(
            len(has.experiments), sum(one["name"] in names for one in has.experiments.values())
        ),
        "runs": Counts(len(has.runs), sum(one["origin"] in runs for one in has.runs.values())),
        "logged models": Counts(
            len(has.logged_models),
            sum(one["origin"] in logged for one in has.logged_models.values()),
        ),
        "models": Counts(len(has.models), sum(name in target.models for name in has.models)),
        "versions": Counts(number, there),
    }
    return {kind: one for kind, one in found.items() if one.source or kind != "logged models"}


def plan_lines(source: Inventory, target: Inventory) -> Iterator[str]:
    """The lines of a dry run: objects of the source by kind, and how many are at the target."""
    of_experiments = Counter(one["lifecycle"] for one in source.experiments.values())
    of_runs = Counter(
        f"{run['status']}{', deleted' if run['lifecycle'] == DELETED else ''}"
        for run in source.runs.values()
    )
    of_versions = Counter(
        "no stage" if one["stage"] == "None" else one["stage"]
        for versions in source.versions.values()
        for one in versions
    )
    details = {"experiments": of_experiments, "runs": of_runs, "versions": of_versions}
    for kind, found in counted(source, target).items():
        listed = ", ".join(f"{number} {name}" for name, number in details.get(kind, {}).items())
        text = f"{found.source}{f' ({listed})' if listed else ''}"
        yield _row(kind, f"{text}; {found.there} there already")
    for entry in source.left_out[:_SHOWN]:
        yield _row("not moved", f"{entry['what']} {entry['name']}")


def report_lines(report: Report, file: Path) -> Iterator[str]:
    """The lines of the result: copied objects by kind, roles, notes, and what was not carried."""
    yield ""
    for kind, found in report.counts.items():
        missing = found.source - found.there - found.copied
        text = f"{found.source} at the source: {found.there} were there, {found.copied} copied"
        yield _row(kind, f"{text}, {missing} not" if missing else text)
    if report.compared:
        listed = ", ".join(f"{number} {name}" for name, number in sorted(report.compared.items()))
        yield _row("compared", f"{listed}: read again, and the same")
    for entry in report.roles[:_SHOWN]:
        message = f"champion {entry['champion']}, challenger {entry['challenger']}"
        yield _row("roles", f"{entry['model']}: {message}")
    for note in report.notes[:_SHOWN]:
        yield _row("note", note)
    if len(report.notes) > _SHOWN:
        yield _row("", f"… and {len(report.notes) - _SHOWN} more notes, see the report")
    for one in report.not_carried:
        yield _row("not carried", f"{one.kind} {one.name}: {one.reason}")
    yield _row("time", f"{report.seconds:.0f} s")
    yield _row("report", str(file))


def _row(name: str, text: str) -> str:
    return f"{name:<15}{escaped(text)}"
