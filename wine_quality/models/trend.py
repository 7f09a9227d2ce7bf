"""The plot of a metric from model to model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from wine_quality.models.plots import WINE, new_figure, step_for

if TYPE_CHECKING:
    from datetime import datetime

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class TrendPoint(NamedTuple):
    """A metric of one model among those before and after it.

    Attributes:
        label: What people call the model.
        series: Points of one series have one marker.
        data: Which data it was trained and held against; errors on other data compare badly.
    """

    label: str
    time: datetime
    value: float
    series: str
    data: str
    champion: bool


def metric_trend(points: Sequence[TrendPoint], title: str, quantity: str) -> Figure:
    """A metric by model in the order of time; the last point is the present one.

    The steps are even: models come in bursts and after long pauses, and on a scale of time the
    bursts would be one dot.
    """
    figure, axes = new_figure(title, left=0.14)
    places, values = range(len(points)), [point.value for point in points]
    axes.plot(places, values, color=WINE, linewidth=1, alpha=0.5)
    markers = "osD^vP"
    series = list(dict.fromkeys(point.series for point in points))
    for number, name in enumerate(series):
        mine = [place for place in places if points[place].series == name]
        marker = markers[number % len(markers)]
        heights = [values[place] for place in mine]
        axes.plot(mine, heights, marker, color=WINE, markersize=5, label=name)
    for place in places[1:]:
        if points[place].data != points[place - 1].data:
            axes.axvline(place - 0.5, color="grey", linewidth=0.8, linestyle=":")
    _ring(axes, [len(points) - 1], values, "this run", "black", size=12)
    champions = [place for place in places if points[place].champion]
    _ring(axes, champions, values, "champion", "orange", size=16)
    if any(point.data != points[0].data for point in points):
        axes.plot([], [], color="grey", linewidth=0.8, linestyle=":", label="other data")
    named = [*range(len(points) - 1, -1, -step_for(len(points), most=6))]
    axes.xaxis.set_ticks(
        named, [f"{points[place].label}\n{points[place].time:%Y-%m-%d}" for place in named]
    )
    axes.tick_params("x", labelsize="small")
    axes.set(ylabel=quantity)
    axes.margins(0.08, 0.2)
    axes.legend(fontsize="small", markerscale=0.6)
    return figure


def _ring(
    axes: Axes, places: Sequence[int], values: Sequence[float], label: str, color: str, size: int
) -> None:
    if places:
        axes.plot(
            places,
            [values[place] for place in places],
            "o",
            markersize=size,
            markerfacecolor="none",
            markeredgecolor=color,
            markeredgewidth=1.5,
            label=label,
        )
