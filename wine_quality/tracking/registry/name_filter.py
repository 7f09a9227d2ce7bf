"""The condition by which MLflow searches for the versions of a model of that name."""

from __future__ import annotations


def name_filter(name: str) -> str | None:
    """Quoted as MLflow reads it; None for a name with both kinds of quotes.

    MLflow's filters know no escapes: a text ends at the quote that it began with.
    """
    for quote in ("'", '"'):
        if quote not in name:
            return f"name={quote}{name}{quote}"
    return None
