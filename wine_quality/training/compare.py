"""Champion or challenger, on the same test rows; and how far data has drifted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BINS = 10


def winner(rmse: Mapping[str, float], champion: str | None, min_improvement: float) -> str | None:
    """The version with the least error, if it is better than the champion by enough.

    Args:
        rmse: Error of each version on the same rows, in units of quality.
        champion: The reigning version, None when there is none (or it cannot be loaded).
        min_improvement: How much less than the champion's the error must be.

    Returns:
        None when the champion stays. Of two that are as good, the older wins.
    """
    challengers = [version for version in rmse if version != champion]
    if not challengers:
        return None
    best = min(challengers, key=lambda version: (rmse[version], int(version)))
    if champion is None or champion not in rmse:
        return best
    return best if rmse[best] < rmse[champion] - min_improvement else None


def profile(frame: pd.DataFrame) -> dict[str, dict[str, list[float]]]:
    """What drift is measured against later.

    Returns:
        For each column ``edges``, its inner deciles without repeats, and ``shares``, the part of
        the rows in each of the bins between them.
    """
    import numpy as np

    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    described = {}
    for name in frame.columns:
        values = frame[name].to_numpy(dtype=float)
        edges = np.unique(np.quantile(values, inner))
        described[str(name)] = {
            "edges": [float(edge) for edge in edges],
            "shares": [float(share) for share in _shares(values, edges)],
        }
    return described


def population_stability(
    frame: pd.DataFrame, reference: Mapping[str, Mapping[str, list[float]]]
) -> dict[str, float]:
    """Population stability index of each column against the ``profile`` of a reference.

    Sum over bins of (p - q)·ln(p / q), with p the new share of a bin and q the reference's. Usual
    reading: below 0.1 stable, above 0.25 shifted.

    Source: N. Siddiqi, Credit Risk Scorecards, 2006.
    """
    import numpy as np

    found = {}
    for name, column in reference.items():
        if name in frame.columns:
            values = frame[name].to_numpy(dtype=float)
            # An empty bin would be infinitely far: half a row stands in it.
            floor = 0.5 / len(values)
            new = np.maximum(_shares(values, np.asarray(column["edges"])), floor)
            old = np.maximum(np.asarray(column["shares"]), floor)
            found[name] = float(np.sum((new - old) * np.log(new / old)))
    return found


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    import numpy as np

    bins = np.searchsorted(edges, values, side="left")
    return np.bincount(bins, minlength=len(edges) + 1) / len(values)
