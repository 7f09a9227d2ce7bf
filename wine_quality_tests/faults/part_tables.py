"""The tables of kill points and of orders of parts, as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wine_quality.tracking.runs.run_tags import git_commit
from wine_quality_tests.faults.part_rule import count_orders

_ORDER_HEAD = """# Every order in which parts of two trainings can be materialized

After the whole job (training A), the assets in the first column were materialized with other
settings (training B), and then those in the second. `split`, `model`, `metrics`, `registered` and
`champion` are `train_test_split` to `champion_model`; `raw_wine_csv` gives nothing to any of them
but the split. What each step did was held against the rule: one that is given parts of two
trainings stops and names both. First runs that leave the same behind share a line.

Made by `make orders` at commit {commit} on MLflow 3: {count} of {all} runs, {wrong} against the
rule.

| first | then | what came of it |
|---|---|---|
"""
_KILL_HEAD = """# A kill at every event of a run's log

The job was killed (SIGKILL) right after the event was stored: its worker, or the executor's child
process, which runs the steps of another MLflow version. A minute's work of the platform later
Dagster and MLflow were asked what the run is; one that is a FAILURE was re-executed from failure.
Nothing may disagree, no MLflow run or version be made twice, no version be of another run, and the
re-execution has to end as SUCCESS.

**F→S**: FAILURE and FAILED; re-executed from failure: SUCCESS and FINISHED, one MLflow run, one
version. **S**: all steps had succeeded, so SUCCESS and FINISHED; nothing to re-execute. **–**:
there is no child yet, or any more. **✗**: an invariant is broken.

What comes before, which says what the run is to make, is stored by whoever launches it.

Made by `make kills`: {count} kills, {wrong} broken.
"""
_WRONG, _NOBODY = "✗", "–"


def order_table(came: Sequence[Mapping[str, Any]]) -> str:
    """The output of ``part_orders all``."""
    wrong = sum(bool(one["broken"]) for one in came)
    counted = {"count": len(came), "all": count_orders(), "wrong": wrong}
    lines = [_ORDER_HEAD.format(commit=git_commit()[:12], **counted)]
    for one in came:
        first = ", ".join(one["first"]) or "–"
        lines.append(f"| {first} | {'+'.join(one['second'])} | {_what_came(one)} |\n")
    return "".join(lines)


def _what_came(one: Mapping[str, Any]) -> str:
    if one["broken"]:
        return f"✗ {one['broken']}"
    refused = [part for part, made in one["made"].items() if not made]
    stopped = list(one["failed"])
    if not refused:
        return "all made"
    made = [part for part, made in one["made"].items() if made]
    return f"{', '.join(stopped)} stops" + (f"; made: {', '.join(made)}" if made else "")


def write_kill_table(folder: Path, column: str, lines: Sequence[Mapping[str, Any]]) -> None:
    """Add what ``kill_points`` printed to the table; the other columns are kept."""
    kept = folder / "kill-points.json"
    columns = json.loads(kept.read_text()) if kept.exists() else {}
    columns[column] = {
        "commit": git_commit()[:12],
        "events": len(lines[0]["events"]),
        "cells": {
            line["when"]: [_short(lines[0]["events"][int(line["when"]) - 1]), _cell(line)]
            for line in lines[1:]
        },
    }
    kept.write_text(json.dumps(columns, indent=1, ensure_ascii=False) + "\n")
    (folder / "kill-points.md").write_text(kill_table(columns))


def kill_table(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """All columns as Markdown."""
    every = [came for column in columns.values() for _, came in column["cells"].values()]
    wrong = sum(came.startswith(_WRONG) for came in every)
    text = [_KILL_HEAD.format(count=len(every) - every.count(_NOBODY), wrong=wrong)]
    for name, column in columns.items():
        if not column["cells"]:
            continue  # its first kill is under way
        last = max(map(int, column["cells"]))
        rest = "" if last == column.get("events") else f" The events after {last} were not run."
        text.append(f"\n## {name}\n\nAt commit {column['commit']}.{rest}\n\n")
        text.append("| | killed after | |\n|---|---|---|\n")
        text += [f"| {n} | {event} | {came} |\n" for n, (event, came) in column["cells"].items()]
    return "".join(text)


def _cell(cell: Mapping[str, Any]) -> str:
    if cell["broken"]:
        return f"{_WRONG} {'; '.join(cell['broken'])}"
    if not cell["killed"]:
        return _NOBODY
    return "F→S" if cell["ended"] == "FAILURE" else "S"


def _short(event: str) -> str:
    """Step and type; of a line of the log its beginning."""
    step, kind, *text = event.split(" ")
    if kind in ("LOG", "ENGINE_EVENT"):
        words = [word for word in text if word.isalpha() or word.rstrip(".,").isalpha()]
        return f"{step} {kind}: {' '.join(words[:7])}".strip().replace("|", "/")
    return f"{step} {kind}".strip()
