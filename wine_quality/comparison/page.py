"""The comparison as one HTML page that needs nothing else, the internet neither."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timezone
from html import escape
from pathlib import Path

from wine_quality.comparison import bars
from wine_quality.comparison.compared_run import ComparedRun
from wine_quality.comparison.table import BEST, DIFFERS, DIGITS, NONE, remarks, sections, title_of
from wine_quality.escaping import escaped

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Runs side by side</title>
<style>
body {{ font: 14px/1.5 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }}
table {{ border-collapse: collapse; margin-bottom: 2em }}
th, td {{ text-align: left; padding: .25em 1.2em .25em .4em; border-bottom: 1px solid #ddd;
 vertical-align: top; max-width: 34em; overflow-wrap: anywhere }}
tbody th {{ white-space: nowrap }}
thead th {{ border-top-width: 4px; border-top-style: solid }}
tr.section th {{ padding-top: 1.2em; font-size: 110% }}
tr.differs {{ background: #fdf3e1 }} td.mark {{ color: #a65e00; padding-right: .2em }}
td {{ font-variant-numeric: tabular-nums }} svg {{ font-size: 12px; max-width: 100%; height: auto }}
.key {{ margin-right: 1.5em; white-space: nowrap }} .key i {{ display: inline-block; width: 1em;
 height: 1em; margin-right: .4em; vertical-align: -.15em }} .plots {{ display: flex;
 flex-wrap: wrap; gap: 3em }} .remark {{ border-left: 4px solid #c98a1b; padding-left: .8em }}
</style></head><body>
<h1>Runs side by side</h1>
<p>Written {written} UTC. {mark} marks the rows that differ, as far as they are shown ({digits}
digits); {best} is the better value, where the runs are of the same data.</p>
{remarks}<p>{legend}</p>
<table><thead><tr><th></th><th></th>{heads}</tr></thead><tbody>
{rows}
</tbody></table>
<div class="plots">{plots}</div>
</body></html>
"""


def as_html(runs: Sequence[ComparedRun], now: datetime | None = None) -> str:
    """The page; every text that comes from a run is escaped."""
    names = column_names(runs)
    return _PAGE.format(
        written=f"{now or datetime.now(timezone.utc):%Y-%m-%d %H:%M}",
        mark=DIFFERS,
        digits=DIGITS,
        best=BEST,
        remarks="".join(f'<p class="remark">{_html(one)}</p>\n' for one in remarks(runs)),
        legend=bars.legend(names),
        heads="".join(map(_head, range(len(runs)), runs, names)),
        rows="\n".join(_rows(runs)),
        plots="\n".join(_plots(runs, names)),
    )


def column_names(runs: Sequence[ComparedRun]) -> list[str]:
    """The version, and the run where several are of one version."""
    titles = [title_of(run) for run in runs]
    return [
        f"{title}, {run.run_id[:8]}" if titles.count(title) > 1 else title
        for title, run in zip(titles, runs, strict=True)
    ]


def write_page(runs: Sequence[ComparedRun], path: Path) -> None:
    """Whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(as_html(runs), encoding="utf-8")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _html(text: str) -> str:
    return escape(escaped(text))


def _head(place: int, run: ComparedRun, name: str) -> str:
    shown = _html(name)
    if run.url.startswith(("http://", "https://")):
        shown = f'<a href="{escape(run.url)}">{shown}</a>'
    return f'<th style="border-top-color:{bars.colour(place)}">{shown}</th>'


def _rows(runs: Sequence[ComparedRun]) -> list[str]:
    lines = []
    for section in sections(runs):
        span = len(runs) + 2
        lines.append(f'<tr class="section"><th colspan="{span}">{escape(section.title)}</th></tr>')
        for row in section.rows:
            cells = "".join(f"<td>{_html(cell)}</td>" for cell in row.cells)
            differs = ' class="differs"' if row.differs else ""
            mark = DIFFERS if row.differs else ""
            lines.append(
                f'<tr{differs}><td class="mark">{mark}</td><th>{_html(row.name)}</th>{cells}</tr>'
            )
    return lines


def _plots(runs: Sequence[ComparedRun], names: Sequence[str]) -> list[str]:
    """Bars of the metrics and of the coefficients; nothing where no run has any."""
    found = []
    metrics = sorted({key for run in runs for key in run.metrics})
    if metrics:
        rows = [(key, [run.metrics.get(key) for run in runs]) for key in metrics]
        found.append(f"<div><h2>Metrics</h2>{bars.grouped(rows, names)}</div>")
    features = dict.fromkeys(
        key for run in runs for key, weight in run.coefficients.items() if weight
    )
    features.pop("intercept", None)  # on another scale
    if features:
        rows = [(key, [run.coefficients.get(key) for run in runs]) for key in features]
        found.append(
            "<div><h2>Coefficients</h2><p>Change of quality per unit of the measurement; those "
            "that are 0 in every run are left out.</p>"
            f"{bars.grouped(rows, names)}</div>"
        )
    return found or [f"<p>{NONE}</p>"]
