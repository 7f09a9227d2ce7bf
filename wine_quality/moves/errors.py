"""The error of this package."""

from __future__ import annotations

from wine_quality.escaping import ShownError


class MoveError(ShownError, RuntimeError):
    """The move cannot begin or go on; the message names the cause. What was copied stays, and the
    same command goes on from there."""
