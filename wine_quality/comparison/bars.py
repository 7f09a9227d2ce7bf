"""Horizontal bars as SVG that stands in an HTML page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from wine_quality.escaping import escaped

COLOURS = ("#722f37", "#2f6690", "#c98a1b", "#3a7d44", "#7b5ea7", "#8a8a8a")
"""Of the runs, in their order; a seventh run gets the first colour again."""
_WIDTH, _LABEL, _VALUE = 620, 170, 110
_BAR, _GAP, _TOP = 14, 10, 6


def colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def grouped(rows: Sequence[tuple[str, Sequence[float | None]]], names: Sequence[str]) -> str:
    """A group of bars for each row, with a bar for each name; they begin at 0, to either side.

    Args:
        rows: A label, and a value for each name; None where it has none.
        names: Name of each bar of a group, shown when the mouse points at it.
    """
    known = [value for _, values in rows for value in values if value is not None]
    known = [value for value in known if math.isfinite(value)]
    low, high = min([0.0, *known]), max([0.0, *known])
    span = (high - low) or 1.0
    inner = _WIDTH - _LABEL - _VALUE
    zero = _LABEL + inner * -low / span
    parts, y = [], _TOP
    for label, values in rows:
        middle = y + _BAR * len(values) / 2
        parts.append(_text(_LABEL - 8, middle + 4, label, "end"))
        for place, value in enumerate(values):
            parts.append(_bar(value, names[place], colour(place), y, zero, inner / span))
            y += _BAR
        y += _GAP
    axis = f"<path d='M{zero:.1f},0V{y - _GAP + _TOP}' stroke='#999'/>"
    height = y - _GAP + _TOP
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}' "
        f"width='{_WIDTH}' height='{height}' role='img'>{''.join(parts)}{axis}</svg>"
    )


def _bar(value: float | None, name: str, fill: str, y: float, zero: float, per_unit: float) -> str:
    if value is None or not math.isfinite(value):
        return _text(zero + 6, y + _BAR - 3, "not logged" if value is None else str(value), "start")
    length = abs(value) * per_unit
    x = zero if value >= 0 else zero - length
    end = zero + length if value >= 0 else zero
    return (
        f"<rect x='{x:.1f}' y='{y + 1}' width='{max(length, 0.5):.1f}' height='{_BAR - 2}' "
        f"fill='{fill}'><title>{escape(escaped(name))}: {value!r}</title></rect>"
        + _text(end + 6, y + _BAR - 3, f"{value:.6g}", "start")
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'>{escape(escaped(text))}</text>"


def legend(names: Iterable[str]) -> str:
    """The legend as HTML: a colour for each name."""
    return "".join(
        f"<span class='key'><i style='background:{colour(place)}'></i>"
        f"{escape(escaped(name))}</span>"
        for place, name in enumerate(names)
    )
