"""Between the typed values that assets hand on and what is stored of them: frames and records.

The annotation of an input gives the type that a stored value becomes. Without one, as in an asset
that somebody adds, it is the frame or dictionary that was stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any

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
    return kind.from_frame(frame) if hasattr(kind, "from_frame") else frame


def from_record(record: Mapping[str, Any], kind: Any) -> Any:
    """The value of a stored dictionary; what ``kind`` does not know is left out.

    Raises:
        ValueError: it lacks what ``kind`` requires.
    """
    if hasattr(kind, "from_record"):
        return kind.from_record(record)
    if not is_dataclass(kind):
        return record
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_python(record)


def _plain(value: Any) -> Any:
    if hasattr(value, "to_plain"):
        return value.to_plain()
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
