"""Plots of one model, drawn without pyplot's global state."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wine_quality.training.fit import LinearModel

_WINE = "#722f37"


def _figure(title: str, left: float = 0.1) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.2))
    # By hand: matplotlib's layout engines draw everything twice to find these margins.
    axes = figure.add_axes((left, 0.13, 0.97 - left, 0.77))
    axes.set_title(title)
    axes.grid(alpha=0.25)
    return figure, axes


def predicted_against_actual(actual: np.ndarray, predicted: np.ndarray) -> Figure:
    """Each held-out wine; on the line the model would be right."""
    figure, axes = _figure("Predicted against actual quality")
    axes.scatter(actual, predicted, s=14, alpha=0.3, color=_WINE, edgecolors="none")
    ends = [min(actual.min(), predicted.min()), max(actual.max(), predicted.max())]
    axes.plot(ends, ends, color="grey", linewidth=1, linestyle="--", label="perfect prediction")
    axes.set(xlabel="Actual quality (score)", ylabel="Predicted quality (score)")
    axes.legend()
    return figure


def residuals(actual: np.ndarray, predicted: np.ndarray) -> Figure:
    """How often the model is off by how much."""
    figure, axes = _figure("Residuals")
    axes.hist(actual - predicted, bins=30, color=_WINE, alpha=0.8)
    axes.axvline(0, color="grey", linewidth=1, linestyle="--")
    axes.set(xlabel="Actual minus predicted quality (score)", ylabel="Held-out wines")
    return figure


def coefficients(model: LinearModel) -> Figure:
    """The weight of each measurement; those at zero were dropped by the L1 penalty."""
    figure, axes = _figure("Coefficients", left=0.28)
    axes.barh(model.features, model.coefficients, color=_WINE)
    axes.axvline(0, color="grey", linewidth=1)
    axes.invert_yaxis()
    axes.set(xlabel="Change of quality per unit of the measurement")
    return figure


def to_png(figure: Figure, dpi: int = 100) -> bytes:
    """The figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()
