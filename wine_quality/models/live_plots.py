"""Live values beside those of the training, in the bins that they are compared by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from wine_quality.models.plots import WINE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wine_quality.models.compare import Shift

_COLUMNS = 3


def shifts_by_bin(shifts: Mapping[str, Shift], title: str) -> Figure:
    """A histogram for each of them: share of the rows in each bin of the training's deciles."""
    from matplotlib.figure import Figure

    across = min(_COLUMNS, len(shifts))
    down = -(-len(shifts) // across)
    width, height = (6.0, 4.2) if len(shifts) == 1 else (3.4 * across, 2.6 * down + 0.6)
    figure = Figure(figsize=(width, height))
    figure.suptitle(title)
    grid = figure.subplots(down, across, squeeze=False)
    figure.subplots_adjust(
        left=0.8 / width,
        right=1 - 0.15 / width,
        bottom=0.8 / height,
        top=1 - 0.8 / height,
        wspace=0.3,
        hspace=0.75,
    )
    places = list(grid.flat)
    for axes, (name, shift) in zip(places, shifts.items(), strict=False):
        _bars(axes, name, shift)
    for axes in places[len(shifts) :]:
        axes.set_axis_off()
    grid[0][0].legend(fontsize="small")
    for row in grid:
        row[0].set_ylabel("Share of rows")
    return figure


def _bars(axes: Axes, name: str, shift: Shift) -> None:
    bins = range(len(shift.live))
    axes.bar(
        [place - 0.2 for place in bins], shift.training, 0.4, color="lightgrey", label="training"
    )
    axes.bar([place + 0.2 for place in bins], shift.live, 0.4, color=WINE, label="live")
    # An edge stands between its two bins.
    axes.set_xticks([place + 0.5 for place in range(len(shift.edges))])
    axes.set_xticklabels([f"{edge:.4g}" for edge in shift.edges], rotation=90, fontsize="x-small")
    axes.set_title(f"{name}: {shift.stability:.3f}", fontsize="medium")
    axes.grid(alpha=0.25, axis="y")
