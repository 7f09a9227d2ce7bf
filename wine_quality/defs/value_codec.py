"""Between the typed values that assets hand on and what is stored of them: frames and records.

The annotation of an input gives the type that a stored value becomes. Without one, as in an asset
that somebody adds, it is the frame or dictionary that was stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from wine_quality.wines.raw import RawWines
from wine_quality.wines.split import Split

if TYPE_CHECKING:
    import pandas as pd


def to_stored(value: Any) -> pd.DataFrame | dict[str, Any]:
    """A frame or a dictionary for JSON: from the value's own ``to_stored``, or its fields."""
    if hasattr(value, "to_stored"):
        return value.to_stored()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value


def from_frame(frame: pd.DataFrame, kind: Any) -> Any:
    """The value of a stored frame, as ``kind`` reads it."""
    if kind is RawWines:
        from wine_quality.wines.loading import LoadedWines

        return LoadedWines(frame)
    if kind is Split:
        from wine_quality.wines.in_memory import MemorySplit

        return MemorySplit(frame)
    return frame


def from_record(record: Mapping[str, Any], kind: Any) -> Any:
    """The value of a stored dictionary; what ``kind`` does not know is left out.

    Raises:
        ValueError: it lacks what ``kind`` requires.
    """
    if kind is RawWines:
        from wine_quality.wines.inspection import Inspection

        return Inspection.from_plain(record)
    if kind is Split:
        from wine_quality.wines.streamed import StreamedSplit

        return StreamedSplit.from_plain(record)
    if not is_dataclass(kind):
        return record
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_python(record)


def _plain(value: Any) -> Any:
    if hasattr(value, "to_plain"):
        return value.to_plain()
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
