"""Plots small enough for Dagster to show them at once, as SVG of a few hundred characters.

Dagster's page of an asset shows Markdown of less than 1000 characters in its table, and longer
Markdown behind "[Show Markdown]". A picture as matplotlib writes it is ten times as long, whatever
its format. These are drawn by hand; the large ones are a click away and in the MLflow run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    import numpy as np

    from wine_quality.models.elastic_net.fit import LinearModel

LIMIT = 1000
"""Characters of Markdown from which on Dagster hides it."""

_WINE = "#722f37"
_WIDTH, _HEIGHT = 300, 120
# Of the drawing; around it stand the labels.
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 290, 8, 94


def as_markdown(name: str, svg: str) -> str:
    """The picture as Markdown.

    Raises:
        ValueError: it is so long that Dagster would hide it.
    """
    # In angle brackets the address may hold spaces and quotes, which need not be escaped then.
    shown = quote(svg, safe=" ='/:.,-()")
    text = f"![{name}](<data:image/svg+xml,{shown}>)"
    if len(text) >= LIMIT:
        raise ValueError(f"the plot {name} has {len(text)} characters, of {LIMIT - 1} at most")
    return text


def residuals(actual: np.ndarray, predicted: np.ndarray, bins: int = 24) -> str:
    """Histogram of the residuals, actual minus predicted quality.

    Args:
        actual: Scores of the held-out wines, (n,).
        predicted: The model's predictions for them, (n,).
    """
    import numpy as np

    errors = actual - predicted
    end = max(0.5, float(np.abs(errors).max()))
    counts, _ = np.histogram(errors, bins=bins, range=(-end, end))
    width = (_RIGHT - _LEFT) / bins
    heights = [_scaled(count, 0, max(1, counts.max()), _BOTTOM, _TOP) for count in counts]
    path = f"M{_LEFT},{_BOTTOM}" + "".join(f"V{y}h{width:.4g}" for y in heights) + f"V{_BOTTOM}"
    middle = (_LEFT + _RIGHT) // 2
    return _svg(
        f"<path d='{path}' fill='{_WINE}'/>",
        f"<path d='M{middle},{_TOP}V{_BOTTOM}' stroke='grey'/>",
        _text(_LEFT, 105, f"{-end:.2g}"),
        _text(middle - 2, 105, "0"),
        _text(_RIGHT - 14, 105, f"{end:.2g}"),
        _text(88, 117, "actual minus predicted quality"),
    )


def histogram(counts: Sequence[int], low: float, high: float, name: str) -> str:
    """Histogram of ``counts`` in equal bins from ``low`` to ``high``."""
    width, most = (_RIGHT - _LEFT) / len(counts), max(1, *counts)
    heights = [_scaled(count, 0, most, _BOTTOM, _TOP) for count in counts]
    path = f"M{_LEFT},{_BOTTOM}" + "".join(f"V{y}h{width:.4g}" for y in heights) + f"V{_BOTTOM}"
    return _svg(
        f"<path d='{path}' fill='{_WINE}'/>",
        _text(_LEFT, 105, f"{low:.3g}"),
        _text(_RIGHT - 14, 105, f"{high:.3g}"),
        _text(120, 117, name),
    )


def predicted_against_actual(actual: np.ndarray, predicted: np.ndarray) -> str:
    """For each score the middle 80 % and the mean of predictions; dashed: a perfect model.

    Args:
        actual: Scores of the held-out wines, (n,).
        predicted: The model's predictions for them, (n,).
    """
    import numpy as np

    scores = np.rint(actual)
    low = min(scores.min(), predicted.min()) - 0.5
    high = max(scores.max(), predicted.max()) + 0.5

    def at(score: float) -> str:
        return _number(_scaled(score, low, high, _LEFT, _RIGHT))

    bars, means, ticks = "", "", ""
    for score in np.unique(scores):
        mine = predicted[scores == score]
        ends = [_scaled(q, low, high, _BOTTOM, _TOP) for q in np.quantile(mine, (0.1, 0.9))]
        bars += f"M{at(score)},{ends[0]}V{ends[1]}"
        means += f"M{at(score)},{_scaled(mine.mean(), low, high, _BOTTOM, _TOP)}h.1"
        ticks += f"<tspan x='{at(score)}'>{score:g}</tspan>"
    return _svg(
        f"<path d='M{_LEFT},{_BOTTOM}L{_RIGHT},{_TOP}' stroke='grey' stroke-dasharray='4'/>",
        f"<g stroke='{_WINE}' stroke-linecap='round'><path d='{bars}' stroke-width='3'/>",
        f"<path d='{means}' stroke-width='6'/></g>",
        f"<text y='105'>{ticks}</text>",
        _text(120, 117, "actual quality"),
    )


def coefficients(model: LinearModel) -> str:
    """The weight of each measurement."""
    step = 10
    largest = max(map(abs, model.coefficients)) or 1.0
    path, names = "", ""
    for row, (name, weight) in enumerate(zip(model.features, model.coefficients, strict=True)):
        y = step * row + 6
        path += f"M200,{y}H{_scaled(weight, -largest, largest, 110, 290)}"
        names += f"<tspan x='2' y='{y + 3}'>{name}</tspan>"
    return _svg(
        f"<text>{names}</text>",
        f"<path d='{path}' stroke='{_WINE}' stroke-width='7'/>",
    )


def line(values: Sequence[float], first: str, last: str, dots: Sequence[int] = ()) -> str:
    """Values in their order, with the lowest and the highest one named.

    Args:
        first: What stands below the first value, ``last`` below the last one.
        dots: Places of values that are marked.
    """
    low, high = min(values), max(values)
    places = [
        (
            _number(_scaled(n, 0, max(1, len(values) - 1), _LEFT + 8, _RIGHT - 8)),
            _scaled(value, low, high, _BOTTOM - 6, _TOP + 4),
        )
        for n, value in enumerate(values)
    ]
    path = "M" + "L".join(f"{x},{y}" for x, y in places)
    marks = "".join(f"M{places[dot][0]},{places[dot][1]}h.1" for dot in dots)
    return _svg(
        f"<path d='{path}' fill='none' stroke='{_WINE}'/>",
        f"<path d='{marks}' stroke='{_WINE}' stroke-width='7' stroke-linecap='round'/>",
        _text(0, _TOP + 7, f"{high:.3f}"),
        _text(0, _BOTTOM - 3, f"{low:.3f}") if low < high else "",
        _text(_LEFT, 108, first),
        _text(_RIGHT - 5 * len(last), 108, last) if len(values) > 1 else "",
    )


def _scaled(value: float, low: float, high: float, start: int, end: int) -> int:
    """``value`` mapped linearly from ``low``–``high`` to ``start``–``end``, rounded."""
    share = (float(value) - low) / (high - low) if high > low else 0.5
    return round(start + share * (end - start))


def _number(value: float) -> str:
    return f"{value:g}"


def _text(x: float, y: float, text: str) -> str:
    return f"<text x='{x:g}' y='{y:g}'>{text}</text>"


def _svg(*parts: str) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{_WIDTH}' height='{_HEIGHT}' "
        f"font-size='9' font-family='Arial'>{''.join(parts)}</svg>"
    )
