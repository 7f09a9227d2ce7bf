"""Drift of data from a reference, by population stability index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BINS = 10
_LIVE_DIGITS = 6


def profile(frame: pd.DataFrame) -> dict[str, dict[str, list[float]]]:
    """Distribution of each column, the reference that drift is measured against later.

    Returns:
        For each column ``edges``, its inner deciles without repeats, and ``shares``, the part of
        the rows in each of the bins between them.
    """
    return {str(name): profile_of(frame[name].to_numpy(dtype=float)) for name in frame.columns}


def profile_of(values: np.ndarray) -> dict[str, list[float]]:
    """One column of ``profile``.

    Args:
        values: Float, (n,).
    """
    import numpy as np

    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.unique(np.quantile(values, inner))
    return {
        "edges": [float(edge) for edge in edges],
        "shares": [float(share) for share in _shares(values, edges)],
    }


def population_stability(
    frame: pd.DataFrame, reference: Mapping[str, Mapping[str, list[float]]]
) -> dict[str, float]:
    """Population stability index of each column against the ``profile`` of a reference.

    Sum over bins of (p - q)·ln(p / q), with p the new share of a bin and q the reference's. Usual
    reading: below 0.1 stable, above 0.25 shifted.

    Source: N. Siddiqi, Credit Risk Scorecards, 2006.
    """
    found = {}
    for name, column in reference.items():
        if name in frame.columns:
            shares = _shares(frame[name].to_numpy(dtype=float), column["edges"])
            found[name] = _stability(shares, column["shares"], len(frame))
    return found


@dataclass(frozen=True)
class Shift:
    """Drift of one column: live values in the bins of the training's.

    Attributes:
        stability: The population stability index.
        edges: Between the bins, as in ``profile``.
        live: Share of the live values in each bin, one bin more than there are edges.
        training: Share of the training's.
        rows: Live values.
    """

    stability: float
    edges: list[float]
    live: list[float]
    training: list[float]
    rows: int


def shift_of(values: np.ndarray, reference: Mapping[str, list[float]]) -> Shift:
    """Live values against ``profile_of`` those of the training.

    Compared to six significant digits: an edge is often a value that many wines have, and what a
    client sends as float32, or computes in another order, lies beside it.

    Args:
        values: Float, (n,), n > 0.
    """
    edges = _rounded(reference["edges"])
    live = _shares(_rounded(values), edges)
    return Shift(
        stability=_stability(live, reference["shares"], len(values)),
        edges=list(reference["edges"]),
        live=[float(share) for share in live],
        training=list(reference["shares"]),
        rows=len(values),
    )


def _rounded(values: np.ndarray | list[float]) -> np.ndarray:
    """Values rounded to six significant digits; those that are not finite stay."""
    import numpy as np

    given = np.asarray(values, dtype=float)
    # Beyond these, powers of ten are not floats.
    usable = np.isfinite(given) & (np.abs(given) > 1e-290) & (np.abs(given) < 1e290)
    safe = np.where(usable, given, 1.0)
    scale = 10.0 ** (_LIVE_DIGITS - 1 - np.floor(np.log10(np.abs(safe))))
    return np.where(usable, np.rint(safe * scale) / scale, given)


def _stability(new: np.ndarray, old: list[float], rows: int) -> float:
    import numpy as np

    # An empty bin would be infinitely far: half a row stands in it.
    floor = 0.5 / rows
    new, reference = np.maximum(new, floor), np.maximum(np.asarray(old), floor)
    return float(np.sum((new - reference) * np.log(new / reference)))


def _shares(values: np.ndarray, edges: np.ndarray | list[float]) -> np.ndarray:
    import numpy as np

    bins = np.searchsorted(edges, values, side="left")
    return np.bincount(bins, minlength=len(edges) + 1) / len(values)
