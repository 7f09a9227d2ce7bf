"""The fault matrix: which cells there are, why others make no sense, and its table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START, KILL, HANG, ERRORS, LOST = (
    "down at start",
    "SIGKILL in mid-run",
    "hangs",
    "500 now and then",
    "answer lost",
)
AFTER_5, AFTER_60 = "back after 5 s", "back after 60 s"
COLUMNS = (START, KILL, HANG, ERRORS, LOST, AFTER_5, AFTER_60)
MLFLOW, S3, POSTGRES = "MLflow server", "S3", "PostgreSQL"
DAEMON, WEBSERVER, CODE = "Dagster daemon", "webserver", "code server"
WORKER, PLAN = "run worker", "plan process"
S3_DISK, POSTGRES_DISK, CLOCK = "disk of S3 full", "disk of PostgreSQL full", "clock jumps"
ROWS = (
    MLFLOW,
    S3,
    POSTGRES,
    DAEMON,
    WEBSERVER,
    CODE,
    WORKER,
    PLAN,
    S3_DISK,
    POSTGRES_DISK,
    CLOCK,
)
VERSIONS = ("3", "2.1.1", "1.26")
ALL, NEWEST, CHILD = VERSIONS, ("3",), ("2.1.1", "1.26")


@dataclass(frozen=True)
class Cell:
    """One fault for one version; quick ones are part of `make test`."""

    row: str
    column: str
    version: str
    quick: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.row}, {self.column}, MLflow {self.version}"


_VERSIONS_OF = {
    MLFLOW: dict.fromkeys(COLUMNS, ALL),
    S3: {
        START: NEWEST,
        KILL: ALL,
        HANG: NEWEST,
        ERRORS: ALL,
        LOST: NEWEST,
        AFTER_5: NEWEST,
        AFTER_60: NEWEST,
    },
    POSTGRES: {
        START: NEWEST,
        KILL: ALL,
        HANG: NEWEST,
        LOST: NEWEST,
        AFTER_5: NEWEST,
        AFTER_60: NEWEST,
    },
    DAEMON: dict.fromkeys((START, KILL, HANG, AFTER_5, AFTER_60), NEWEST),
    WEBSERVER: dict.fromkeys((START, KILL, HANG, AFTER_5, AFTER_60), NEWEST),
    CODE: {START: NEWEST, KILL: ALL, HANG: NEWEST, AFTER_5: NEWEST, AFTER_60: NEWEST},
    WORKER: {KILL: ALL, HANG: NEWEST},
    PLAN: {KILL: CHILD, HANG: CHILD},
    S3_DISK: {START: NEWEST, AFTER_5: NEWEST},
    POSTGRES_DISK: {START: NEWEST, AFTER_5: NEWEST},
    CLOCK: {AFTER_5: NEWEST},
}
_QUICK = {
    (MLFLOW, START, "3"),
    (MLFLOW, KILL, "2.1.1"),
    (MLFLOW, LOST, "3"),
    (MLFLOW, LOST, "2.1.1"),
    (S3, ERRORS, "3"),
    (POSTGRES, KILL, "3"),
    (DAEMON, START, "3"),
    (WEBSERVER, HANG, "3"),
    (CODE, KILL, "3"),
    (WORKER, KILL, "3"),
    (PLAN, KILL, "2.1.1"),
}
CELLS = [
    Cell(row, column, version, (row, column, version) in _QUICK)
    for row in ROWS
    for column in COLUMNS
    for version in _VERSIONS_OF[row].get(column, ())
]
_NO_HTTP = "speaks no HTTP: there is no 500"
_ON_DEMAND = "is started for each run: it cannot be down before"
_NOT_AGAIN = "is never started again; a retry gets another"
NO_SENSE = {
    (POSTGRES, ERRORS): _NO_HTTP,
    (DAEMON, ERRORS): "answers nobody: it asks",
    (DAEMON, LOST): "answers nobody: it asks",
    (WEBSERVER, ERRORS): "has no part in a run; whoever launches one sees the 500",
    (WEBSERVER, LOST): "has no part in a run; whoever launches one finds it in the list",
    (CODE, ERRORS): "speaks gRPC, " + _NO_HTTP,
    (CODE, LOST): "is Dagster's own gRPC, over which no run's result goes",
    (WORKER, START): _ON_DEMAND,
    (PLAN, START): _ON_DEMAND,
    **{(row, column): "answers nobody" for row in (WORKER, PLAN) for column in (ERRORS, LOST)},
    **{(row, column): _NOT_AGAIN for row in (WORKER, PLAN) for column in (AFTER_5, AFTER_60)},
    **{
        (row, column): "a full disk neither dies nor hangs nor answers"
        for row in (S3_DISK, POSTGRES_DISK)
        for column in (KILL, HANG, ERRORS, LOST)
    },
    **{(row, AFTER_60): "5 s tell the same" for row in (S3_DISK, POSTGRES_DISK)},
    **{(CLOCK, column): "a clock jumps and is there" for column in COLUMNS if column != AFTER_5},
}


@dataclass(frozen=True)
class Outcome:
    """The outcome of a cell.

    Attributes:
        result: In a few words.
        seconds: From recovery until both stores agreed; None when the cell failed or was skipped.
    """

    cell: Cell
    result: str
    seconds: float | None


def outcomes_of(reports: Iterable[Any]) -> list[Outcome]:
    """Outcomes of cells by pytest's reports, whatever process ran them; none of other tests."""
    found = []
    for report in reports:
        noted = dict(getattr(report, "user_properties", ()))
        if "fault" not in noted or (report.when != "call" and report.passed):
            continue
        cell = Cell(*noted["fault"])
        if report.passed:
            found.append(Outcome(cell, noted["fault-result"], noted["fault-seconds"]))
        elif report.skipped:
            reason = report.longrepr[2].removeprefix("Skipped: ")
            found.append(Outcome(cell, f"not possible: {reason}", None))
        else:
            found.append(Outcome(cell, "**FAILS**", None))
    return found


