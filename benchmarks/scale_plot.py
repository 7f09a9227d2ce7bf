"""Time and memory against rows, drawn from what ``make bench-scale`` measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

Series = Mapping[str, Mapping[int, tuple[float, int]]]
"""By title and rows: seconds, and bytes at the peak."""


def draw(series: Series, folder: Path) -> list[Path]:
    """``scale-time.png`` and ``scale-memory.png``."""
    return [
        _plot(series, 0, 1.0, "seconds", folder / "scale-time.png"),
        _plot(series, 1, 1e-9, "peak memory, GB", folder / "scale-memory.png"),
    ]


def _plot(series: Series, place: int, unit: float, label: str, path: Path) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, (title, by_rows) in enumerate(series.items()):
        rows = sorted(by_rows)
        ours = title.startswith("**")
        axes.loglog(
            rows,
            [by_rows[count][place] * unit for count in rows],
            marker="o" if ours else "x",
            linewidth=2.2 if ours else 1.2,
            linestyle="-" if ours else "--",
            color=f"C{number}",
            label=title.replace("*", "").replace("`", "").replace("local[]", "local"),
        )
    axes.set_xlabel("rows")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3, which="both")
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path
