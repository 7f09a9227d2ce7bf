"""When the UI shows a model as stale."""

import datetime
import os

from dagster import FreshnessPolicy

_DAYS = 30.0


def model_freshness() -> FreshnessPolicy:
    """A model is stale after ``$WINE_QUALITY_FRESH_DAYS`` (30); the UI warns from 80 % on.

    Raises:
        ValueError: the variable is no positive number.
    """
    text = os.environ.get("WINE_QUALITY_FRESH_DAYS") or str(_DAYS)
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0 < days < 36_500:
        raise ValueError(f"WINE_QUALITY_FRESH_DAYS is {text!r}; it must be a number of days")
    return FreshnessPolicy.time_window(
        fail_window=datetime.timedelta(days=days),
        warn_window=datetime.timedelta(days=days * 0.8),
    )
