"""The settings that widen what run config may reach, and how one is refused."""

from __future__ import annotations

import os

from wine_quality.escaping import ShownError
from wine_quality.settings.allowed import (
    CONFIG_VARIABLES,
    ENDPOINTS,
    IMAGES,
    METRICS_URLS,
    OUTPUTS,
    SPARK_MASTERS,
    SPARK_OPTIONS,
    TRACKING_URIS,
)
from wine_quality.sources.allowed_sources import ANY, EVERYTHING_READ
from wine_quality.sources.location import redacted

EVERYTHING = {
    **EVERYTHING_READ,
    **{TRACKING_URIS: ANY, CONFIG_VARIABLES: ANY, SPARK_MASTERS: ANY, SPARK_OPTIONS: ANY},
    **{METRICS_URLS: ANY, OUTPUTS: ANY, ENDPOINTS: ANY, IMAGES: ANY},
}
"""The variables' values that allow all there is."""


class ForbiddenConfigError(ShownError, RuntimeError):
    """Run config names what it may not; the message names the field, and the setting that allows
    it, if any does."""


def allowed_items(variable: str) -> list[str]:
    """The items of a setting, which are separated by commas; empty without the variable."""
    return [one.strip() for one in os.environ.get(variable, "").split(",") if one.strip()]


def allows_any(variable: str) -> bool:
    return ANY in allowed_items(variable)


def forbidden(field: str, value: str, why: str, variable: str) -> ForbiddenConfigError:
    """Field, value and reason in one sentence, and the setting in another."""
    listed = redacted(os.environ.get(variable, "")) or "none"
    return ForbiddenConfigError(
        f"{field} is {redacted(value)[:200]!r}: {why}. Whoever runs the platform allows it by "
        f"${variable} (now: {listed}), in the environment of the code location."
    )


def trust_the_caller() -> None:
    """Allow everything that the environment does not speak of: who is at this machine's command
    line can read its files without us."""
    for name, everything in EVERYTHING.items():
        os.environ.setdefault(name, everything)
