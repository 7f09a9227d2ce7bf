"""Plots of one model, drawn without pyplot's global state."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

    from wine_quality.models.elastic_net.fit import LinearModel
    from wine_quality.models.elastic_net.sweep_points import PointScore

WINE = "#722f37"


def new_figure(title: str, left: float = 0.1) -> tuple[Figure, Axes]:
    """An empty one; ``left`` is the share of its width before the axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.2))
    # By hand: matplotlib's layout engines draw everything twice to find these margins.
    axes = figure.add_axes((left, 0.13, 0.97 - left, 0.77))
    axes.set_title(title)
    axes.grid(alpha=0.25)
    return figure, axes


def predicted_against_actual(actual: np.ndarray, predicted: np.ndarray) -> Figure:
    """Predicted against actual quality of each held-out wine; on the line both are equal."""
    figure, axes = new_figure("Predicted against actual quality")
    axes.scatter(actual, predicted, s=14, alpha=0.3, color=WINE, edgecolors="none")
    ends = [min(actual.min(), predicted.min()), max(actual.max(), predicted.max())]
    axes.plot(ends, ends, color="grey", linewidth=1, linestyle="--", label="perfect prediction")
    axes.set(xlabel="Actual quality (score)", ylabel="Predicted quality (score)")
    axes.legend()
    return figure


def residuals(actual: np.ndarray, predicted: np.ndarray) -> Figure:
    """Histogram of the residuals."""
    figure, axes = new_figure("Residuals")
    axes.hist(actual - predicted, bins=30, color=WINE, alpha=0.8)
    axes.axvline(0, color="grey", linewidth=1, linestyle="--")
    axes.set(xlabel="Actual minus predicted quality (score)", ylabel="Held-out wines")
    return figure


def coefficients(model: LinearModel) -> Figure:
    """The weight of each measurement; those at zero were dropped by the L1 penalty."""
    figure, axes = new_figure("Coefficients", left=0.28)
    axes.barh(model.features, model.coefficients, color=WINE)
    axes.axvline(0, color="grey", linewidth=1)
    axes.invert_yaxis()
    axes.set(xlabel="Change of quality per unit of the measurement")
    return figure


def sweep_errors(scores: Sequence[PointScore], best: PointScore) -> Figure:
    """Cross-validated error over alpha and l1_ratio: a heat map of a grid, dots for a list."""
    from matplotlib.colors import PowerNorm

    alphas = sorted({score.point.alpha for score in scores})
    ratios = sorted({score.point.l1_ratio for score in scores})
    figure, axes = new_figure(f"Cross-validated RMSE; ☆ {best.mean:.4f} at {best.point}", left=0.12)
    axes.title.set_fontsize("medium")
    errors = [score.mean for score in scores]
    # Most points lie close above the best one, a few far away: spread the colours where they lie.
    norm = PowerNorm(0.4, min(errors), max(errors)) if min(errors) < max(errors) else None
    column = {alpha: number for number, alpha in enumerate(alphas)}
    row = {ratio: number for number, ratio in enumerate(ratios)}
    places = [(column[s.point.alpha], row[s.point.l1_ratio]) for s in scores]
    if len(scores) == len(alphas) * len(ratios):
        table = [[0.0] * len(alphas) for _ in ratios]
        for (x, y), error in zip(places, errors, strict=True):
            table[y][x] = error
        shown: Any = axes.imshow(table, origin="lower", aspect="auto", cmap="viridis_r", norm=norm)
        axes.grid(False)
    else:
        xs, ys = zip(*places, strict=True)
        shown = axes.scatter(xs, ys, c=errors, cmap="viridis_r", norm=norm, s=60)
    axes.plot(
        column[best.point.alpha],
        row[best.point.l1_ratio],
        marker="*",
        markersize=18,
        markerfacecolor="none",
        markeredgecolor=WINE,
        markeredgewidth=1.5,
    )
    _label(axes.xaxis, alphas, most=7)
    _label(axes.yaxis, ratios, most=10)
    axes.set(xlabel="alpha (strength of the penalty)", ylabel="l1_ratio (share of L1)")
    bar = figure.colorbar(shown, ax=axes, label="RMSE (score)")
    bar.ax.yaxis.set_major_formatter("{x:.3f}")
    bar.ax.yaxis.set_minor_formatter("{x:.3f}")
    return figure


def step_for(count: int, most: int) -> int:
    """Step at which at most ``most`` of ``count`` places in a row are labelled."""
    return -(-count // most)


def _label(axis: Axis, values: Sequence[float], most: int) -> None:
    """Name at most ``most`` of the values at their places 0, 1, 2, …"""
    places = range(0, len(values), step_for(len(values), most))
    axis.set_ticks(list(places), [f"{values[place]:.3g}" for place in places])


def to_png(figure: Figure, dpi: int = 100) -> bytes:
    """The figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()
