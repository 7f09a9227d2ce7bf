"""Runs as a table with a column for each, and what differs between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from wine_quality.comparison.compared_run import ComparedRun
from wine_quality.escaping import escaped

NONE = "–"
DIFFERS = "≠"
BEST = "*"
DIGITS = 9
"""Significant digits that are shown, and compared."""
_LOWER_IS_BETTER = {"rmse": True, "mae": True, "r2": False}
_WIDEST = 44


@dataclass(frozen=True)
class Row:
    """One property of all runs.

    Attributes:
        cells: A text for each run; ``NONE`` where it has none.
        differs: Whether they are not all the same; False also for what is another in each run,
            such as its id.
    """

    name: str
    cells: tuple[str, ...]
    differs: bool


@dataclass(frozen=True)
class Section:
    title: str
    rows: tuple[Row, ...]


def title_of(run: ComparedRun) -> str:
    """The title of the run's column."""
    return f"MLflow {run.version}"


def sections(runs: Sequence[ComparedRun]) -> list[Section]:
    """The sections of the table: run, params, metrics, coefficients; empty ones are left out."""
    found = [
        Section("run", tuple(_run_rows(runs))),
        Section("params", tuple(_rows([run.params for run in runs], str))),
        Section("metrics", tuple(_metric_rows(runs))),
        Section("coefficients", tuple(_rows([run.coefficients for run in runs], number, False))),
    ]
    return [section for section in found if section.rows]


def remarks(runs: Sequence[ComparedRun]) -> list[str]:
    """Sentences on limits of the comparison, and on parts of runs that could not be read."""
    found = []
    if len({run.data_sha256 for run in runs if run.data_sha256}) > 1:
        found.append("The runs are of different data: their errors do not tell which is better.")
    found += [f"{title_of(run)}, run {run.run_id}: {note}." for run in runs for note in run.notes]
    return found


def number(value: float) -> str:
    """A number with ``DIGITS`` significant digits; rounding errors around 0 become 0."""
    return f"{round(value, 12) + 0.0:.{DIGITS}g}"


def when(milliseconds: int | None) -> str:
    if milliseconds is None:
        return NONE
    return f"{datetime.fromtimestamp(milliseconds / 1000, timezone.utc):%Y-%m-%d %H:%M:%S}"


def _run_rows(runs: Sequence[ComparedRun]) -> Iterable[Row]:
    own: list[tuple[str, Callable[[ComparedRun], str]]] = [
        ("run", lambda run: run.run_id),
        ("name", lambda run: run.name),
        ("Dagster run", lambda run: run.dagster_run),
        ("started (UTC)", lambda run: when(run.started)),
        ("seconds", _seconds),
        ("registered", lambda run: "; ".join(run.registered)),
    ]
    shared: list[tuple[str, Callable[[ComparedRun], str]]] = [
        ("client", lambda run: run.client),
        ("store", lambda run: run.store),
        ("experiment", lambda run: run.experiment),
        ("status", lambda run: run.status),
        ("data (SHA-256)", lambda run: run.data_sha256[:12]),
        ("code (commit)", lambda run: run.git_commit[:12]),
    ]
    for name, read in own:
        yield _row(name, [read(run) for run in runs], may_differ=False)
    for name, read in shared:
        # Client and store are chosen by the user: their differences are not marked.
        yield _row(name, [read(run) for run in runs], name not in ("client", "store"))


def _seconds(run: ComparedRun) -> str:
    if run.started is None or run.ended is None:
        return ""
    return f"{(run.ended - run.started) / 1000:.1f}"


def _row(name: str, cells: Sequence[str], may_differ: bool = True) -> Row:
    shown = tuple(cell or NONE for cell in cells)
    return Row(name, shown, may_differ and len(set(shown)) > 1)


def _rows(
    values: Sequence[Mapping], show: Callable[[Any], str], in_order: bool = True
) -> Iterable[Row]:
    names = dict.fromkeys(name for one in values for name in one)
    for name in sorted(names) if in_order else names:
        yield _row(name, [show(one[name]) if name in one else "" for one in values])


def _metric_rows(runs: Sequence[ComparedRun]) -> Iterable[Row]:
    """The best value is marked where the runs are of the same data and differ."""
    same_data = len({run.data_sha256 for run in runs}) == 1
    for row in _rows([run.metrics for run in runs], number):
        values = [run.metrics[row.name] for run in runs if row.name in run.metrics]
        if not (row.differs and same_data and row.name in _LOWER_IS_BETTER and len(values) > 1):
            yield row
            continue
        best = number(min(values) if _LOWER_IS_BETTER[row.name] else max(values))
        cells = tuple(f"{cell} {BEST}" if cell == best else cell for cell in row.cells)
        yield Row(row.name, cells, True)


def as_text(runs: Sequence[ComparedRun], width: int | None = None) -> str:
    """The table for a terminal: as many columns side by side as fit, the others below.

    Args:
        width: Of the terminal, in characters; None: all columns are side by side.
    """
    found = sections(runs)
    names = [row.name for section in found for row in section.rows]
    first = max(len(_cut(name)) for name in names) + 4
    widths = [_column_width(run, found, place) for place, run in enumerate(runs)]
    blocks, start = [], 0
    while start < len(runs):
        end = start + 1
        while end < len(runs) and (width is None or first + sum(widths[start : end + 1]) <= width):
            end += 1
        blocks.append(_block(runs, found, range(start, end), first, widths))
        start = end
    legend = f"{DIFFERS} differs, as far as it is shown ({DIGITS} digits)"
    best = any(BEST in cell.split() for s in found for row in s.rows for cell in row.cells)
    return "\n\n".join(blocks) + f"\n\n{legend}{f'; {BEST} is the best' if best else ''}"


def _column_width(run: ComparedRun, found: Sequence[Section], place: int) -> int:
    cells = [_cut(row.cells[place]) for section in found for row in section.rows]
    return max(map(len, [title_of(run), *cells])) + 2


def _block(
    runs: Sequence[ComparedRun],
    found: Sequence[Section],
    places: range,
    first: int,
    widths: Sequence[int],
) -> str:
    lines = [" " * first + "".join(title_of(runs[n]).ljust(widths[n]) for n in places)]
    for section in found:
        lines += ["", section.title.upper()]
        for row in section.rows:
            mark = DIFFERS if row.differs else " "
            cells = "".join(_cut(row.cells[place]).ljust(widths[place]) for place in places)
            lines.append(f"{mark} {_cut(row.name).ljust(first - 2)}{cells}")
    return "\n".join(line.rstrip() for line in lines)


def _cut(text: str) -> str:
    shown = escaped(text)
    return shown if len(shown) <= _WIDEST else f"{shown[: _WIDEST - 1]}…"
