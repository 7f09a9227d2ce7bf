"""Result of a live check: how far each column has shifted, as a sentence, a table and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timezone
from types import MappingProxyType
from typing import TYPE_CHECKING

from dagster import AssetCheckResult, AssetCheckSeverity, MetadataValue, TableRecord

from wine_quality.monitoring.served import Served
from wine_quality.monitoring.shown_plots import shown_plot
from wine_quality.tracking.servers.links import mlflow_link

if TYPE_CHECKING:
    from wine_quality.metrics_history.predictions import Period
    from wine_quality.models.compare import Shift

PLOTTED_COLUMNS = 6


def compared(
    served: Served,
    shifts: Mapping[str, Shift],
    rows: int,
    threshold: float,
    table: MetadataValue,
    more: Mapping[str, MetadataValue] = MappingProxyType({}),
) -> AssetCheckResult:
    """The result, which warns when anything has shifted by more than the threshold.

    Args:
        shifts: At least one.
        rows: Of which those that were compared may be a sample.
        more: Metadata of this check only.
    """
    from wine_quality.models.live_plots import shifts_by_bin
    from wine_quality.models.plots import to_png

    ranked = sorted(shifts, key=lambda name: -shifts[name].stability)
    worst, count = shifts[ranked[0]], len(ranked)
    above = [name for name in ranked if shifts[name].stability > threshold]
    of_column = f" of {ranked[0]}, the most shifted of {count} columns" if count > 1 else ""
    sampled = f"a random {worst.rows} of " if worst.rows < rows else ""
    plotted = {name: shifts[name] for name in ranked[:PLOTTED_COLUMNS]}
    title = f"{served.name} version {served.version.version}, last {served.hours:g} hours"
    return AssetCheckResult(
        passed=not above,
        severity=AssetCheckSeverity.WARN,
        description=f"Stability index {worst.stability:.3f}{of_column}; up to {threshold:g} is no "
        f"warning. Compared: {sampled}{rows} row(s) of the last {served.hours:g} hours by "
        f"{served.title}.",
        metadata={
            **{name: MetadataValue.float(shift.stability) for name, shift in shifts.items()},
            "above_the_threshold": ", ".join(above) or "none",
            "rows": rows,
            "version": served.version.version,
            "model_version": mlflow_link(served.url),
            "newest": MetadataValue.timestamp(served.version.newest),
            "table": table,
            **more,
            "histograms": shown_plot({"histograms": to_png(shifts_by_bin(plotted, title))}),
        },
    )


def bins_table(shift: Shift) -> MetadataValue:
    ends = ["", *(f"{edge:.6g}" for edge in shift.edges), ""]
    return MetadataValue.table(
        [
            TableRecord(
                {"above": ends[place], "up to": ends[place + 1], "training": old, "live": new}
            )
            for place, (old, new) in enumerate(zip(shift.training, shift.live, strict=True))
        ]
    )


def periods_table(periods: Sequence[Period]) -> MetadataValue:
    """Predictions by the hour or the day, oldest first."""
    return MetadataValue.table(
        [
            TableRecord(
                {
                    "from (UTC)": f"{period.begin.astimezone(timezone.utc):%Y-%m-%d %H:%M}",
                    "rows": period.rows,
                    "mean": period.mean,
                    "lowest": period.lowest,
                    "highest": period.highest,
                }
            )
            for period in periods
        ]
    )


def columns_table(shifts: Mapping[str, Shift]) -> MetadataValue:
    return MetadataValue.table(
        [
            TableRecord({"column": name, "stability index": shift.stability, "rows": shift.rows})
            for name, shift in sorted(shifts.items(), key=lambda item: -item[1].stability)
        ]
    )
