"""The error of this package."""

from __future__ import annotations

from wine_quality.escaping import ShownError


class UpgradeError(ShownError, RuntimeError):
    """The upgrade cannot go on; the message explains why. Nothing was put in place."""
