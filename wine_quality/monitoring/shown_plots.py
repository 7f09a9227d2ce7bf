"""Plots into the MLflow run, and onto the pages of Dagster's UI."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagster import MetadataValue

if TYPE_CHECKING:
    from wine_quality.tracking.tracker import Tracker


def show_plots(
    tracker: Tracker, figures: Mapping[str, tuple[Any, str]], together: str = "plots"
) -> dict[str, MetadataValue]:
    """The figures into the MLflow run, and as Dagster's UI shows them.

    Args:
        figures: By name, matplotlib's figure and a small SVG of the same, which the asset's page
            shows at once.
        together: Name of the entry that shows all of them large, behind one click.
    """
    from wine_quality.models import plots, small_plots

    shown, large = {}, {}
    for name, (figure, svg) in figures.items():
        large[name] = plots.to_png(figure)
        tracker.log_figure(large[name], f"plots/{name}.png")
        shown[name] = MetadataValue.md(small_plots.as_markdown(name, svg))
    return {**shown, together: shown_plot(large)}


def shown_plot(pictures: Mapping[str, bytes]) -> MetadataValue:
    """PNGs, by name, as Dagster's UI shows them behind "[Show Markdown]"."""
    return MetadataValue.md(
        "\n\n".join(
            f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})"
            for name, png in pictures.items()
        )
    )
