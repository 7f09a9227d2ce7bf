"""The report of an upgrade: as JSON, and as lines for the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wine_quality.escaping import escaped
from wine_quality.tracking.registry.loadable import PICKLE, SKOPS, loadable_formats
from wine_quality.upgrades.census import DELETED_STAGE
from wine_quality.upgrades.files import Extent
from wine_quality.upgrades.place import Place
from wine_quality.upgrades.plan import Plan
from wine_quality.upgrades.progress import write_whole
from wine_quality.upgrades.verify import ADVICE, DIFFERS, SAME, CheckedVersion

REPORT = "report.json"
_SHOWN = 20


@dataclass(frozen=True)
class Report:
    """
    Attributes:
        tables: Rows of each table, the same before and after, cell by cell.
        files: Number and bytes of the copied files; None where both versions share the files.
        roles: Of each model: ``champion``, ``challenger``, and ``notes`` on what was adopted.
        versions: Each version, loaded in both environments.
        way_back: Sentences.
    """

    source: str
    target: str
    ended: str
    tables: Mapping[str, int]
    files: Extent | None
    roles: list[dict[str, Any]]
    versions: list[CheckedVersion]
    way_back: list[str]

    def write(self, folder: Path) -> Path:
        """Into the working folder; returns the file."""
        path = folder / REPORT
        write_whole(path, json.dumps(asdict(self), indent=1, ensure_ascii=False))
        return path


def plan_lines(place: Place, plan: Plan) -> Iterator[str]:
    """The lines of a dry run: contents of the source, and obstacles to the upgrade."""
    census = plan.census
    yield f"{place.title} (schema {plan.revision}), to MLflow {place.target.key}:"
    yield _row("experiments", _grouped(census.experiments))
    yield _row("runs", _grouped(census.runs))
    for name, table in (("metrics", "metrics"), ("parameters", "params"), ("tags", "tags")):
        yield _row(name, str(census.tables.get(table, 0)))
    yield _row("models", str(len(census.models)))
    stages = {
        {DELETED_STAGE: "deleted", "None": "no stage"}.get(stage, stage): number
        for stage, number in census.versions.items()
    }
    yield _row("versions", _grouped(stages))
    for name, stage, version in census.stages[:_SHOWN]:
        yield _row("", f"{name} version {version}: stage {stage}")
    for name, alias, version in census.aliases[:_SHOWN]:
        yield _row("", f"{name} version {version}: alias {alias}")
    left = max(0, len(census.stages) - _SHOWN) + max(0, len(census.aliases) - _SHOWN)
    if left:
        yield _row("", f"… and {left} more")
    for kind, number in plan.elsewhere.items():
        yield _row("elsewhere", f"{number} locations ({kind}) stay as they are")
    for obstacle in plan.obstacles:
        yield f"stops it: {escaped(obstacle)}"


def report_lines(report: Report, file: Path) -> Iterator[str]:
    """The lines of the result: rows, files, roles, versions, and the way back."""
    yield f"\nMLflow {report.target} has what MLflow {report.source} had:"
    total = sum(report.tables.values())
    yield _row("rows", f"{total} in {len(report.tables)} tables, each as it was")
    if report.files is not None:
        files = report.files
        yield _row("files", f"{files.files}, {files.bytes / 1e6:.1f} MB, each by its SHA-256")
    for entry in report.roles[:_SHOWN]:
        text = f"champion {entry['champion']}, challenger {entry['challenger']}"
        if "error" in entry:
            text = f"MLflow {report.target} cannot use it: {entry['error']}"
        yield _row("roles", f"{entry['model']}: {text}")
        for note in entry["notes"]:
            yield _row("", note)
    same = [one for one in report.versions if one.result == SAME]
    yield _row("versions", f"{len(same)} of {len(report.versions)} predict the same as before")
    yield from problem_lines(report.versions)
    if any(one.format == PICKLE for one in same) and PICKLE not in _loaded_by(report.target):
        yield _row(
            "pickles",
            f"MLflow {report.target} loads skops only, unless you set "
            "WINE_QUALITY_LOADABLE_FORMATS=skops,pickle: a pickle may run code",
        )
    for number, sentence in enumerate(report.way_back):
        yield _row("" if number else "to go back", sentence)
    yield _row("report", str(file))


def problem_lines(versions: list[CheckedVersion]) -> Iterator[str]:
    """A line for each version that is not the same as before, with advice."""
    problems = [one for one in versions if one.result != SAME]
    for one in problems[:_SHOWN]:
        text = f"{one.model} version {one.version}: {one.result}: {ADVICE[one.result]}"
        yield _row("", f"{text}. {one.reason}")
    if len(problems) > _SHOWN:
        yield _row("", f"… and {len(problems) - _SHOWN} more, see the report")


def differing(versions: list[CheckedVersion]) -> list[CheckedVersion]:
    """The versions that load, but predict other values than before."""
    return [one for one in versions if one.result == DIFFERS]


def _loaded_by(key: str) -> frozenset[str]:
    return loadable_formats(key, SKOPS)


def _grouped(numbers: Mapping[str, int]) -> str:
    total = sum(numbers.values())
    parts = ", ".join(f"{number} {name}" for name, number in numbers.items())
    return f"{total} ({parts})" if numbers else "0"


def _row(name: str, text: str) -> str:
    return f"{name:<15}{escaped(text)}"
