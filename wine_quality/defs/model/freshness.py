"""When the UI shows a model as stale."""

import datetime

from dagster import FreshnessPolicy

from wine_quality.settings.runs import FRESH_DAYS

_DAYS = 30.0


def model_freshness() -> FreshnessPolicy:
    """A model is stale after ``$WINE_QUALITY_FRESH_DAYS`` (30); the UI warns from 80 % on.

    Raises:
        ValueError: the variable is not a positive number.
    """
    text = FRESH_DAYS.read() or str(_DAYS)
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0 < days < 36_500:
        raise ValueError(f"{FRESH_DAYS} is {text!r}; it must be a number of days")
    return FreshnessPolicy.time_window(
        fail_window=datetime.timedelta(days=days),
        warn_window=datetime.timedelta(days=days * 0.8),
    )