def keep(outcomes: Iterable[Outcome], folder: Path, commit: str) -> None:
    """Put results beside those of other cells into ``fault-matrix.json``; make the page anew."""
    file = folder / "fault-matrix.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    for outcome in outcomes:
        known[str(outcome.cell)] = [outcome.result, outcome.seconds, commit]
    file.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    there = [cell for cell in CELLS if str(cell) in known]
    commits = sorted({known[str(cell)][2] for cell in there})
    text = table(Outcome(cell, *known[str(cell)][:2]) for cell in there)
    (folder / "fault-matrix.md").write_text(page(text, commits))
    shown = folder / "how-to" / "faults.md"
    if shown.exists():
        shown.write_text(with_table(shown.read_text(), text))


_BEGIN, _END = "<!-- fault matrix: by make faults -->\n", "<!-- end of fault matrix -->"


def with_table(document: str, text: str) -> str:
    """A page with another table between its marks."""
    before, begin, rest = document.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the page lacks {_BEGIN.strip()!r} or {_END!r}")
    return f"{before}{begin}\n{text}\n\n{end}{after}"


def page(text: str, commits: Iterable[str]) -> str:
    """The table as a page of the documentation."""
    return (
        "# The fault matrix\n\n"
        "Made by `make faults` from its own results; not edited by hand. Each cell names the "
        "MLflow versions it was run for, how the disturbed run of the job ended, and after how "
        "many seconds from recovery it had ended and every invariant of "
        "`wine_quality_tests/faults/invariants.py` held (60 s are allowed for the latter; a run "
        "whose MLflow client waits before its next try is still under way). A run that fails has "
        "to name the service and what to do, and its re-execution from failure has to end well in "
        "the same MLflow run.\n\n"
        f"{text}\n\nMeasured at commit {', '.join(commits)} (fault-matrix.json says which cell "
        "at which).\n"
    )


def table(outcomes: Iterable[Outcome]) -> str:
    """Markdown: a row for each part, a column for each fault; reasons for empty cells below."""
    found: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault((outcome.cell.row, outcome.cell.column), []).append(outcome)
    reasons: list[str] = []
    lines = [f"| | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for row in ROWS:
        cells = []
        for column in COLUMNS:
            if (row, column) in NO_SENSE:
                reason = NO_SENSE[row, column]
                if reason not in reasons:
                    reasons.append(reason)
                cells.append(f"– ({reasons.index(reason) + 1})")
            else:
                cells.append(_together(found.get((row, column), [])))
        lines.append(f"| {row} | {' | '.join(cells)} |")
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join([*lines, "", "Cells that make no sense, and why:", "", *notes])


def _together(outcomes: list[Outcome]) -> str:
    """The versions of one cell; those of one result share it."""
    if not outcomes:
        return "not run"
    outcomes.sort(key=lambda outcome: VERSIONS.index(outcome.cell.version))
    by_words: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_words.setdefault(outcome.result, []).append(outcome)
    parts = []
    for text, alike in by_words.items():
        keys = ", ".join(outcome.cell.version for outcome in alike)
        seconds = [outcome.seconds for outcome in alike if outcome.seconds is not None]
        after = f" ({max(seconds):.0f} s)" if seconds else ""
        parts.append(f"{keys}: {text}{after}")
    return "; ".join(parts)
